"""`python -m aes67.streamer.main FD`: the worker, started by control with its end of the link."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

from aes67.errors import WireError
from aes67.net.seqpacket import Connection, Message
from aes67.streamer import protocol
from aes67.streamer.protocol import Request, Settings
from aes67.streamer.worker import Worker

log = logging.getLogger("aes67.streamer")

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
NICENESS = 10
"""Sound on the network comes before sound in a browser."""


def main() -> int:
    """Work until the link is closed."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.setblocking(False)
    asyncio.run(serve(sock))
    return 0


async def serve(sock: socket.socket) -> None:
    """Carry out the messages of a link until it is closed; `sock` is taken over."""
    worker = Worker()
    connection = Connection(
        sock, message_bytes=protocol.MESSAGE_BYTES_MAX, descriptors=protocol.DESCRIPTORS_MAX
    )
    try:
        while (message := await connection.receive()) is not None:
            try:
                _carry_out(worker, message)
            except (WireError, OSError) as error:
                log.error("%s", error)
    finally:
        worker.close()
        connection.close()


def _carry_out(worker: Worker, message: Message) -> None:
    try:
        kind, content = protocol.read_message(message.data)
    except WireError:
        message.close()
        raise
    if kind == "engine":
        worker.engine(message.descriptors)
    elif isinstance(content, Request) and len(message.descriptors) == 1:
        worker.open(content, socket.socket(fileno=message.descriptors[0]))
    else:
        message.close()
        if isinstance(content, Settings):
            worker.configure(content)


if __name__ == "__main__":
    sys.exit(main())
