"""The contract's flags: latched until read, and honest about what is not known."""

from __future__ import annotations

import pytest

from aes67.control.flag_windows import FlagWindows
from aes67.control.flags import flags, is_sending, leg_missing, minimum_time_ms
from aes67.shm.layout import SINK_COUNTERS

NOW = 10**18
ZERO = {field.name: 0 for field in SINK_COUNTERS.fields} | {
    "identity": 7, "margin_min_frames": 2**63 - 1,
}  # fmt: skip
INT64_MAX = 2**63 - 1


def test_without_an_engine_all_is_muted() -> None:
    found = flags(None, None, NOW)
    assert found["muted"] is found["all_muted"] is True
    assert found["receiving_rtp_packet"] is False


@pytest.mark.parametrize(
    ("counter", "flag"),
    [
        ("sequence_errors", "rtp_seq_id_error"), ("wrong_ssrc", "rtp_ssrc_error"),
        ("wrong_payload_type", "rtp_payload_type_error"), ("timestamp_errors", "rtp_sac_error"),
        ("packets", "receiving_rtp_packet"), ("silent_frames", "muted"),
    ],
)  # fmt: skip
def test_growth_since_the_last_read_sets_a_flag_once(counter: str, flag: str) -> None:
    now = ZERO | {counter: 5}
    assert flags(now, None, NOW)[flag] is True, "what happened before the first read counts"
    assert flags(now, ZERO | {counter: 3}, NOW)[flag] is True
    assert flags(now, now, NOW)[flag] is False


def test_a_packet_of_a_moment_ago_is_being_received() -> None:
    now = ZERO | {"packets": 5, "last_arrival_media_ns": NOW - 50_000_000}
    assert flags(now, now, NOW)["receiving_rtp_packet"] is True
    assert flags(now, now, NOW + 200_000_000)["receiving_rtp_packet"] is False


def test_silence_now_is_muted_whoever_has_read_before() -> None:
    now = ZERO | {"muted": 1}
    found = flags(now, now, NOW)
    assert (found["muted"], found["all_muted"], found["some_muted"]) == (True, True, False)


def test_another_stream_or_a_restarted_engine_starts_from_nothing() -> None:
    before = ZERO | {"identity": 6, "wrong_ssrc": 100}
    assert flags(ZERO | {"wrong_ssrc": 1}, before, NOW)["rtp_ssrc_error"] is True
    restarted = ZERO | {"wrong_ssrc": 100}
    assert flags(ZERO | {"wrong_ssrc": 1}, restarted, NOW)["rtp_ssrc_error"] is True


@pytest.mark.parametrize(("frames", "rate"), [(48, 48000), (6, 48000), (192, 96000), (7, 44100)])
def test_a_source_is_sending_while_its_packets_are_of_the_last_second(
    frames: int, rate: int
) -> None:
    """As when the clock is lost: what it sent before still counts, but it sends no more."""
    newest = NOW * rate // 10**9 // frames
    sent = {"packets": 5, "last_packet": newest}
    assert is_sending(sent, frames, rate, NOW)
    assert not is_sending(sent, frames, rate, NOW + 1_100_000_000)
    assert not is_sending({"packets": 0, "last_packet": newest}, frames, rate, NOW)
    assert not is_sending(None, frames, rate, NOW)


def test_who_looks_seldom_is_not_told_of_long_ago() -> None:
    """A stream that ended between two looks an hour apart is not being received."""
    time_s = 100.0
    windows = FlagWindows(lambda: time_s)
    then, since = ZERO | {"packets": 5}, ZERO | {"packets": 900}
    assert windows.recent(1, {1: then}) == then
    time_s += 3600
    assert windows.recent(1, {1: since}) == since
    time_s += 2
    assert windows.recent(1, {1: ZERO | {"packets": 950}}) == since, "who looks often sees growth"


def test_the_least_time_is_in_milliseconds() -> None:
    assert minimum_time_ms(None, 48000) == 0
    assert minimum_time_ms(ZERO | {"packets": 1, "margin_min_frames": 480}, 48000) == 10
    assert minimum_time_ms(ZERO | {"packets": 1, "margin_min_frames": -48}, 48000) == 0
    assert minimum_time_ms(ZERO | {"packets": 1, "margin_min_frames": INT64_MAX}, 48000) == 0


def leg(frame: int, ssrc: int = 1) -> dict[str, int]:
    return {"ssrc": ssrc, "last_frame": frame}


def test_one_leg_of_two_that_is_silent_is_some_muted() -> None:
    """After 100 ms; while all is silent it is not some, but all."""
    legs = [leg(10**9), leg(10**9 - 4801)]
    assert leg_missing(legs, 2, 48000)
    assert not leg_missing([leg(10**9), leg(10**9 - 4000)], 2, 48000)
    assert leg_missing([leg(10**9), leg(0, ssrc=-1)], 2, 48000), "never heard"
    assert not leg_missing([leg(0, -1), leg(0, -1)], 2, 48000)
    assert not leg_missing(legs, 1, 48000), "the other one is not wanted"
    assert flags(ZERO, ZERO, NOW, missing=True)["some_muted"]
    assert not flags(ZERO | {"muted": 1}, ZERO, NOW, missing=True)["some_muted"]
