"""The description of a source against the contract's lines, and against our own reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import RATES, Config
from aes67.session import identity
from aes67.session.describe import Circumstances, describe
from aes67.wire import sdp
from aes67.wire.sdp_media import audio_streams
from aes67.wire.sdp_timing import timing_advice
from sim.session_samples import NETWORK, SOURCES, source

GMID = "AB-AB-AB-AB-AB-AB-AB-AB"
NOW = Circumstances(Config(custom_node_id="LabDaemon"), NETWORK, 48000, GMID, 2919984763)


def test_the_lines_are_those_of_a_running_daemon() -> None:
    """The text the AES67 daemon itself gave for such a source, but for name and addresses."""
    text = describe(source(1, name="Lab Source"), NOW)
    assert text == (
        "v=0\n"
        "o=- 655618 2919984763 IN IP4 10.0.1.1\n"
        "s=LabDaemon Lab Source\n"
        "t=0 0\n"
        "m=audio 5004 RTP/AVP 98\n"
        "c=IN IP4 239.1.0.2/15\n"
        "a=source-filter: incl IN IP4 239.1.0.2 10.0.1.1\n"
        "a=rtpmap:98 L24/48000/2\n"
        "a=sync-time:0\n"
        "a=framecount:48\n"
        "a=ptime:1\n"
        "a=mediaclk:direct=0\n"
        "a=clock-domain:PTPv2 0\n"
        "a=ts-refclk:ptp=IEEE1588-2008:AB-AB-AB-AB-AB-AB-AB-AB:0\n"
        "a=recvonly\n"
    )


@pytest.mark.parametrize(
    ("changes", "rate", "line"),
    [
        ({"address": "10.0.0.7"}, 48000, "c=IN IP4 10.0.0.7\n"),
        ({"refclk_ptp_traceable": True}, 48000, "a=ts-refclk:ptp=IEEE1588-2008:traceable\n"),
        ({"map": (0,), "codec": "AM824"}, 48000, "a=rtpmap:98 AM824/48000/1\n"),
        ({"max_samples_per_packet": 6}, 48000, "a=ptime:0.125\n"),
        ({"max_samples_per_packet": 12}, 48000, "a=ptime:0.25\n"),
        ({"max_samples_per_packet": 16}, 48000, "a=ptime:0.333333333333\n"),
        ({"max_samples_per_packet": 192}, 48000, "a=ptime:4\n"),
        ({"max_samples_per_packet": 480, "map": (0,)}, 48000, "a=ptime:10\n"),
        ({}, 44100, "a=ptime:1.08843537415\n"),
        ({"max_samples_per_packet": 96}, 44100, "a=ptime:2.176870748299\n"),
    ],
)
def test_lines_that_depend_on_the_source(changes: dict[str, Any], rate: int, line: str) -> None:
    assert line in describe(source(1, **changes), replace(NOW, rate=rate))


def test_without_a_grandmaster_it_is_all_zeros() -> None:
    text = describe(source(0), replace(NOW, gmid=""))
    assert "a=ts-refclk:ptp=IEEE1588-2008:00-00-00-00-00-00-00-00:0\n" in text


@pytest.mark.parametrize(
    ("address", "name", "session"),
    [
        ("10.0.1.1", "Daemon 000a0101", 655617),
        ("192.168.1.17", "Daemon a8c01101", 2831159553),
        ("127.0.0.1", "Daemon 007f0100", 8323328),
    ],
)
def test_names_and_session_ids_of_the_contract(address: str, name: str, session: int) -> None:
    assert identity.node_id("", address) == name
    assert identity.node_id("Studio", address) == "Studio"
    assert identity.session_id(address, 0) == session
    assert len({identity.session_id(address, n) % 256 for n in range(64)}) == 64


@given(SOURCES, st.sampled_from(RATES))
def test_our_own_reader_finds_everything_again(sent: Any, rate: int) -> None:
    text = describe(sent, replace(NOW, rate=rate))
    description = sdp.parse(text)
    assert description.render() == text
    (stream,) = audio_streams(description)
    assert (stream.rate, stream.channels, stream.encoding) == (rate, len(sent.map), sent.codec)
    assert stream.frames_per_packet == sent.max_samples_per_packet
    assert stream.payload_type == sent.payload_type
    assert timing_advice(stream).timing == "direct"
    assert stream.legs[0].included == ("10.0.1.1",)
    assert description.origin is not None
    assert description.origin.version == NOW.version


@given(st.text(max_size=80))
def test_no_name_breaks_a_line(name: str) -> None:
    try:
        sent = source(0, name=name)
    except ValueError:
        return
    lines = describe(sent, NOW).splitlines()
    assert len(describe(sent, NOW).split("\n")) == 16
    assert lines[2].startswith("s=LabDaemon ")
