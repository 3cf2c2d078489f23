"""Reading the bus: every final frame once, nothing torn, nothing of a strange memory believed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.shm.layout import bus_reach_frames
from aes67.shm.region import create
from aes67.streamer.capture import Capture
from sim.capture_memory import CaptureMemory, sine

TOO_LATE = bus_reach_frames(48000) * 3 // 4


@pytest.fixture
def memory() -> Iterator[CaptureMemory]:
    made = CaptureMemory()
    yield made
    made.close()


@pytest.fixture
def capture(memory: CaptureMemory) -> Iterator[Capture]:
    made = Capture(*memory.descriptors())
    yield made
    made.close()


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 12_000), st.integers(1, 24_000)), max_size=20))
def test_every_frame_comes_once_and_in_order(steps: list[tuple[int, int]]) -> None:
    memory = CaptureMemory(channels=2, done=65_536 * 7 - 5_000)
    capture = Capture(*memory.descriptors())
    try:
        position = memory.done
        for frames, most in steps:
            memory.advance(frames)
            if memory.done - position > TOO_LATE:
                break
            block = capture.read([1], most)
            assert (block.first, block.lost) == (position, 0)
            assert block.frames == min(memory.done - position, most)
            expected = sine(1, 48000, position, block.frames)
            assert np.array_equal(block.samples[1], expected)
            position += block.frames
    finally:
        capture.close()
        memory.close()


def test_who_comes_too_late_goes_on_at_the_end(memory: CaptureMemory, capture: Capture) -> None:
    memory.advance(TOO_LATE + 1)
    block = capture.read([0], 48_000)
    assert (block.frames, block.lost) == (0, TOO_LATE + 1)
    memory.advance(480)
    assert capture.read([0], 48_000).frames == 480


@pytest.mark.parametrize("frames", [-500_000_000, 10**15])
def test_a_jump_of_the_clock(memory: CaptureMemory, capture: Capture, frames: int) -> None:
    memory.jump(frames)
    assert capture.read([0], 48_000).frames == 0
    memory.advance(48)
    block = capture.read([0], 48_000)
    assert (block.first, block.frames, block.lost) == (memory.done - 48, 48, 0)


def test_what_was_overwritten_while_it_was_copied_is_given_up(
    memory: CaptureMemory, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.advance(480)
    row = capture._row

    def slow(*arguments: Any) -> Any:
        memory.jump(48_000)
        return row(*arguments)

    monkeypatch.setattr(capture, "_row", slow)
    block = capture.read([0], 48_000)
    assert (block.frames, block.samples[0].size, block.lost) == (0, 0, 480)


def test_channels_the_bus_has_not_are_silent(memory: CaptureMemory, capture: Capture) -> None:
    memory.advance(48)
    block = capture.read([-1, 7, 8], 48)
    assert [block.samples[each].any() for each in (-1, 7, 8)] == [False, True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [("magic", 1), ("major", 9), ("rate", 0), ("channels", 0), ("channels", 1025),
     ("channels", 9), ("frames", 0), ("frames", 1000), ("frames", 131072), ("frames", -65536)],
)  # fmt: skip
def test_a_bus_that_makes_no_sense_is_refused(
    memory: CaptureMemory, field: str, value: int
) -> None:
    memory.header[0][field] = value
    descriptors = memory.descriptors()
    with pytest.raises(WireError):
        Capture(*descriptors)
    for each in descriptors:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each)


def test_a_clock_page_that_is_none_is_refused(memory: CaptureMemory) -> None:
    memory.page[0]["magic"] = 7
    with pytest.raises(WireError):
        Capture(*memory.descriptors())
    tiny = create("tiny", 64, read_only_for_others=False)
    with pytest.raises(WireError):
        Capture(os.dup(tiny.fd), memory.descriptors()[1])
    tiny.close()


def test_it_cannot_write(memory: CaptureMemory, capture: Capture) -> None:
    assert not capture._samples.flags.writeable
