"""RTCP reports from counters and back: what one node says is what the other one shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.session.reports import (
    FORGET_NS,
    MAX_REPORTERS,
    Receiving,
    Reports,
    Sending,
    rtp_timestamp,
)
from aes67.wire import rtcp, rtcp_reader

S = 1_000_000_000
NOW = 1000 * S
UNIX = 1_700_000_000 * S
SSRC = 0xABCD


def pair() -> tuple[Reports, Reports]:
    """A sender of SSRC and a receiver of it."""
    sender, receiver = Reports(1, b"sender@10.0.0.1"), Reports(2, b"receiver@10.0.0.2")
    sender.sending({SSRC})
    return sender, receiver


def leg(**changes: int) -> Receiving:
    fields = {"expected": 1000, "packets": 1000, "last_sequence": 7, "jitter": 3} | changes
    return Receiving(ssrc=SSRC, **fields)


def test_a_sender_report_says_what_the_counters_say() -> None:
    sender, receiver = pair()
    data = sender.of_source(Sending(SSRC, 4711, 4711 * 288, 99), UNIX)
    receiver.receive(data, "10.0.0.1", NOW)
    found = receiver.sender(SSRC, NOW + S)
    assert found is not None
    assert (found.report.packets, found.report.octets) == (4711, 4711 * 288)
    assert found.report.rtp_timestamp == 99
    assert found.report.ntp_time >> 32 == UNIX // S + 2_208_988_800
    assert found.address == "10.0.0.1"
    assert receiver.name(SSRC) == "sender@10.0.0.1"


def test_a_receiver_report_reaches_the_sender() -> None:
    sender, receiver = pair()
    receiver.receive(sender.of_source(Sending(SSRC, 1, 1, 1), UNIX), "10.0.0.1", NOW)
    data = receiver.of_sink(leg(expected=1000, packets=990), NOW + S // 2)
    sender.receive(data, "10.0.0.2", NOW + S)
    (found,) = sender.reporters(SSRC, NOW + S)
    assert (found.address, found.ssrc, sender.name(2)) == ("10.0.0.2", 2, "receiver@10.0.0.2")
    assert found.block.cumulative_lost == 10
    assert found.block.jitter == 3
    assert found.block.delay == 65536 // 2
    assert found.block.last_report == (rtcp.ntp_time(UNIX) >> 16) % 2**32


def test_the_fraction_lost_counts_since_the_last_report() -> None:
    _, receiver = pair()

    def fraction(expected: int, packets: int) -> int:
        data = receiver.of_sink(leg(expected=expected, packets=packets), NOW)
        report, _ = rtcp_reader.parse(data)
        assert isinstance(report, rtcp.ReceiverReport)
        return report.blocks[0].fraction_lost

    assert fraction(1000, 750) == 64
    assert fraction(2000, 1750) == 0
    assert fraction(2100, 1750) == 255, "all of them: what fits"
    assert fraction(2200, 1950) == 0, "more than expected: copies, or late ones"
    assert fraction(10, 5) == 128, "the counters were reset"


def test_sequence_numbers_are_counted_on_over_their_wrap() -> None:
    _, receiver = pair()
    found = []
    for sequence in (65_000, 65_500, 100, 600):
        report, _ = rtcp_reader.parse(receiver.of_sink(leg(last_sequence=sequence), NOW))
        assert isinstance(report, rtcp.ReceiverReport)
        found.append(report.blocks[0].highest_sequence)
    assert found == [65_000, 65_500, 65_536 + 100, 65_536 + 600]


def test_a_goodbye_is_the_end_of_a_sender_and_of_a_receiver() -> None:
    sender, receiver = pair()
    receiver.receive(sender.of_source(Sending(SSRC, 1, 1, 1), UNIX), "10.0.0.1", NOW)
    receiver.receive(sender.goodbye(SSRC), "10.0.0.1", NOW)
    assert receiver.sender(SSRC, NOW) is None
    sender.receive(receiver.of_sink(leg(), NOW), "10.0.0.2", NOW)
    sender.receive(receiver.goodbye(2), "10.0.0.2", NOW)
    assert sender.reporters(SSRC, NOW) == []


def test_who_is_silent_for_five_intervals_has_gone() -> None:
    sender, receiver = pair()
    receiver.receive(sender.of_source(Sending(SSRC, 1, 1, 1), UNIX), "10.0.0.1", NOW)
    sender.receive(receiver.of_sink(leg(), NOW), "10.0.0.2", NOW)
    assert receiver.sender(SSRC, NOW + FORGET_NS) is not None
    assert receiver.sender(SSRC, NOW + FORGET_NS + 1) is None
    assert len(sender.reporters(SSRC, NOW + FORGET_NS)) == 1
    assert sender.reporters(SSRC, NOW + FORGET_NS + 1) == []


def test_reports_on_sources_that_are_not_ours_are_not_kept() -> None:
    _, receiver = pair()
    other = Reports(3, b"other")
    other.receive(receiver.of_sink(leg(), NOW), "10.0.0.2", NOW)
    assert other.reporters(SSRC, NOW) == []


def test_a_thousand_names_of_one_stranger_are_not_all_kept() -> None:
    sender, _ = pair()
    for number in range(1000):
        stranger = Reports(100_000 + number, b"x" * 255)
        sender.receive(stranger.of_sink(leg(), NOW), "10.0.0.9", NOW)
        sender.receive(stranger.of_source(Sending(number, 1, 1, 1), UNIX), "10.0.0.9", NOW)
    assert len(sender.reporters(SSRC, NOW)) == MAX_REPORTERS
    assert len(sender.names) == MAX_REPORTERS


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_octets_leave_the_book_usable(datagrams: list[bytes]) -> None:
    sender, receiver = pair()
    for data in datagrams:
        sender.receive(data, "10.0.0.9", NOW)
    good = receiver.of_sink(leg(), NOW)
    for index in range(len(good)):
        broken = bytearray(good)
        broken[index] ^= 0xFF
        sender.receive(bytes(broken), "10.0.0.9", NOW)
    sender.receive(good, "10.0.0.2", NOW)
    assert any(each.address == "10.0.0.2" for each in sender.reporters(SSRC, NOW))


@given(
    st.integers(0, 2**40), st.integers(-(2**33), 2**33), st.integers(0, 65535),
    st.integers(0, 2**40), st.integers(0, 2**50),
)  # fmt: skip
def test_any_counters_can_be_reported(
    expected: int, lost: int, sequence: int, jitter: int, now: int
) -> None:
    _, receiver = pair()
    data = receiver.of_sink(leg(expected=expected, packets=expected - lost, last_sequence=sequence,
                                jitter=jitter), now)  # fmt: skip
    assert len(rtcp_reader.parse(data)) == 2


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_the_timestamp_of_an_instant_is_its_frame(rate: int) -> None:
    assert rtp_timestamp(10 * S, rate) == 10 * rate
    assert rtp_timestamp(10 * S + S // 2, rate, offset=5) == 10 * rate + rate // 2 + 5
    assert rtp_timestamp(10**18, rate) == 10**9 * rate % 2**32
