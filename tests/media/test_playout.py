"""The capture bus against a dictionary, and the demultiplexer against another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.media import demux, playout
from aes67.shm.layout import SINK_ROW
from reference import media as twin

BUS_FRAMES = 128
MARKS_FRAMES = 64
MARKS = MARKS_FRAMES // playout.MARK_BITS
DEVICES = 6
STALE = 99


def sink(channel_map: list[int]) -> np.void:
    row = np.zeros(1, SINK_ROW.dtype)[0]
    row["channels"] = len(channel_map)
    row["map"][: len(channel_map)] = channel_map
    return row


maps = st.lists(st.integers(-1, DEVICES - 1), min_size=1, max_size=DEVICES, unique=True)
packets = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 40)), max_size=4)


@given(maps, st.lists(st.tuples(packets, st.integers(0, 40)), min_size=1, max_size=12))
def test_the_bus_holds_what_came_first_and_silence_where_nothing_came(
    channel_map: list[int], rounds: list[tuple[list[tuple[int, int]], int]]
) -> None:
    row = sink(channel_map)
    bus = np.full((DEVICES, BUS_FRAMES), STALE, np.int32)
    marks = np.zeros(MARKS, np.int64)
    book = twin.Bus()
    begin, serial = 1000, 0
    for packets, step in rounds:
        for ahead, frames in packets:
            serial += 1
            rows = [tuple(range(serial * 1000 + 8 * f, serial * 1000 + 8 * f + len(channel_map)))
                    for f in range(frames)]  # fmt: skip
            samples = np.array(rows, np.int32).ravel()
            expected = book.place(begin + ahead, rows)
            assert playout.count_present(marks, begin + ahead, frames) == expected
            playout.place(bus, marks, row, samples, begin + ahead, expected)
            assert playout.count_present(marks, begin + ahead, frames) == frames
        missing = book.finalise(begin, begin + step, len(channel_map))
        assert playout.finalise(bus, marks, row, begin, begin + step) == missing
        for frame in range(begin, begin + step):
            for channel, device in enumerate(channel_map):
                if device >= 0:
                    assert bus[device, frame % BUS_FRAMES] == book.heard[frame][channel]
        begin += step
    for device in set(range(DEVICES)) - set(channel_map):
        assert (bus[device] == STALE).all(), "a channel of somebody else"


@pytest.mark.parametrize("gap", [MARKS_FRAMES, MARKS_FRAMES + 5, BUS_FRAMES, 10 * BUS_FRAMES + 3])
def test_a_long_stall_leaves_no_old_sound(gap: int) -> None:
    row = sink([2])
    bus = np.full((DEVICES, BUS_FRAMES), STALE, np.int32)
    marks = np.zeros(MARKS, np.int64)
    playout.place(bus, marks, row, np.array([7, 8], np.int32), 1010, 0)
    assert playout.finalise(bus, marks, row, 1000, 1000 + gap) == gap - 2
    assert not marks.any()
    newest = [frame % BUS_FRAMES for frame in range(1000 + gap - min(gap, BUS_FRAMES), 1000 + gap)]
    heard = bus[2, newest]
    assert set(heard.tolist()) <= {0, 7, 8}
    assert np.count_nonzero(heard) == (2 if gap <= BUS_FRAMES else 0)


@given(st.integers(0, 10**6), st.integers(0, 3 * BUS_FRAMES))
def test_silence_reaches_exactly_its_frames(first: int, frames: int) -> None:
    bus = np.full((2, BUS_FRAMES), STALE, np.int32)
    playout.silence(bus, 1, first, frames)
    slots = {frame % BUS_FRAMES for frame in range(first, first + frames)}
    assert [slot for slot in range(BUS_FRAMES) if bus[1, slot] == 0] == sorted(slots)
    assert (bus[0] == STALE).all()


@given(
    st.integers(0, 10**6),
    st.integers(0, MARKS_FRAMES),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_marks_are_a_set_of_frames(first: int, frames: int, others: list[int]) -> None:
    marks = np.zeros(MARKS, np.int64)
    for other in others:
        playout.set_marks(marks, other, 1)
    book = {other % MARKS_FRAMES for other in others}
    wanted = {frame % MARKS_FRAMES for frame in range(first, first + frames)}
    assert playout.count_present(marks, first, frames) == len(book & wanted)
    playout.set_marks(marks, first, frames)
    marked = {frame for frame in range(MARKS_FRAMES) if playout.is_marked(marks, frame)}
    assert marked == book | wanted
    playout.clear_marks(marks, first, frames)
    marked = {frame for frame in range(MARKS_FRAMES) if playout.is_marked(marks, frame)}
    assert marked == book - wanted
    assert (marks >= 0).all()


legs = st.lists(
    st.tuples(st.integers(0, 15), st.sampled_from([1, 2, 3, 512, 0xEF010001, 0xFFFFFFFF])
              | st.integers(0, 2**32 - 1)),
    max_size=128,
)  # fmt: skip


@given(legs, st.tuples(st.integers(0, 15), st.integers(0, 2**32 - 1)))
def test_every_leg_is_found_by_its_address(
    wanted: list[tuple[int, int]], stranger: tuple[int, int]
) -> None:
    keys = np.full(demux.TABLE_SIZE, demux.EMPTY, np.int64)
    heads = np.zeros(demux.TABLE_SIZE, np.int64)
    chain = np.zeros(128, np.int64)
    book: dict[tuple[int, int], list[int]] = {}
    for leg, key in enumerate(wanted):
        demux.insert(keys, heads, chain, *key, leg)
        book.setdefault(key, []).insert(0, leg)
    for key, expected in (book | {stranger: book.get(stranger, [])}).items():
        found = []
        leg = demux.find(keys, heads, *key)
        while leg != demux.EMPTY:
            found.append(leg)
            leg = chain[leg]
        assert found == expected
