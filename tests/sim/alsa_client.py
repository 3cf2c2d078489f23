"""A client of the ALSA socket that speaks raw messages, built from the schema and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np

from aes67.shm.layout import (
    CAPS,
    CTL,
    EVENT,
    FORMATS,
    HELLO,
    MESSAGE_MAGIC,
    MSG_CAPS,
    MSG_CTL_READ,
    MSG_CTL_VALUE,
    MSG_CTL_WRITE,
    MSG_EVENT,
    MSG_FREE,
    MSG_HELLO,
    MSG_SETUP,
    MSG_STREAM,
    PLAYBACK,
    SETUP,
    STREAM_REPLY,
    VERSION_MAJOR,
    Struct,
)

STRUCTS = {
    MSG_HELLO: HELLO,
    MSG_CAPS: CAPS,
    MSG_SETUP: SETUP,
    MSG_STREAM: STREAM_REPLY,
    MSG_FREE: EVENT,
    MSG_EVENT: EVENT,
    MSG_CTL_READ: CTL,
    MSG_CTL_WRITE: CTL,
    MSG_CTL_VALUE: CTL,
}


def message(kind: int, serial: int = 0, **fields: Any) -> bytes:
    """A well-formed message; `fields` may spoil any of it."""
    struct: Struct = STRUCTS[kind]
    record = np.zeros(1, dtype=struct.dtype)[0]
    head = {
        "magic": MESSAGE_MAGIC,
        "major": VERSION_MAJOR,
        "type": kind,
        "size": struct.size,
        "serial": serial,
    }
    for name, value in {**head, **fields}.items():
        if isinstance(value, str):
            value = np.frombuffer(value.encode().ljust(64, b"\0"), "u1")
        record[name] = value
    return bytes(record.tobytes())


class AlsaClient:
    """Connected from `open` to `close`; the descriptors it got are in `fds`."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self.sock.connect(str(path))
        self.fds: list[int] = []
        self.events: list[int] = []
        self._serial = 0

    async def raw(self) -> bytes:
        """The next message as it comes, b"" at the end; waits at most 5 s."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while True:
                try:
                    data, fds, _, _ = socket.recv_fds(self.sock, 1024, 4)
                except BlockingIOError:
                    ready = asyncio.Event()
                    loop.add_reader(self.sock, ready.set)
                    try:
                        await ready.wait()
                    finally:
                        loop.remove_reader(self.sock)
                    continue
                except ConnectionResetError:
                    return b""
                self.fds += fds
                return data

    async def receive(self) -> Any:
        """The next message as a record, None at the end."""
        data = await self.raw()
        if not data:
            return None
        kind = int(np.frombuffer(data[8:12], "<u4")[0])
        return np.frombuffer(data, dtype=STRUCTS[kind].dtype)[0]

    async def ask(self, kind: int, **fields: Any) -> Any:
        """Send a request and return its reply; events that come between are kept."""
        self._serial += 1
        self.sock.send(message(kind, self._serial, **fields))
        while (reply := await self.receive()) is not None:
            if reply["type"] != MSG_EVENT:
                assert reply["serial"] == self._serial
                break
            self.events.append(int(reply["kind"]))
        return reply

    async def hello(self, direction: int = PLAYBACK, **fields: Any) -> Any:
        return await self.ask(
            MSG_HELLO, direction=direction, device="aes67", application="test", **fields
        )

    async def setup(self, rate: int = 48000, channels: int = 2, **fields: Any) -> Any:
        fields = {"format": FORMATS.index("S32_LE"), "period_frames": 48, **fields}
        fields.setdefault("buffer_frames", 480)
        return await self.ask(MSG_SETUP, rate=rate, channels=channels, **fields)

    def close(self) -> None:
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
