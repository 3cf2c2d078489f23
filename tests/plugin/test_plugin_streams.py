"""Streams by name: exactly their channels, at once under a new name, and in `aplay -L`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.selftest import child
from aes67.session.pcm_names import Named, listing, read_table, table
from plugin.harness import Mock

OPEN = ["-t", "raw", "-f", "S16_LE", "-r", "48000", "-c"]
STREAMS = [
    Named("source", 0, "Studio A", (4, 5)),
    Named("source", 7, "Küche, 1.2 'x'", (8,)),
    Named("source", 3, "7", (16, 17, 18)),
    Named("source", 4, "odd", (9, 8, 12)),
    Named("source", 6, "wide", (0, 64)),
    Named("source", 5, 'say "x"|\\', (20, 21)),
    Named("sink", 0, "Studio A", (32, 33, 34, 35)),
]


@pytest.fixture
def streams(steady: Mock) -> Mock:
    write(steady, STREAMS)
    return steady


def write(mock: Mock, named: list[Named]) -> None:
    (mock.folder / "streams").write_text(table(named))
    (mock.folder / "streams.conf").write_text(listing(named))


def opened(mock: Mock, program: str, device: str, channels: int) -> dict[str, Any]:
    """What the engine hears when a program opens the device and uses it."""
    process = mock.popen([program, "-q", "-D", device, *OPEN, str(channels),
                          "/dev/zero" if program == "aplay" else "/dev/null"])  # fmt: skip
    stats = mock.wait_for(lambda stats: stats["hellos"] or process.poll() is not None)
    if not stats["hellos"]:
        raise AssertionError(process.communicate()[1].decode())
    child.kill(process)
    mock.wait_for(lambda stats: not stats["clients"])
    hello: dict[str, Any] = stats["hellos"][0]
    return hello


@pytest.mark.parametrize(
    ("device", "first", "channels"),
    [
        ('aes67:SOURCE="Studio A"', 4, 2),
        ("aes67hw:SOURCE='Studio A'", 4, 2),
        ("aes67:SOURCE=Studio A", 4, 2),
        ('RAVENNA:SOURCE="Studio A",SINK=nobody', 4, 2),
        ("aes67:SOURCE=\"Küche, 1.2 'x'\"", 8, 1),
        ("aes67:SOURCE=0", 4, 2),
        ("aes67:SOURCE=7", 16, 3),  # a name before an id
        ("aes67:SOURCE=5", 20, 2),
        ("aes67:SOURCE=odd", 8, 5),  # from its least to its largest
        ("aes67hw:SOURCE=odd", 8, 5),
    ],
)
def test_playback_has_exactly_the_channels_of_a_source(
    streams: Mock, device: str, first: int, channels: int
) -> None:
    hello = opened(streams, "aplay", device, channels)
    assert (hello["direction"], hello["first"], hello["channels"]) == (0, first, channels)


@pytest.mark.parametrize("device", ["aes67:SINK='Studio A'", "aes67hw:SINK=0,SOURCE=nobody"])
def test_capture_has_exactly_the_channels_of_a_sink(streams: Mock, device: str) -> None:
    hello = opened(streams, "arecord", device, 4)
    assert (hello["direction"], hello["first"], hello["channels"]) == (1, 32, 4)


def test_plug_converts_another_channel_count(streams: Mock) -> None:
    assert opened(streams, "aplay", "aes67:SOURCE=0", 1)["channels"] == 2


@pytest.mark.parametrize(
    ("program", "device", "words"),
    [
        ("aplay", "aes67:SOURCE=nobody", 'the daemon has no source "nobody"'),
        ("aplay", "aes67:SOURCE=Studio", 'the daemon has no source "Studio"'),
        ("arecord", "aes67:SINK=1", 'the daemon has no sink "1"'),
        ("aplay", "aes67:SOURCE=wide", "more than 63 apart"),
        ("aplay", "aes67:SINK=0", "a SINK is recorded from; play to a SOURCE"),
        ("arecord", "aes67:SOURCE=0", "a SOURCE is played to; record from a SINK"),
        ("aplay", "aes67:SOURCE=" + "x" * 300, "source must be a stream's name or id"),
    ],
)
def test_what_is_no_stream_is_said(streams: Mock, program: str, device: str, words: str) -> None:
    done = streams.run(program, "-q", "-D", device, *OPEN, "2", "/dev/null")
    assert done.returncode != 0
    assert words in done.stderr


def test_a_new_name_counts_at_once(streams: Mock) -> None:
    write(streams, [Named("source", 0, "Studio B", (40, 41))])
    assert opened(streams, "aplay", 'aes67:SOURCE="Studio B"', 2)["first"] == 40
    done = streams.run("aplay", "-q", "-D", "aes67:SOURCE=Studio A", *OPEN, "2", "/dev/null")
    assert 'no source "Studio A"' in done.stderr
    (streams.folder / "streams").unlink()
    done = streams.run("aplay", "-q", "-D", "aes67:SOURCE=Studio B", *OPEN, "2", "/dev/null")
    assert "list of streams cannot be read: No such file" in done.stderr


@pytest.mark.parametrize(
    "line",
    ["source 0 4 99 x", "source 0 4 0 x", "source 0 1023 2 x", "source 0 -1 2 x", "source 0 4 2x",
     "source", "source 0 99999999999 2 x", "source 0 4 2", "sink 0 4 2 x", "s" * 2000, "\0\0\0",
     "source 0 x 2 x", "source 0 1,2,3 2 x", "source 0 1, 2 x", "source 0 1,2000 2 x",
     "source 0 1,,2 2 x", "source 0 " + "1," * 70 + "1 71 x"],
)  # fmt: skip
def test_a_broken_line_is_passed_over(streams: Mock, line: str) -> None:
    (streams.folder / "streams").write_text(f"{line}\nsource 9 44 2 x\n")
    assert opened(streams, "aplay", "aes67:SOURCE=x", 2)["first"] == 44


def names_shown(mock: Mock, program: str) -> list[str]:
    lines = mock.run(program, "-L").stdout.splitlines()
    return [line for line in lines if line.startswith("aes67:")]


def test_lists_show_sources_to_players_and_sinks_to_recorders(streams: Mock) -> None:
    assert names_shown(streams, "aplay") == [
        'aes67:SOURCE="Studio A"', "aes67:SOURCE=\"Küche, 1.2 'x'\"", 'aes67:SOURCE="7"',
        'aes67:SOURCE="odd"', "aes67:SOURCE=5",
    ]  # fmt: skip
    assert names_shown(streams, "arecord") == ['aes67:SINK="Studio A"']
    assert "AES67 source 0: Studio A (channels 4 to 5)" in streams.run("aplay", "-L").stdout
    write(streams, [])
    assert names_shown(streams, "aplay") == []


def test_what_is_listed_can_be_opened(streams: Mock) -> None:
    for device in names_shown(streams, "aplay"):
        opened(streams, "aplay", device, 2)


def test_the_control_device_passes_names_over(streams: Mock) -> None:
    done = streams.run("amixer", "-D", "aes67:SOURCE=nobody", "scontrols")
    assert (done.returncode, done.stderr) == (0, "")


@given(st.text(max_size=80), st.lists(st.integers(0, 1023), min_size=1, max_size=4))
def test_any_name_is_one_line_of_each(name: str, channels: list[int]) -> None:
    stream = Named("source", 1, name, tuple(channels))
    assert len(table([stream]).splitlines()) == 2
    assert len(listing([stream]).splitlines()) == 1 + stream.can_be_opened


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 900), st.integers(1, 64))))
def test_the_list_made_of_the_table_is_the_list(rows: list[tuple[str, int, int]]) -> None:
    """As root makes it of what the daemon's user has written."""
    streams = [
        Named("sink", number, name, tuple(range(first, first + count)))
        for number, (name, first, count) in enumerate(rows)
        if name.isprintable()
    ]
    assert listing(read_table(table(streams))) == listing(streams)


@given(st.text())
def test_any_table_makes_a_list_of_names_and_nothing_else(text: str) -> None:
    lines = listing(read_table(text)).splitlines()[1:]
    for line in lines:
        assert re.fullmatch(r'namehint\.pcm\.aes67_(source|sink)_\d+ "(\\"|[^"\\])*"', line)


def test_a_file_of_the_installed_kind_is_listed_too(streams: Mock, tmp_path: Path) -> None:
    """The list as alsa-lib finds it in a directory of its configuration, not by our hook."""
    conf = tmp_path / "alsa.conf"
    found = "/usr/share/alsa/alsa.conf"
    conf.write_text((streams.folder / "aes67.conf").read_text().split("# the streams of")[0])
    path = f"{found}:{conf}:{streams.folder / 'streams.conf'}"
    done = subprocess.run(["aplay", "-L"], capture_output=True, text=True,
                          env=streams.environment | {"ALSA_CONFIG_PATH": path})  # fmt: skip
    assert 'aes67:SOURCE="Studio A"' in done.stdout
