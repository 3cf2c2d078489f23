"""A client's stream header: what is believed, what is counted, what is refused."""

from __future__ import annotations

from itertools import accumulate, chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aes67.media import playback
from aes67.media.playback import Header, observe
from aes67.media.state import PCM_STATE
from aes67.shm.layout import PCM_COUNTERS, RUN_DRAINING, RUN_IDLE, RUN_PAUSED, RUN_RUNNING

RATE = 48_000
RING = 1024
NOW = 10**11
EPOCH = 3


class Client:
    """The engine's view of one stream, tick by tick."""

    def __init__(self) -> None:
        self.state = np.zeros(1, PCM_STATE)[0]
        self.state["run"] = -1
        self.counters = np.zeros(1, PCM_COUNTERS.dtype)[0]

    def look(
        self, now: int, *, run: int = 1, state: int = RUN_RUNNING, anchor: int = NOW,
        start: int = 0, epoch: int = EPOCH, appl: int = 0, clock_epoch: int = EPOCH,
    ) -> int:  # fmt: skip
        header = Header(run, state, anchor, start, epoch, appl)
        return int(observe(header, self.state, self.counters, (now, RATE, clock_epoch), RING))

    @property
    def readable(self) -> tuple[int, int]:
        return int(self.state["from_frame"]), int(self.state["to_frame"])

    @property
    def tail(self) -> tuple[int, int]:
        return int(self.state["tail_from"]), int(self.state["tail_to"])


def test_a_running_stream_is_readable_from_its_start_to_what_is_written() -> None:
    client = Client()
    assert client.look(NOW + 100, start=50, appl=400) == 0
    assert client.readable == (NOW + 50, NOW + 400)
    assert client.counters["fill_frames"] == 300


def test_frames_whose_time_passes_unwritten_are_counted_once() -> None:
    client = Client()
    client.look(NOW, appl=100)
    assert client.look(NOW + 100, appl=100) == 0
    assert client.look(NOW + 130, appl=100) == 30
    assert client.look(NOW + 130, appl=100) == 0
    assert client.look(NOW + 160, appl=140) == 20, "130 to 139 came late, 140 to 159 not at all"
    assert client.look(NOW + 200, appl=300) == 0
    assert client.counters["silence_frames"] == 50


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 260)), max_size=30))
def test_silence_is_exact(steps: list[tuple[int, int]]) -> None:
    """Against a book that knows of every frame whether it was written when its time had passed."""
    client = Client()
    now, appl, counted = NOW, 0, 0
    silent = 0
    for passed, written in steps:
        now += passed
        appl = min(appl + written, now - NOW + RING)
        silent += sum(position >= appl for position in range(counted, now - NOW))
        counted = max(counted, now - NOW)
        client.look(now, appl=appl)
        assert client.counters["silence_frames"] == silent
        assert client.counters["rejects"] == 0


def test_after_the_end_of_a_drain_nothing_is_missing() -> None:
    client = Client()
    client.look(NOW + 90, appl=100)
    assert client.look(NOW + 95, state=RUN_DRAINING, appl=100) == 0
    assert client.readable == (NOW, NOW + 100)
    assert client.look(NOW + 400, state=RUN_DRAINING, appl=100) == 0
    client.look(NOW + 500, state=RUN_IDLE, appl=100)
    assert client.tail == (NOW, NOW + 100)
    assert client.counters["silence_frames"] == 0
    assert client.counters["rejects"] == 0


def test_before_its_anchor_nothing_is_counted() -> None:
    client = Client()
    assert client.look(NOW - 500, start=10, appl=10) == 0
    assert client.look(NOW + 9, start=10, appl=10) == 0
    assert client.look(NOW + 11, start=10, appl=10) == 1


def test_what_was_due_when_a_stream_stops_may_still_be_packed() -> None:
    client = Client()
    client.look(NOW + 90, appl=96)
    client.look(NOW + 100, state=RUN_IDLE, appl=96)
    assert client.readable == (0, 0)
    assert client.tail == (NOW, NOW + 96)


def test_a_stream_that_is_dropped_ends_at_that_moment() -> None:
    client = Client()
    client.look(NOW + 90, appl=900)
    client.look(NOW + 100, state=RUN_IDLE, appl=900)
    assert client.tail == (NOW, NOW + 100)


def test_a_pause_and_a_new_run_keep_the_frames_that_were_due() -> None:
    client = Client()
    client.look(NOW + 90, appl=900)
    client.look(NOW + 100, state=RUN_PAUSED, appl=900)
    resumed = NOW + 500 - 100
    client.look(NOW + 512, run=2, anchor=resumed, start=100, appl=900)
    assert client.tail == (NOW, NOW + 100)
    assert client.readable == (resumed + 100, resumed + 900)


def test_frames_due_after_a_pause_wait_for_the_run_that_goes_on() -> None:
    client = Client()
    client.look(NOW + 90, appl=900)
    client.look(NOW + 130, run=2, state=RUN_PAUSED, start=100, appl=900)
    assert client.tail == (NOW, NOW + 100)
    at_once = Client()
    at_once.look(NOW, anchor=NOW + 3, appl=900)
    at_once.look(NOW + 12, run=2, state=RUN_PAUSED, anchor=NOW + 3, appl=900)
    assert at_once.tail == (NOW + 3, NOW + 3)


def packed(client: Client, begin: int, end: int) -> list[int]:
    """Positions that a packet of the media frames [begin, end) takes, as the tick finds them."""
    state = client.state
    parts = [("tail_from", "tail_to", "tail_anchor"), ("from_frame", "to_frame", "anchor")]
    return [
        frame - int(state[anchor])
        for low, high, anchor in parts
        for frame in range(max(begin, int(state[low])), min(end, int(state[high])))
    ]


