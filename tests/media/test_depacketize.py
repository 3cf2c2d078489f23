"""What a sink believes of the packets that reach it: sender, order, time. Named by the accident."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.media import depacketize
from aes67.media.depacketize import DROPPED, HISTORY_PACKETS, Arrival, accept
from aes67.media.rtp import Packet
from aes67.media.state import SINK_STATE
from aes67.shm.layout import (
    CODEC_L24,
    GAP_BINS,
    GAP_SHARE,
    LEG_COUNTERS,
    SINK_COUNTERS,
    SINK_ROW,
    TIMING_ASYNC,
    TIMING_DIRECT,
    TIMING_LATCHED,
)
from reference import media as twin

RATE = 48_000
FRAMES = 48
DELAY = 96
TYPE = 98
SSRC = 0x1234
NOW = 10**11
EARLY = 8768
MS = 1_000_000


class Sink:
    """One sink and the time at which packets reach it."""

    def __init__(self, timing: int = TIMING_DIRECT, offset: int = 0) -> None:
        self.row = np.zeros(1, SINK_ROW.dtype)[0]
        self.row["payload_type"] = TYPE
        self.row["codec"] = CODEC_L24
        self.row["channels"] = 2
        self.row["frames_per_packet"] = FRAMES
        self.row["ts_offset"] = offset
        self.row["delay_frames"] = DELAY
        self.row["timing"] = timing
        self.state = np.zeros(1, SINK_STATE)[0]
        self.state["candidate"] = -1
        self.counters = np.zeros(1, SINK_COUNTERS.dtype)[0]
        self.counters["ssrc"] = -1
        self.legs = np.zeros(2, LEG_COUNTERS.dtype)
        self.legs["ssrc"] = -1
        self.legs["margin_min_frames"] = np.iinfo(np.int64).max
        self.history = np.zeros(HISTORY_PACKETS, np.uint8)
        depacketize.unlatch(self.row, self.state, self.counters)
        self.now = NOW

    def hear(
        self, number: int, *, ssrc: int = SSRC, kind: int = TYPE, size: int = FRAMES * 6,
        timestamp: int | None = None, now: int | None = None, leg: int = 0,
    ) -> int:  # fmt: skip
        """Packet `number`, by default of the direct sender that has just finished it."""
        self.now = NOW + (number + 1) * FRAMES if now is None else now
        if timestamp is None:
            timestamp = NOW + number * FRAMES + int(self.row["ts_offset"])
        packet = Packet(1, kind, number % 2**16, timestamp % 2**32, ssrc, 3, size)
        media_ns = self.now * 1_000_000_000 // RATE
        arrival = Arrival(
            self.now, media_ns, RATE, self.now // 12 * 12, EARLY, RATE // GAP_SHARE
        )
        way = self.legs[leg]
        return int(accept(self.row, self.state, self.counters, way, self.history, packet, arrival))

    def count(self, name: str) -> int:
        return int(self.counters[name])

    def leg(self, name: str, leg: int = 0) -> int:
        return int(self.legs[leg][name])

    def lost(self, leg: int = 0) -> int:
        return self.leg("expected", leg) - self.leg("packets", leg)


@pytest.mark.parametrize("offset", [0, 1, 0x8000_0000, 0xFFFF_FFFF])
def test_a_direct_sender_lands_at_timestamp_plus_delay(offset: int) -> None:
    sink = Sink(offset=offset)
    for number in range(5):
        assert sink.hear(number) == NOW + number * FRAMES + DELAY
    assert sink.count("lost") == sink.count("sequence_errors") == 0
    assert sink.count("timestamp_errors") == sink.leg("jitter_q4") == 0
    assert sink.leg("margin_frames") == sink.leg("margin_min_frames") == DELAY - FRAMES


def test_another_payload_type_is_not_ours() -> None:
    sink = Sink()
    assert sink.hear(0, kind=97) == DROPPED
    assert sink.count("wrong_payload_type") == 1
    assert sink.count("ssrc") == -1, "and its sender is not followed"


@pytest.mark.parametrize("size", [0, 1, 5, FRAMES * 6 + 1, FRAMES * 6 - 3])
def test_a_payload_of_broken_frames_is_dropped(size: int) -> None:
    sink = Sink()
    assert sink.hear(0, size=size) == DROPPED
    assert sink.count("wrong_length") == 1


def test_packets_of_changing_length_have_no_wrong_timestamps() -> None:
    """VLC cuts 50 ms into six packets of 347 frames and one of 318."""
    sink, stamp = Sink(), NOW
    for number, frames in enumerate([318, 347, 347, 318, 347, 1, 64]):
        sink.hear(number, size=frames * 6, timestamp=stamp, now=stamp + frames)
        stamp += frames
    assert sink.count("timestamp_errors") == 0
    sink.hear(7, timestamp=stamp + 1, now=stamp + FRAMES)
    assert sink.count("timestamp_errors") == 1


def test_packets_of_another_length_are_accepted() -> None:
    sink = Sink()
    assert sink.hear(0, size=6 * 6) == NOW + DELAY


def test_a_late_packet_is_dropped_and_counted() -> None:
    sink = Sink()
    assert sink.hear(0, now=NOW + DELAY + 12) == DROPPED
    assert sink.count("late") == 1
    assert sink.hear(1, now=NOW + DELAY + 12) == NOW + FRAMES + DELAY


def test_a_packet_far_ahead_is_dropped_and_counted() -> None:
    sink = Sink()
    assert sink.hear(0, now=NOW + DELAY + FRAMES - EARLY) == NOW + DELAY
    assert sink.hear(1, now=NOW + DELAY + 2 * FRAMES - EARLY - 1) == DROPPED
    assert sink.count("early") == 1


def test_loss_is_counted_and_a_late_arrival_takes_it_back() -> None:
    sink = Sink()
    for number in (0, 1, 4):
        sink.hear(number)
    assert (sink.count("lost"), sink.count("sequence_errors")) == (2, 1)
    sink.hear(2, now=NOW + 5 * FRAMES)
    assert (sink.count("lost"), sink.count("reordered")) == (1, 1)
    sink.hear(2, now=NOW + 5 * FRAMES)
    assert (sink.count("lost"), sink.count("reordered")) == (1, 1), "a second copy is no news"


@given(
    start=st.integers(0, 2**16 - 1),
    order=st.permutations(range(40)),
    kept=st.lists(st.booleans(), min_size=40, max_size=40),
    twice=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_loss_and_reordering_equal_a_memory_without_end(
    start: int, order: list[int], kept: list[bool], twice: list[bool]
) -> None:
    sink = Sink()
    book = twin.Sequence16()
    for number in order:
        for _ in range(kept[number] + (kept[number] and twice[number])):
            sink.hear(start + number, now=NOW + (start + 41) * FRAMES)
            book.receive(start + number)
    if book.first is not None:
        assert sink.count("lost") == book.lost
        assert sink.count("reordered") == book.reordered


def test_a_sender_that_starts_again_elsewhere_is_one_discontinuity() -> None:
    sink = Sink()
    sink.hear(0)
    sink.hear(1)
    for number in range(20_000, 20_010):
        sink.hear(number)
    assert (sink.count("sequence_errors"), sink.count("lost")) == (1, 0)


def test_a_timestamp_that_does_not_follow_its_sequence_is_counted() -> None:
    sink = Sink()
    sink.hear(0)
    sink.hear(1, timestamp=NOW + FRAMES + 7)
    sink.hear(3, timestamp=NOW + 3 * FRAMES + 7)
    assert sink.count("timestamp_errors") == 1


def test_jitter_follows_rfc_3550() -> None:
    sink = Sink()
    late = [0, 0, 16, 0, 16, 5]
    expected, before = 0, late[0]
    for number, extra in enumerate(late):
        sink.hear(number, now=NOW + (number + 1) * FRAMES + extra)
        if number:
            expected += abs(extra - before) - ((expected + 8) >> 4)
            before = extra
    assert sink.leg("jitter_q4") == expected > 0


class TestLegs:
    """What came which way, whether the other leg made good for it or not."""

    def test_each_leg_has_its_own_loss(self) -> None:
        sink = Sink()
        for number in range(100):
            if number % 10:
                sink.hear(number, leg=0)
            if number % 7:
                sink.hear(number, leg=1)
        assert (sink.leg("packets", 0), sink.leg("packets", 1)) == (90, 85)
        assert (sink.lost(0), sink.lost(1)) == (9, 14), "what was missing before the first is not"
        assert sink.count("lost") == 2 - 1, "0 and 70, of which 0 was before the first"

    def test_a_late_arrival_takes_loss_back_and_is_reordered(self) -> None:
        sink = Sink()
        for number in (0, 1, 4, 2):
            sink.hear(number, now=NOW + 5 * FRAMES)
        assert (sink.lost(), sink.leg("reordered")) == (1, 1)

    def test_a_sender_that_starts_again_loses_nothing(self) -> None:
        sink = Sink()
        for number in (0, 1, 2, 20_000, 20_001, 100, 101):
            sink.hear(number)
        assert sink.lost() == 0

    def test_numbers_wrap(self) -> None:
        sink = Sink()
        for number in range(65_530, 65_550, 2):
            sink.hear(number)
        assert (sink.leg("packets"), sink.lost()) == (10, 9)

    def test_another_sender_begins_anew(self) -> None:
        sink = Sink()
        sink.hear(0)
        for number in range(1000, 1100):
            sink.hear(number, ssrc=7)
        assert sink.leg("wrong_ssrc") == 50
        assert sink.leg("packets") == 51
        assert sink.lost() == 0

    def test_refusals_are_counted_where_they_came(self) -> None:
        sink = Sink()
        sink.hear(0)
        sink.hear(1, kind=97, leg=1)
        sink.hear(1, size=5, leg=1)
        sink.hear(1, now=NOW + 10 * DELAY, leg=1)
        sink.hear(1000, timestamp=NOW + EARLY + 100 * FRAMES, now=NOW, leg=1)
        names = ("wrong_payload_type", "wrong_length", "late", "early")
        assert [sink.leg(name, 1) for name in names] == [1, 1, 1, 1]
        assert [sink.leg(name, 0) for name in names] == [0, 0, 0, 0]
        assert sink.leg("margin_min_frames", 1) == FRAMES + DELAY - 10 * DELAY

    @pytest.mark.parametrize(
        ("frames", "found"),
        [(0, 0), (5, 0), (6, 1), (12, 2), (47, 3), (48, 4), (95, 4), (96, 5), (10**6, 11)],
    )
    def test_times_between_packets_are_counted_in_octaves(self, frames: int, found: int) -> None:
        """At 48 kHz the first bin ends at 6 frames, 125 us."""
        sink = Sink()
        sink.hear(0, now=NOW + FRAMES)
        sink.hear(1, now=NOW + FRAMES + frames)
        assert [int(each) for each in sink.legs[0]["gaps"]] == [
            int(index == found) for index in range(GAP_BINS)
        ]
        assert sink.leg("gap_max_frames") == frames


class TestSenders:
    def test_a_stranger_is_dropped_while_the_sender_sends(self) -> None:
        sink = Sink()
        for number in range(200):
            assert sink.hear(number) != DROPPED
            assert sink.hear(number, ssrc=7) == DROPPED
        assert sink.count("wrong_ssrc") == 200
        assert sink.count("switched_ssrc") == 0

    def test_a_successor_is_followed_after_50_ms_of_its_packets(self) -> None:
        sink = Sink()
        sink.hear(0)
        dropped = 0
        for number in range(1000, 1200):
            if sink.hear(number, ssrc=7) != DROPPED:
                break
            dropped += 1
        assert dropped == 50
        assert sink.count("wrong_ssrc") == 50
        assert sink.count("switched_ssrc") == 1
        assert sink.count("ssrc") == 7
        assert sink.count("sequence_errors") == 0, "its numbering is its own"

    def test_one_stray_packet_long_after_the_last_is_not_followed(self) -> None:
        sink = Sink()
        sink.hear(0)
        assert sink.hear(5000, ssrc=7) == DROPPED

    def test_two_rivals_do_not_take_over_together(self) -> None:
        sink = Sink()
        sink.hear(0)
        for number in range(1, 300):
            assert sink.hear(number, ssrc=7 + number % 2) == DROPPED


@pytest.mark.parametrize("timing", [TIMING_LATCHED, TIMING_ASYNC])
class TestLatched:
    """A sender whose timestamps have a random offset; async sinks behave alike for now."""

    OFFSET = 0xDEAD_BEEF

    def hear(self, sink: Sink, number: int, late: int = 0, offset: int = OFFSET) -> int:
        now = NOW + (number + 1) * FRAMES + late
        return sink.hear(number, timestamp=NOW + number * FRAMES + offset, now=now)

    def test_the_offset_comes_from_the_first_agreeing_packets(self, timing: int) -> None:
        sink = Sink(timing)
        found = [self.hear(sink, number) for number in range(5)]
        assert found[:3] == [DROPPED] * 3
        assert found[3:] == [NOW + number * FRAMES + DELAY for number in (3, 4)]
        assert sink.count("latched") == 1
        assert sink.count("offset_frames") == self.OFFSET
        assert sink.count("slips") == 0

    def test_the_earliest_arrival_sets_it(self, timing: int) -> None:
        sink = Sink(timing)
        for number, late in enumerate([90, 30, 60, 45]):
            first = self.hear(sink, number, late)
        assert first == NOW + 3 * FRAMES + 30 + DELAY

    def test_packets_that_disagree_latch_nothing(self, timing: int) -> None:
        sink = Sink(timing)
        for number in range(40):
            assert self.hear(sink, number, offset=number * 1000) == DROPPED
        assert sink.count("latched") == 0

    def test_a_sender_that_sends_50_ms_at_once_is_latched_by_its_earliest(
        self, timing: int
    ) -> None:
        """VLC's packets: 50 ms in seven, at the moment in which the last of them is complete."""
        sink = Sink(timing)
        sink.row["delay_frames"] = 4000
        found, first, number = [], NOW, 0
        for burst in range(40):
            moved = 4500 if burst >= 20 else 0  # what comes later than the delay is found anew
            for frames in (318, 347, 347, 347, 347, 347, 347):
                heard = sink.hear(
                    number, size=frames * 6, timestamp=first + self.OFFSET,
                    now=NOW + (burst + 1) * 2400 + moved,
                )  # fmt: skip
                found.append(heard - first - moved if heard != DROPPED else DROPPED)
                first, number = first + frames, number + 1
        assert found[6 * 7 : 20 * 7] == [4000] * 14 * 7
        assert found[20 * 7 : 24 * 7] == [DROPPED] * 4 * 7
        assert found[26 * 7 :] == [4000] * 14 * 7
        assert (sink.count("latched"), sink.count("slips")) == (1, 1)

    def test_one_late_packet_is_late_and_no_slip(self, timing: int) -> None:
        sink = Sink(timing)
        for number in range(10):
            self.hear(sink, number)
        assert self.hear(sink, 10, late=DELAY + FRAMES) == DROPPED
        assert self.hear(sink, 11) != DROPPED
        assert (sink.count("late"), sink.count("slips")) == (1, 0)

    @pytest.mark.parametrize("jump", [-3000, 3000, 10**6])
    def test_another_offset_is_followed_after_50_ms(self, timing: int, jump: int) -> None:
        sink = Sink(timing)
        for number in range(10):
            self.hear(sink, number)
        moved = self.OFFSET + jump
        for number in range(10, 300):
            self.hear(sink, number, offset=moved)
            if sink.count("slips"):
                break
        assert number - 10 == 50
        assert sink.count("slips") == 1
        assert sink.count("offset_frames") == moved % 2**32
        assert self.hear(sink, number + 1, offset=moved) == NOW + (number + 1) * FRAMES + DELAY

    def test_a_new_sender_is_latched_anew(self, timing: int) -> None:
        sink = Sink(timing)
        for number in range(10):
            self.hear(sink, number)
        for number in range(10, 80):
            now = NOW + (number + 1) * FRAMES
            sink.hear(number, ssrc=9, timestamp=number * FRAMES, now=now)
        assert sink.count("switched_ssrc") == sink.count("slips") == 1
        assert sink.count("offset_frames") == (-NOW) % 2**32

    def test_a_clock_that_drifts_slips_instead_of_drifting_away(self, timing: int) -> None:
        """One frame in 50 packets, 400 ppm: the sink stays within reach, every slip is counted."""
        sink = Sink(timing)
        kept = 0
        for number in range(30_000):
            kept += self.hear(sink, number, late=number // 50) != DROPPED
        assert sink.count("late") == 50 * sink.count("slips") > 0
        assert kept > 0.8 * 30_000


@given(
    st.sampled_from([TIMING_DIRECT, TIMING_LATCHED]),
    st.lists(
        st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2),
                  st.integers(0, 2048), st.integers(0, 5000)),
        max_size=40,
    ),
)  # fmt: skip
def test_whatever_comes_lands_within_reach_or_is_counted(
    timing: int, packets: list[tuple[int, int, int, int, int]]
) -> None:
    sink = Sink(timing)
    now = NOW
    for sequence, timestamp, ssrc, size, step in packets:
        now += step
        first = sink.hear(sequence, timestamp=timestamp, ssrc=ssrc, size=size, now=now)
        if first != DROPPED:
            assert now // 12 * 12 <= first
            assert first + size // 6 <= now + EARLY
    assert all(int(sink.counters[name]) >= 0 for name in ("lost", "reordered"))
    assert sink.leg("jitter_q4") >= 0
