"""Streams as ALSA names: the table the plugin resolves them by, and the list `aplay -L` shows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aes67.shm.layout import MAX_DEVICE_CHANNELS, MAX_STREAM_CHANNELS

TABLE_HEAD = "# streams of the AES67 daemon, read by its ALSA plugin: kind id first channels name\n"
LISTING_HEAD = "# written by the AES67 daemon for `aplay -L`; replaced at each change\n"
CHANNELS = "[0-9]{1,4}(?:,[0-9]{1,4}){0,63}"
ROW = re.compile(f"(source|sink) ([0-9]{{1,3}}) ({CHANNELS}) ([0-9]{{1,3}}) (.*)")
UNQUOTABLE = set('"\\|')
"""Characters of a name that ALSA's list cannot hold; such a stream is listed by its id."""


@dataclass(frozen=True)
class Named:
    """A source or sink: what it is called, and its device channels."""

    kind: str
    """`source` or `sink`."""
    id: int
    name: str
    map: tuple[int, ...]

    @property
    def device(self) -> str:
        """What `aplay -D` takes."""
        plain = not UNQUOTABLE & set(self.name) and self.name.isprintable() and self.name
        return f"aes67:{self.kind.upper()}=" + (f'"{self.name}"' if plain else str(self.id))

    @property
    def is_in_a_row(self) -> bool:
        """Whether each channel is the device channel after the one before."""
        return self.map == tuple(range(self.map[0], self.map[0] + len(self.map)))

    @property
    def can_be_opened(self) -> bool:
        """Whether one PCM reaches all its channels."""
        return max(self.map) - min(self.map) < MAX_STREAM_CHANNELS


def table(streams: Iterable[Named]) -> str:
    """The plugin's table (alsa_plugin/names.c says how it is read)."""
    lines = [TABLE_HEAD]
    for each in streams:
        channels = str(each.map[0]) if each.is_in_a_row else ",".join(map(str, each.map))
        name = "".join(letter if letter.isprintable() else " " for letter in each.name)
        lines.append(f"{each.kind} {each.id} {channels} {len(each.map)} {name}\n")
    return "".join(lines)


def read_table(text: str) -> list[Named]:
    """The streams of a table; other lines are passed over."""
    found = []
    for line in text.split("\n"):
        match = ROW.fullmatch(line)
        if match is None or not 1 <= int(match[4]) <= MAX_STREAM_CHANNELS:
            continue
        channels = tuple(int(each) for each in match[3].split(","))
        if len(channels) == 1:
            channels = tuple(range(channels[0], channels[0] + int(match[4])))
        if len(channels) != int(match[4]) or max(channels) >= MAX_DEVICE_CHANNELS:
            continue
        found.append(Named(match[1], int(match[2]), match[5], channels))
    return found


def listing(streams: Iterable[Named]) -> str:
    """ALSA configuration that adds the streams to what `aplay -L` and `arecord -L` show."""
    lines = [LISTING_HEAD]
    for each in streams:
        if not each.can_be_opened:
            continue
        name = "".join(" " if letter in UNQUOTABLE or not letter.isprintable() else letter
                       for letter in each.name)  # fmt: skip
        channels = f"channel {each.map[0]}"
        if len(each.map) > 1 and each.is_in_a_row:
            channels = f"channels {each.map[0]} to {each.map[-1]}"
        elif len(each.map) > 1:
            channels = "channels " + ", ".join(map(str, each.map))
        direction = "Output" if each.kind == "source" else "Input"
        device = each.device.replace('"', '\\"')
        words = f"AES67 {each.kind} {each.id}: {name} ({channels})"
        shown = f"{device}|{words}|IOID{direction}"
        lines.append(f'namehint.pcm.aes67_{each.kind}_{each.id} "{shown}"\n')
    return "".join(lines)
