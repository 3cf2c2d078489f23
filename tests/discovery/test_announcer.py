"""The SAP announcer on a virtual clock: what is sent when, read back by our own parser."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from aes67.discovery.announcer import PACE_NS, Announcer
from aes67.wire import sap
from sim.tshark import dissect, malformed, udp_datagrams

S = 1_000_000_000
ME = "10.0.0.1"


def text(number: int, version: int = 1) -> str:
    return f"v=0\no=- {number} {version} IN IP4 {ME}\ns=node {number}\nt=0 0\n"


class Air:
    """Runs an announcer and keeps what it sent: (time in ns, message)."""

    def __init__(self, announcer: Announcer) -> None:
        self.announcer, self.now = announcer, 0
        self.sent: list[tuple[int, sap.SapMessage]] = []

    def until(self, seconds: float) -> None:
        end = int(seconds * S)
        while (due := self.announcer.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.announcer.handle_timer(self.now)
            self.sent += [(self.now, sap.parse(each)) for each in self.announcer.outgoing()]
        self.now = end

    def announce(self, *texts: str, origin: str = ME) -> None:
        self.announcer.announce(dict(enumerate(texts)), origin, self.now)

    def times(self, *, deletion: bool) -> list[float]:
        return [time / S for time, message in self.sent if message.deletion is deletion]


def test_announced_at_once_and_then_every_interval() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(text(1))
    air.until(95)
    assert air.times(deletion=False) == [0, 30, 60, 90]
    message = air.sent[0][1]
    assert message.payload == text(1).encode()
    assert (message.origin, message.payload_type, message.compressed) == (
        ME, "application/sdp", False,
    )  # fmt: skip


def test_nothing_to_announce_needs_no_timer() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce()
    assert air.announcer.next_deadline() is None


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 200), (0.5, 300), (0.75, 350)])
def test_automatic_interval_is_300_s_give_or_take_a_third(chance: float, seconds: float) -> None:
    air = Air(Announcer(0, lambda: chance))
    air.announce(text(1))
    air.until(seconds + 1)
    assert air.times(deletion=False) == [0, pytest.approx(seconds)]


def test_automatic_interval_grows_with_what_the_group_carries() -> None:
    announcer = Announcer(0, lambda: 0.5)
    announcer.heard_bytes = 500_000  # 4 Mbit at 4000 bit/s: 1000 s
    air = Air(announcer)
    air.announce(text(1))
    air.until(1100)
    assert len(air.sent) == 2
    assert air.sent[1][0] > 1000 * S


def test_a_change_is_announced_at_once_and_the_old_one_deleted_three_times() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(text(1))
    air.until(10)
    air.announce(text(1, 2))
    air.until(200)
    old, new = air.sent[0][1], air.sent[2][1]
    assert old.message_hash != new.message_hash
    assert [round(time) for time in air.times(deletion=True)] == [10, 30, 60]
    assert [round(time) for time in air.times(deletion=False)] == [0, 10, 30, 60, 90, 120, 150, 180]
    for _, message in air.sent:
        if message.deletion:
            assert message.message_hash == old.message_hash
            assert message.payload == f"o=- 1 1 IN IP4 {ME}\n".encode()
    first_deletion = next(i for i, (_, each) in enumerate(air.sent) if each.deletion)
    assert air.sent[first_deletion + 1][1].payload == text(1, 2).encode()


def test_a_removed_session_is_deleted_three_times_and_then_all_is_quiet() -> None:
    air = Air(Announcer(1, lambda: 0.0))
    air.announce(text(1))
    air.until(0.5)
    air.announce()
    air.until(100)
    assert [round(time, 1) for time in air.times(deletion=True)] == [0.5, 1, 2]
    assert air.announcer.next_deadline() is None


def test_back_to_the_old_description_stops_its_deletion() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    for version in (1, 2, 1):
        air.announce(text(1, version))
        air.until(air.now / S + 1)
    first = air.sent[0][1].message_hash
    air.sent.clear()
    air.until(200)
    assert {each.message_hash for _, each in air.sent if not each.deletion} == {first}
    assert first not in {each.message_hash for _, each in air.sent if each.deletion}


def test_another_address_is_another_announcer() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(text(1))
    air.until(1)
    air.announce(text(1), origin="10.0.0.2")
    air.until(2)
    assert [(each.origin, each.deletion) for _, each in air.sent] == [
        (ME, False), ("10.0.0.2", False), (ME, True),
    ]  # fmt: skip
    air.announce(text(1), text(2), origin="10.0.0.2")
    air.until(200)
    assert sum(each.deletion for _, each in air.sent) == 3
    assert {each.origin for _, each in air.sent if each.deletion} == {ME}


def test_a_place_that_is_left_gets_deletions_and_the_others_hear_everything_again() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(text(1), text(2))
    air.until(1)
    gone = [sap.parse(each) for each in air.announcer.deletions()]
    assert [(each.deletion, each.message_hash) for each in gone] == [
        (True, each.message_hash) for _, each in air.sent
    ]
    air.sent.clear()
    air.announcer.announce_again()
    air.until(2)
    assert [each.payload for _, each in air.sent] == [text(1).encode(), text(2).encode()]


def test_64_sources_go_out_one_by_one_with_64_hashes() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(*(text(number) for number in range(64)))
    air.until(29)
    assert len(air.sent) == 64
    assert all(b[0] - a[0] >= PACE_NS for a, b in pairwise(air.sent))
    assert air.sent[-1][0] < S


def test_no_two_sessions_of_ours_share_a_hash() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    texts = [text(number) for number in range(900)]
    hashes = {sap.message_hash(each.encode()) for each in texts}
    assert len(hashes) < 900  # the checksum alone collides
    air.announce(*texts)
    air.until(29)
    assert len({each.message_hash for _, each in air.sent}) == 900


def test_the_end_deletes_each_session_once() -> None:
    air = Air(Announcer(30, lambda: 0.0))
    air.announce(text(1), text(2))
    air.until(1)
    air.announce(text(1, 5), text(2))
    last = [sap.parse(each) for each in air.announcer.close()]
    assert [each.deletion for each in last] == [True] * 3
    assert len({each.message_hash for each in last}) == 3
    assert air.announcer.next_deadline() is None
    air.until(100)
    assert air.announcer.close() == []


@pytest.mark.parametrize("late", [0.4, 1000])
def test_a_late_timer_sends_one_round(late: float) -> None:
    announcer = Announcer(1, lambda: 0.0)
    announcer.announce({0: text(1)}, ME, 0)
    announcer.handle_timer(0)
    announcer.outgoing()
    announcer.handle_timer(int((1 + late) * S))
    assert len(announcer.outgoing()) == 1


def test_a_shorter_interval_counts_at_once() -> None:
    air = Air(Announcer(300, lambda: 0.0))
    air.announce(text(1))
    air.until(10)
    air.announcer.change_interval(2, air.now)
    air.until(15)
    assert air.times(deletion=False) == [0, 12, 14]


@pytest.mark.peer("tshark")
def test_tshark_reads_what_is_announced_and_deleted(tmp_path: Path) -> None:
    announcer = Announcer(30, lambda: 0.0)
    announcer.announce({0: text(7)}, ME, 0)
    announcer.handle_timer(0)
    frames = udp_datagrams([*announcer.outgoing(), *announcer.close()], 9875, "224.2.127.254")
    fields = ("sap.flags.t", "sap.originating_source", "sap.payload_type", "sdp.owner")
    origin = f"- 7 1 IN IP4 {ME}"
    rows = dissect(tmp_path, frames, fields)
    assert [row[1:] for row in rows] == [[ME, "application/sdp", origin]] * 2
    assert [row[0] in ("1", "True") for row in rows] == [False, True]
    assert malformed(tmp_path, frames) in ([], ["", ""], [""])
