"""aplay, the mock's loop, arecord: every bit, with silence around it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin.harness import Mock, random_frames

WIDTHS = {"S16_LE": 2, "S24_3LE": 3, "S24_LE": 4, "S32_LE": 4, "FLOAT_LE": 4}
LIMITS = ["--buffer-time=400000", "--period-time=25000"]

# format, rate, channels, arguments of aplay, arguments of arecord, device
PAIRWISE = [
    ("S16_LE", 48000, 2, [], [], "aes67hw"),
    ("S24_3LE", 48000, 8, ["-M"], ["-M"], "RAVENNA"),
    ("S32_LE", 48000, 64, [], ["-M"], "aes67hw"),
    ("FLOAT_LE", 48000, 1, ["-M"], [], "aes67hw"),
    ("S24_LE", 44100, 2, [], ["-M"], "aes67hw"),
    ("S32_LE", 44100, 1, ["-M"], [], "aes67"),
    ("S16_LE", 96000, 64, ["-M"], [], "aes67"),
    ("S24_3LE", 96000, 2, ["-N"], [], "aes67hw"),
    ("S32_LE", 192000, 8, [], [], "RAVENNA"),
    ("FLOAT_LE", 384000, 2, [], ["-M"], "aes67hw"),
    ("S16_LE", 88200, 1, [], [], "aes67hw:1"),
    ("S24_3LE", 176400, 1, [], [], "aes67hw"),
    ("S24_LE", 352800, 2, ["-M"], ["-M"], "aes67hw"),
]


def payload(form: str, frames: int, channels: int) -> bytes:
    """Random frames that are canonical in their format."""
    data = random_frames(frames, channels * WIDTHS[form])
    if form == "S24_LE":
        return (np.frombuffer(data, "<i4") >> 8).astype("<i4").tobytes()
    if form == "FLOAT_LE":  # what 24 bits can say
        return ((np.frombuffer(data, "<i4") >> 8) / np.float32(2**23)).astype("<f4").tobytes()
    return data


def record_while(mock: Mock, command: list[str], play: Callable[[], None]) -> bytes:
    """What arecord writes until everything that `play` sent has come back."""
    path = mock.folder / "recorded.raw"
    path.unlink(missing_ok=True)
    recorder = mock.popen(["arecord", "-q", "-t", "raw", *command, str(path)])
    deadline = time.monotonic() + 10
    while not path.exists() or path.stat().st_size == 0:
        assert time.monotonic() < deadline, recorder.poll()
        time.sleep(0.01)
    play()
    time.sleep(0.2)
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=60)
    return path.read_bytes()


def find(recorded: bytes, sent: bytes) -> None:
    """`sent` is in the recording once, whole, and there is only silence around it."""
    start = recorded.find(sent[:64])
    assert start >= 0, "nothing of it was recorded"
    assert recorded[start : start + len(sent)] == sent
    assert not recorded[:start].strip(b"\0")
    assert not recorded[start + len(sent) :].strip(b"\0")


@pytest.mark.parametrize(("form", "rate", "channels", "play", "record", "device"), PAIRWISE)
def test_bit_exact(
    form: str, rate: int, channels: int, play: list[str], record: list[str], device: str,
    mocks: Callable[..., Mock],
) -> None:  # fmt: skip
    mock = mocks("--rate", str(rate))
    sent = payload(form, rate // 5, channels)
    source = mock.folder / "sent.raw"
    source.write_bytes(sent)
    common = ["-D", device, "-f", form, "-r", str(rate), "-c", str(channels), *LIMITS]

    def run() -> None:
        done = mock.run("aplay", "-q", "-t", "raw", *common, *play, str(source))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    find(record_while(mock, [*common, *record], run), sent)


def test_two_players_on_channels_of_their_own(steady: Mock) -> None:
    sent = [payload("S32_LE", 9600, 2), random_frames(9600, 8, seed=2)]
    common = ["-f", "S32_LE", "-r", "48000", *LIMITS]
    for number, data in enumerate(sent):
        (steady.folder / f"{number}.raw").write_bytes(data)

    def run() -> None:
        players = [
            steady.popen(
                ["aplay", "-q", "-t", "raw", "-c", "2", *common]
                + ["-D", f"aes67hw:FIRST={2 * n}", str(steady.folder / f"{n}.raw")]
            )
            for n in range(2)
        ]
        for player in players:
            assert player.communicate(timeout=60) == (b"", b"")

    recorded = record_while(steady, ["-D", "aes67hw:4", "-c", "4", *common], run)
    frames = np.frombuffer(recorded, "<i4").reshape(-1, 4)
    for number, data in enumerate(sent):
        find(frames[:, 2 * number : 2 * number + 2].tobytes(), data)


def test_two_players_on_one_channel_are_summed(steady: Mock) -> None:
    level = np.full(9600, 1 << 28, "<i4").tobytes()
    path = steady.folder / "level.raw"
    path.write_bytes(level)
    common = ["-f", "S32_LE", "-r", "48000", "-c", "1", "-D", "aes67hw", *LIMITS]

    def run() -> None:
        command = ["aplay", "-q", "-t", "raw", *common, str(path)]
        for player in [steady.popen(command), steady.popen(command)]:
            assert player.communicate(timeout=60) == (b"", b"")

    recorded = record_while(steady, common, run)
    assert set(np.frombuffer(recorded, "<i4").tolist()) <= {0, 1 << 28, 1 << 29}


def test_a_narrower_recording_is_the_top_of_it(steady: Mock, tmp_path: Path) -> None:
    """S32 played, S16 and S24_3LE recorded: truncation, nothing else."""
    sent = payload("S32_LE", 9600, 2)
    source = tmp_path / "sent.raw"
    source.write_bytes(sent)
    common = ["-r", "48000", "-c", "2", "-D", "aes67hw", *LIMITS]

    def run() -> None:
        steady.run("aplay", "-q", "-t", "raw", "-f", "S32_LE", *common, str(source))

    wide = np.frombuffer(sent, "<i4")
    find(record_while(steady, ["-f", "S16_LE", *common], run), (wide >> 16).astype("<i2").tobytes())
    top = wide.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    find(record_while(steady, ["-f", "S24_3LE", *common], run), top)


@pytest.mark.parametrize("form", ["U8", "S16_BE", "FLOAT64_LE", "MU_LAW"])
def test_other_formats_go_through_plug(form: str, steady: Mock) -> None:
    common = ["-f", form, "-r", "44100", "-c", "3", "-d", "1", "/dev/zero"]
    done = steady.run("aplay", "-q", "-D", "aes67", *common)
    assert (done.returncode, done.stderr) == (0, "")
    done = steady.run("aplay", "-q", "-D", "aes67hw", *common)
    assert done.returncode == 1
    assert "Sample format non available" in done.stderr
