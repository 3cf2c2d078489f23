"""Has tshark read what we packed: a pcap of UDP datagrams over IPv4, dissected to fields."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path


def udp_datagrams(
    payloads: Iterable[bytes], port: int, destination: str = "239.1.0.1"
) -> list[bytes]:
    """Ethernet frames that carry the payloads from 10.0.0.1 to a group, UDP checksum 0."""
    source = bytes((10, 0, 0, 1))
    group = bytes(int(part) for part in destination.split("."))
    frames = []
    for payload in payloads:
        udp = struct.pack("!4H", port, port, 8 + len(payload), 0) + payload
        ip = struct.pack("!BBHHHBBH", 0x45, 0x88, 20 + len(udp), 0, 0, 32, 17, 0) + source + group
        ethernet = b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:] + b"\x02" + bytes(5)
        frames.append(ethernet + b"\x08\x00" + ip + udp)
    return frames


def dissect(
    folder: Path, frames: Iterable[bytes], fields: Sequence[str], options: Sequence[str] = ()
) -> list[list[str]]:
    """The fields tshark finds, one row a frame; several occurrences are joined by commas."""
    capture = folder / "ours.pcap"
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for number, frame in enumerate(frames):
        parts.append(struct.pack("<IIII", number, 0, len(frame), len(frame)) + frame)
    capture.write_bytes(b"".join(parts))
    command = ["tshark", "-n", "-r", str(capture), *options, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [row.split("\t") for row in done.stdout.rstrip("\n").split("\n")]


def malformed(folder: Path, frames: Iterable[bytes], options: Sequence[str] = ()) -> list[str]:
    """tshark's own complaints (malformed packets), one text a frame; empty where it has none."""
    rows = dissect(folder, frames, ("_ws.malformed", "_ws.expert.message"), options)
    return ["".join(row) for row in rows]