@given(st.lists(st.tuples(st.integers(12, 40), st.integers(1, 40)), max_size=6))
def test_every_frame_leaves_once_whatever_is_paused(spans: list[tuple[int, int]]) -> None:
    """Frames to play and to pause for by turns, seen and packed by a tick every 12 frames."""
    client = Client()
    instants = [NOW + passed for passed in accumulate(chain.from_iterable(spans))]
    run, state, anchor, start = 1, RUN_RUNNING, NOW, 0
    carried: list[int] = []
    for now in range(NOW, NOW + sum(map(sum, spans)) + 100, 12):
        while instants and instants[0] <= now:
            at = instants.pop(0)
            run += 1
            if state == RUN_RUNNING:
                state, start = RUN_PAUSED, at - anchor
            else:
                state, anchor = RUN_RUNNING, at - start
        client.look(now, run=run, state=state, anchor=anchor, start=start, appl=RING)
        carried += packed(client, now - 12, now)
    assert carried == list(range(len(carried)))
    assert len(carried) >= sum(played for played, _ in spans)


def test_a_run_that_follows_within_a_tick_does_not_lend_its_frames_to_the_last() -> None:
    """Positions go on over runs: those from the new start on are not the old run's."""
    client = Client()
    client.look(NOW + 90, appl=100)
    client.look(NOW + 400, run=2, anchor=NOW + 300 - 100, start=100, appl=800)
    assert client.tail == (NOW, NOW + 100)


def test_another_clock_epoch_makes_a_stream_idle_until_it_anchors_anew() -> None:
    client = Client()
    client.look(NOW, appl=500)
    client.look(NOW + 10, appl=500, clock_epoch=EPOCH + 1)
    assert client.readable == (0, 0)
    assert client.counters["rejects"] == 0
    client.look(NOW + 20, run=2, start=500, anchor=NOW - 480, epoch=EPOCH + 1, appl=600,
                clock_epoch=EPOCH + 1)  # fmt: skip
    assert client.readable == (NOW + 20, NOW + 120)


def test_only_what_the_ring_still_holds_is_readable() -> None:
    client = Client()
    client.look(NOW + 2000, appl=2500)
    assert client.readable == (NOW + 2500 - RING, NOW + 2500)


def broken(client: Client, rule: int) -> None:
    assert client.state["rule"] == rule
    assert client.readable == (0, 0)
    assert client.counters["rejects"] == 1


def test_more_than_the_ring_ahead_is_refused_until_the_next_run() -> None:
    client = Client()
    client.look(NOW, appl=RING)
    client.look(NOW, appl=RING + 1)
    broken(client, playback.RULE_AHEAD)
    client.look(NOW + 50, appl=RING)
    broken(client, playback.RULE_AHEAD)
    client.look(NOW + 60, run=2, appl=RING)
    assert client.state["rule"] == 0
    assert client.readable == (NOW, NOW + RING)


def test_an_anchor_cannot_move_within_a_run() -> None:
    client = Client()
    client.look(NOW, appl=10)
    client.look(NOW, anchor=NOW + 1, appl=10)
    broken(client, playback.RULE_CHANGED)


def test_an_anchor_can_be_set_until_the_run_starts() -> None:
    client = Client()
    client.look(NOW, state=RUN_IDLE, anchor=0)
    client.look(NOW, anchor=NOW + 5, appl=10)
    assert client.readable == (NOW + 5, NOW + 15)


def test_a_start_days_away_is_refused_but_a_long_run_is_not() -> None:
    client = Client()
    client.look(NOW, anchor=NOW + 2 * 86_400 * RATE)
    broken(client, playback.RULE_ANCHOR)
    old = Client()
    old.look(NOW, appl=10)
    later = NOW + 30 * 86_400 * RATE
    old.look(later, appl=later - NOW + 10)
    assert old.state["rule"] == 0


def test_positions_of_years_are_no_reason_to_refuse() -> None:
    client = Client()
    position = 10 * 365 * 86_400 * RATE
    client.look(NOW, anchor=NOW - position, start=position, appl=position + 10)
    assert client.state["rule"] == 0
    assert client.readable == (NOW, NOW + 10)


def test_numbers_outside_every_range_are_refused() -> None:
    for field in ("run", "start", "appl"):
        client = Client()
        client.look(NOW, **{field: -5})
        broken(client, playback.RULE_NUMBERS)
    client = Client()
    client.look(NOW, state=77)
    broken(client, playback.RULE_NUMBERS)


wild = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.integers(NOW - 2000, NOW + 2000)
    | st.sampled_from([2**61, -(2**61), 2**62, 2**63 - 1, -(2**63)])
)


@given(st.lists(st.tuples(wild, st.integers(-1, 4), wild, wild, wild, wild), max_size=8))
def test_hostile_headers_give_frames_the_ring_can_answer_for(
    headers: list[tuple[int, int, int, int, int, int]],
) -> None:
    client = Client()
    now = NOW
    for run, state, anchor, start, epoch, appl in headers:
        now += 12
        silent = client.look(
            now, run=run, state=state, anchor=anchor, start=start, epoch=epoch, appl=appl
        )
        low, high = client.readable
        assert low <= high
        assert high - low <= RING
        assert high <= max(now, low) + RING
        tail_low, tail_high = client.tail
        assert tail_low <= tail_high <= max(now, tail_low)
        assert tail_high - tail_low <= 2 * RING
        assert 0 <= silent <= 86_400 * RATE + 10**4
        assert client.counters["silence_frames"] >= 0
