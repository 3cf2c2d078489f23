"""The ALSA names: arguments, errors, the listing, and that no sound card's name changes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aes67.selftest import child
from plugin.harness import HERE, Mock

OPEN = ["-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "8", "/dev/null"]
ENVIRONMENT = {"AES67_CARD_RAVENNA": "aes67"}


def error_of(mock: Mock, device: str, extra: dict[str, str] | None = None) -> str:
    """Standard error of an aplay that opens and sets up the device; "" when all went well."""
    done = mock.run("aplay", "-q", "-D", device, *OPEN, extra=extra)
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


@pytest.mark.parametrize(
    "device",
    [
        "aes67", "aes67hw", "RAVENNA", "aes67:8", "aes67:CHANNELS=8", "RAVENNA:8", "aes67hw:8,4",
        "aes67hw:FIRST=56", "aes67hw:8,0,,no,100", "aes67hw:EXCLUSIVE=yes", "plug:aes67hw:8",
        "plug:'aes67:8'", "plug:SLAVE='aes67hw:CHANNELS=8'", "aes67:2", "aes67:CHANNELS=64",
    ],
)  # fmt: skip
def test_name(device: str, steady: Mock) -> None:
    assert error_of(steady, device) == ""


def test_arguments_reach_the_engine(steady: Mock) -> None:
    process = steady.popen(
        ["aplay", "-q", "-D", "aes67hw:CHANNELS=8,FIRST=16,EXCLUSIVE=yes", *OPEN[:-1], "/dev/zero"]
    )
    stats = steady.wait_for(lambda stats: stats["streams"])
    hello = stats["hellos"][0]
    assert (hello["channels"], hello["first"], hello["exclusive"]) == (8, 16, 1)
    assert (hello["application"], hello["pid"]) == ("aplay", process.pid)
    assert hello["device"] == "aes67hw:CHANNELS=8,FIRST=16,EXCLUSIVE=yes"
    assert stats["streams"][0]["first"] == 16
    child.kill(process)
    steady.wait_for(lambda stats: not stats["clients"])


@pytest.mark.parametrize(
    ("device", "text"),
    [
        ("aes67hw:65", "channels must be an integer from 0 to 64"),
        ("aes67hw:-1", "channels must be an integer from 0 to 64"),
        ("aes67hw:eight", "Parameter CHANNELS must be an integer"),
        ("aes67hw:FIRST=1024", "first must be an integer from 0 to 1023"),
        ("aes67hw:8,57", "8 channels from device channel 57: the device has 64"),
        ("aes67hw:0,64", "1 channels from device channel 64: the device has 64"),
        ("aes67hw:EXCLUSIVE=perhaps", "exclusive must be yes or no"),
        ("aes67hw:GRACE=-1", "grace must be an integer from 0 to 3600000"),
        ("aes67hw:COLOUR=red", "Unknown parameter COLOUR"),
        ("aes67hw:SERVER=/nowhere", "cannot reach the engine at /nowhere: No such file"),
        (f"aes67hw:SERVER=/{'x' * 200}", "longer than a socket's path may be (107 bytes)"),
        ("aes67hw:4", "Channels count non available"),
    ],
)
def test_wrong_argument_is_named(device: str, text: str, steady: Mock) -> None:
    assert text in error_of(steady, device)


@pytest.mark.parametrize(
    ("answer", "text", "error"),
    [
        ({"status": -16}, "the channels from 4 on are in use", "Device or resource busy"),
        ({"status": -22}, "the device has no 2 channels from device channel 4", "Invalid argument"),
        ({"status": -19}, "refuses: No such device", "No such device"),
        ({"status": 5}, "speaks another version of the protocol than 1", "No such device"),
        ({"major": 2}, "speaks another version of the protocol than 1", "No such device"),
        ({"rate_count": 9}, "speaks another version of the protocol than 1", "No such device"),
        ({"channels_max": 65}, "speaks another version", "No such device"),
        ({"bus_channels": 5}, "2 channels from device channel 4: the device has 5", "Invalid arg"),
    ],
)
def test_refusal_is_told(answer: dict[str, int], text: str, error: str, steady: Mock) -> None:
    steady.do("hello_answer", **answer)
    told = error_of(steady, "aes67hw:2,4")
    steady.do("hello_answer")
    assert text in told
    assert f"audio open error: {error}" in told


def test_a_busy_device_says_what_may_keep_it_busy(steady: Mock) -> None:
    steady.do("setup_status", number=-errno.EBUSY)
    told = error_of(steady, "aes67hw:8,4")
    steady.do("setup_status", number=0)
    assert "8 channels from 4 at 48000 Hz: Device or resource busy (in use exclusively " in told


def test_unknown_field_of_a_definition(steady: Mock) -> None:
    own = steady.folder / "own.conf"
    own.write_text('pcm.odd { type aes67 colour red comment "fine" hint.show off }\n')
    path = f"{steady.environment['ALSA_CONFIG_PATH']}:{own}"
    assert "unknown field colour" in error_of(steady, "odd", {"ALSA_CONFIG_PATH": path})


def test_users_default_counts(steady: Mock) -> None:
    own = steady.folder / "own.conf"
    own.write_text("defaults.aes67.first 60\n")
    path = f"{steady.environment['ALSA_CONFIG_PATH']}:{own}"
    assert "Channels count non available" in error_of(steady, "aes67hw", {"ALSA_CONFIG_PATH": path})


def test_search_for_the_socket(steady: Mock, tmp_path: Path) -> None:
    nobody = {"AES67_SERVER": "", "XDG_RUNTIME_DIR": str(tmp_path)}
    if not os.path.exists("/run/aes67/alsa.sock"):
        text = error_of(steady, "aes67hw", nobody)
        assert "no engine is running, start aes67-daemon" in text
        assert f"/tmp/aes67-{os.geteuid()}/alsa.sock" in text
        (steady.folder / "aes67").mkdir()
        (steady.folder / "aes67" / "alsa.sock").symlink_to(steady.socket)
        assert error_of(steady, "aes67hw", nobody | {"XDG_RUNTIME_DIR": str(steady.folder)}) == ""
    assert error_of(steady, "aes67hw", {"XDG_RUNTIME_DIR": "/nowhere"}) == ""


def test_listing(steady: Mock) -> None:
    lines = steady.run("aplay", "-L").stdout.splitlines()
    for name in ("aes67", "aes67hw", "RAVENNA"):
        assert "AES67 / RAVENNA network audio" in lines[lines.index(name) + 1]


CARDS = ["0", "1", "PCH", "Generic", "card-9", "9,9,9", "CARD=PCH,DEV=3", "/dev/snd/controlC0",
         "RAVENNA", "RAVENNA,0", "a b", "default"]  # fmt: skip
NAMES = [
    *(f"{kind}:{name}:{card}" for kind, name in (("pcm", "hw"), ("pcm", "plughw"), ("ctl", "hw"))
      for card in CARDS),
    "pcm:hw", "pcm:plughw", "ctl:hw", "pcm:default", "ctl:default", "pcm:null", "pcm:plug:null",
    "pcm:hw:1,2,3,4", "pcm:hw:DEV=x", "pcm:plughw:NO=1", "pcm:dmix", "pcm:front:PCH", "pcm:nothing",
]  # fmt: skip


def fields(lines: Iterator[str], above: str = "") -> dict[str, str]:
    """The fields of a saved definition by full name; their order means nothing."""
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.strip().partition(" ")
        if key in ("}", "]"):
            break
        if value in ("{", "["):
            found |= fields(lines, f"{above}{key}.")
        else:
            found[above + key] = value
    return found


def trees(names: list[str], environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "config_tree.py"), *names]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=30
    )
    found: dict[str, str | int] = json.loads(done.stdout)
    return {
        name: value if isinstance(value, int) else fields(iter(value.splitlines()))
        for name, value in found.items()
    }


def test_no_other_name_changes(steady: Mock) -> None:
    """The same definition or the same error for every card, ours installed or not."""
    system = {"ALSA_CONFIG_PATH": steady.environment["ALSA_CONFIG_PATH"].split(":")[0]}
    bare = {key: value for key, value in os.environ.items() if key != "ALSA_CONFIG_PATH"}
    without = trees(NAMES, bare | system)
    assert trees(NAMES, steady.environment) == without
    assert without["pcm hw:PCH"]["type"] == "hw"
    assert without["pcm plughw:PCH"]["slave.pcm.card"] == "PCH"
    chosen = trees(NAMES, steady.environment | ENVIRONMENT)
    changed = {name for name in chosen if chosen[name] != without[name]}
    assert changed == {
        f"{name}:{card}" for name in ("pcm hw", "pcm plughw", "ctl hw")
        for card in ("RAVENNA", "RAVENNA,0") if name != "ctl hw" or card == "RAVENNA"
    }  # fmt: skip


def test_no_other_error_changes(steady: Mock) -> None:
    for device in ("hw:PCH", "plughw:7", "hw:RAVENNA"):
        assert "Cannot get card index for" in error_of(steady, device)
    assert "Cannot get card index for PCH" in error_of(steady, "hw:PCH", ENVIRONMENT)


@pytest.mark.parametrize("device", ["hw:RAVENNA", "plughw:RAVENNA", "hw:RAVENNA,0"])
def test_card_name_by_environment(device: str, steady: Mock) -> None:
    assert error_of(steady, device, ENVIRONMENT) == ""


def test_documented_commands_of_the_kernel_driver(
    mocks: Callable[..., Mock], tmp_path: Path
) -> None:
    """As its users have them in their scripts; only -l, -d 1 and the fast clock are the test's."""
    steady = mocks("--speed", "20", "--channels", "2")
    play = "speaker-test -D plughw:RAVENNA -r 48000 -c 2 -t sine -l 1"
    done = steady.run(*play.split(), extra=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    record = "arecord -D plughw:RAVENNA -c 2 -f cd -d 1 -r 48000 -t wav"
    done = steady.run(*record.split(), str(tmp_path / "sink.wav"), extra=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sink.wav").stat().st_size == 44 + 48000 * 4
    done = steady.run("amixer", "-D", "hw:RAVENNA", "sget", "Master", extra=ENVIRONMENT)
    assert "0.00dB" in done.stdout


def test_the_grace_time_is_the_same_wherever_it_is_said() -> None:
    root = Path(__file__).parents[2]
    said = {
        name: re.findall(pattern, (root / name).read_text(encoding="utf-8"))
        for name, pattern in (
            ("alsa_plugin/params.c", r"GRACE_DEFAULT_MS (\d+)"),
            ("alsa_plugin/aes67.conf", r"defaults\.aes67\.grace (\d+)"),
            ("docs/alsa-names.md", r"`GRACE` \| (\d+)"),
        )
    }
    assert set(map(tuple, said.values())) == {("10000",)}, said
