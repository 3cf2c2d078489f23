"""The judge of the self-tests: it must pass what is right and name what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.selftest.compare import KEPT_DIFFERENCES, Comparator, Verdict
from aes67.selftest.samples import FORMATS, encode, truncate
from aes67.selftest.signal import BLOCK_FRAMES, Signal, chunks
from aes67.selftest.whereabouts import NOWHERE, Whereabouts

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
    assert verdict == Verdict("every sample identical", 6000, 0, 100, 200)
    assert verdict.ok


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


ACCIDENTS = {
    "lost": lambda data, frame, count: cut(data, frame, count),
    "silent": lambda data, frame, count: blank(data, frame, count),
    "put in": lambda data, frame, count: insert(data, frame, bytes(count * FRAME)),
    "twice": lambda data, frame, count: insert(data, frame, stretch(frame - count, count)),
    "foreign": lambda data, frame, count: insert(
        cut(data, frame, count), frame, b"\1\2\3\4\5\6" * count
    ),
}


@settings(max_examples=40, deadline=None)
@given(
    accidents=st.lists(
        st.tuples(
            st.sampled_from(list(ACCIDENTS)), st.integers(0, 30), st.integers(2, 60)
        ),
        min_size=1, max_size=4, unique_by=lambda each: each[1],
    ),
    step=st.integers(50, 5000),
)  # fmt: skip
def test_every_accident_is_found_and_what_is_between_them_is_compared(
    accidents: list[tuple[str, int, int]], step: int
) -> None:
    """From the last one to the first, so that each is made where it is said to be."""
    data = recording()
    for kind, tenth, count in sorted(accidents, key=lambda each: -each[1]):
        data = ACCIDENTS[kind](data, 500 + 150 * tenth, count)
    verdict = judge(data, step=step)
    told = [(each.frame, each.words) for each in verdict.differences]
    words = {
        "lost": "{} frames were skipped", "silent": "{} frames of silence in their place",
        "put in": "{} frames of silence were put in", "twice": "{} frames came twice",
        "foreign": "{} frames of other values in their place",
    }  # fmt: skip
    assert told == [
        (500 + 150 * tenth, words[kind].format(count))
        for kind, tenth, count in sorted(accidents, key=lambda each: each[1])
    ]
    assert verdict.places == len(accidents)
    assert verdict.differing_frames == sum(count for _, _, count in accidents)
    assert (verdict.frames, verdict.tail_frames, verdict.otherwise) == (6000, 200, "")


@pytest.mark.parametrize(
    ("at", "blank_frames", "cut_frames", "words"),
    [
        (100, 0, 40_000, "40000 frames were skipped"),
        (20_000, 0, 60_000, "60000 frames were skipped"),
        (20_000, 100_000, 0, "100000 frames of silence in their place"),
        (20_000, 50_000, 9, "50000 frames of silence, then the signal 9 frames further on"),
    ],
)
def test_long_accidents(at: int, blank_frames: int, cut_frames: int, words: str) -> None:
    """The signal repeats every 65521 frames."""
    signal = Signal(frames=4 * BLOCK_FRAMES, channels=2)
    data = bytearray(b"".join(chunks(signal, S24, 100, 70_000)))
    if blank_frames:
        data = blank(data, at, blank_frames)
    verdict = judge(cut(data, at + blank_frames, cut_frames), signal, step=10_000)
    assert [each.words for each in verdict.differences] == [words]
    assert verdict.differing_frames == blank_frames + cut_frames
    assert (verdict.frames, verdict.otherwise) == (signal.frames, "")


def test_a_difference_has_the_instant_at_which_it_came() -> None:
    data = bytes(blank(blank(recording(), 960, 48), 2000, 48))
    comparator = Comparator(SIGNAL, S24, 24)
    for number in range(0, len(data) // FRAME, 100):
        comparator.feed(data[number * FRAME : (number + 100) * FRAME], 1_000_000 + number)
    instants = [each.at_ns for each in comparator.verdict().differences]
    assert instants == [1_000_000 + 1000, 1_000_000 + 2100]


def test_differences_without_end_are_counted_and_a_bounded_number_kept() -> None:
    signal = Signal(frames=(KEPT_DIFFERENCES + 10) * 50, channels=2)
    data = bytearray(b"".join(chunks(signal, S24, 0, 0)))
    for frame in range(25, signal.frames, 50):
        data[frame * FRAME] ^= 1
    verdict = judge(data, signal, step=10_000)
    assert (verdict.places, verdict.differing_frames) == (KEPT_DIFFERENCES + 10,) * 2
    assert len(verdict.differences) == KEPT_DIFFERENCES
    assert f"{KEPT_DIFFERENCES + 10} frames differ in {KEPT_DIFFERENCES + 10} places" in (
        verdict.reason
    )


@pytest.mark.parametrize("channels", [1, 2, 64])
@pytest.mark.parametrize("bits", [16, 24, 32])
def test_every_place_of_the_signal_is_known(channels: int, bits: int) -> None:
    block = truncate(Signal(frames=1, channels=channels).block(), bits)
    places = Whereabouts(block).places(np.concatenate((block, block[:3])))
    assert np.array_equal(places, np.arange(BLOCK_FRAMES))
    silence = np.zeros((100, channels), np.int32)
    assert (Whereabouts(block).places(silence) == NOWHERE).all()
    assert Whereabouts(block).first(np.concatenate((silence, block[-8:], block[:8]))) == (
        100, BLOCK_FRAMES - 8,
    )  # fmt: skip
    assert Whereabouts(block).first(np.concatenate((silence, block[:15]))) is None


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
