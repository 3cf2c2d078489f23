"""`make run`: a daemon on this host's loopback with a source and a sink ready, until Ctrl-C.

It is the grandmaster of its own little network; where the ports of PTP are not permitted (no
root), it runs on the local clock instead. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aes67.errors import Aes67Error, Refused
from aes67.selftest import place
from aes67.selftest.audio import CANNOT_RUN, OK, set_up
from aes67.selftest.node import Node, Settings
from aes67.selftest.plan import case

CHANNELS = 2
EXAMPLE = Path("/usr/share/sounds/alsa/Front_Center.wav")


def usable_port(wanted: int) -> int | None:
    """`wanted` when nobody has it, else None: any free one. Refused when it is no port."""
    if not 0 <= wanted <= 65535:
        raise Refused("port", wanted, "0 to 65535 (0: any free one)")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", wanted))
        except OSError:
            return None
    return wanted or None


def example_sound() -> str:
    """A file that alsa-utils brings along, or any."""
    return f"{EXAMPLE}    # mono: on channel 1" if EXAMPLE.exists() else "some.wav"


def instructions(node: Node, mode: str) -> str:
    """What to type next."""
    environment = " ".join(
        f"{name}={node.environment[name]}" for name in ("ALSA_CONFIG_PATH", "AES67_SERVER")
    )
    role = "as PTP grandmaster" if mode == "gm" else "on the local clock (PTP's ports need root)"
    binary = Path(sys.executable).parent
    return f"""\
aes67-daemon runs on loopback {role}, with source 0 and sink 0 ({CHANNELS} channels, 48 kHz).

In another terminal:

  export {environment}
  arecord -D aes67 -f S24_3LE -r 48000 -c {CHANNELS} -d 10 recorded.wav &
  aplay -D aes67 {example_sound()}
  speaker-test -D aes67:{CHANNELS} -c {CHANNELS} -t sine -l 1

Look at it:

  export AES67_URL={node.client.url}
  {binary}/aes67 status
  {binary}/aes67 ptp --watch
  {node.client.url}/        the status page;  {node.client.url}/docs  the API

Without the export, for every program: sudo {binary}/aes67 alsa install (then run aes67-daemon).
Ctrl-C ends it and leaves nothing behind; what was exported points nowhere then:
  unset ALSA_CONFIG_PATH AES67_SERVER AES67_URL
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = argparse.ArgumentParser(prog="make run", description=__doc__)
    options.add_argument(
        "--port", type=int, default=8080, help="of the HTTP interface; another if it is taken"
    )
    arguments = options.parse_args(argv)
    mode = "gm" if place.ptp_permitted() else "free"
    group = f"239.1.{os.getpid() % 256}.1"  # another one that runs here shall not be heard
    settings = Settings(
        clock_mode=mode, device_channels=64, extra=(("rtp_mcast_base", group),)
    )
    try:
        port = usable_port(arguments.port)
        if port is None and arguments.port:
            print(f"make run: port {arguments.port} is taken, using another", file=sys.stderr)
        with place.cleaning_up(), Node(settings, port=port) as node:
            wanted = case("S24_3LE", 48000, CHANNELS, "L24", "1ms")
            set_up(node, wanted, wanted.relaxed_delay(), name="make run")
            print(instructions(node, mode), flush=True)
            while node.process is not None and node.process.poll() is None:
                time.sleep(0.5)
            print(f"make run: the daemon ended by itself\n{node.last_words()}", file=sys.stderr)
            return CANNOT_RUN
    except Aes67Error as problem:
        print(f"make run: {problem}", file=sys.stderr)
        return CANNOT_RUN
    except SystemExit:
        print("\nstopped", file=sys.stderr)
        return OK


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
