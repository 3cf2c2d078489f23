"""The judge of the self-tests: it must pass what is right and name what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.selftest.compare import Comparator, Verdict
from aes67.selftest.samples import FORMATS, encode, truncate
from aes67.selftest.signal import BLOCK_FRAMES, Signal, chunks

S24 = FORMATS["S24_3LE"]
SIGNAL = Signal(frames=6000, channels=2)
FRAME = 6  # bytes of a stereo S24_3LE frame


def recording(lead: int = 100, tail: int = 200) -> bytearray:
    return bytearray(b"".join(chunks(SIGNAL, S24, lead, tail)))


def judge(data: bytes, signal: Signal = SIGNAL, step: int = 0) -> Verdict:
    comparator = Comparator(signal, S24, 24)
    for start in range(0, len(data), step or max(1, len(data))):
        comparator.feed(bytes(data[start : start + (step or len(data))]))
    return comparator.verdict()


def test_an_identical_recording_passes() -> None:
    verdict = judge(recording())
    assert verdict == Verdict(True, "every sample identical", 6000, 0, 100, 200)


@settings(max_examples=20, deadline=None)
@given(step=st.integers(1, 40000), lead=st.integers(0, 300), tail=st.integers(0, 300))
def test_the_pieces_it_comes_in_do_not_matter(step: int, lead: int, tail: int) -> None:
    if step < 50:
        step += 50
    verdict = judge(recording(lead, tail), step=step)
    assert (verdict.ok, verdict.lead_frames, verdict.tail_frames) == (True, lead, tail)


@settings(max_examples=30, deadline=None)
@given(frame=st.integers(0, 5999), byte=st.integers(0, 5), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_found(frame: int, byte: int, bit: int) -> None:
    data = recording()
    data[(100 + frame) * FRAME + byte] ^= 1 << bit
    verdict = judge(data)
    assert not verdict.ok
    if frame >= 16:  # a flip in the first frames hides where the signal begins, which fails too
        assert verdict.difference is not None
        assert (verdict.difference.frame, verdict.difference.channel) == (frame, byte // 3)
        assert verdict.differing_frames == 1


def cut(data: bytearray, frame: int, count: int) -> bytearray:
    del data[(100 + frame) * FRAME : (100 + frame + count) * FRAME]
    return data


def blank(data: bytearray, frame: int, count: int) -> bytearray:
    data[(100 + frame) * FRAME : (100 + frame + count) * FRAME] = bytes(count * FRAME)
    return data


def insert(data: bytearray, frame: int, content: bytes) -> bytearray:
    data[(100 + frame) * FRAME : (100 + frame) * FRAME] = content
    return data


def stretch(frame: int, count: int) -> bytes:
    return bytes(recording()[(100 + frame) * FRAME : (100 + frame + count) * FRAME])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (blank(recording(), 960, 48), "48 frames of silence in their place"),
        (cut(recording(), 960, 48), "48 frames were skipped"),
        (insert(recording(), 960, bytes(48 * FRAME)), "48 frames of silence were put in"),
        (insert(recording(), 960, stretch(912, 48)), "48 frames came twice"),
        (insert(cut(recording(), 960, 96), 960, bytes(48 * FRAME)), "48 frames further on"),
        (cut(recording(), 0, 48), "first 48 frames are missing"),
        (insert(recording(), 6000, stretch(10, 4)), "no silence 0 frames after the end"),
        (recording()[: 3000 * FRAME], "ends 3100 frames before"),
        (bytearray(5000), "nothing but silence"),
        (bytearray(b"\1\2\3\4\5\6" * 500), "does not begin with the signal"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "recording",
)
def test_the_reason_is_named(data: bytearray, words: str) -> None:
    verdict = judge(data)
    assert not verdict.ok
    assert words in verdict.reason


def test_the_signal_repeats_and_its_length_still_counts() -> None:
    signal = Signal(frames=BLOCK_FRAMES * 2 + 100, channels=1)
    data = b"".join(chunks(signal, S24, 10, 10))
    assert judge(data, signal, step=50001).ok
    shorter = data[: 3000 * 3] + data[(3000 + BLOCK_FRAMES) * 3 :]
    assert "silence, for at least 10 frames" in judge(shorter, signal).reason
    assert "before the signal does" in judge(shorter[: -10 * 3], signal).reason


@pytest.mark.parametrize("wire_bits", [16, 24, 32])
@pytest.mark.parametrize("name", FORMATS)
def test_a_narrower_wire_is_expected_to_cut_bits(name: str, wire_bits: int) -> None:
    form = FORMATS[name]
    signal = Signal(frames=500, channels=2)
    wire = truncate(signal.played(form), wire_bits)[:500]
    comparator = Comparator(signal, form, wire_bits)
    comparator.feed(encode(wire, form) + bytes(form.sample_bytes * 2))
    assert comparator.verdict().ok
    assert not np.array_equal(wire, signal.block()[:500]) or (name, wire_bits) == ("S32_LE", 32)
