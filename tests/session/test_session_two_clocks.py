"""Two clock domains in configuration, plan, descriptions and what is said of sinks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.clock import media_clock, second_clock, second_domain
from aes67.config.model import Config
from aes67.config.reading import from_text, merged
from aes67.engine.plan import Plan as EnginePlan
from aes67.errors import Refused
from aes67.ptp.profiles import PROFILES
from aes67.session.checks import check_reference_clock
from aes67.session.describe import Circumstances, describe, describes
from aes67.session.plan import plan
from aes67.session.reference_clock import OtherClock, is_gptp, keeps_to_note
from aes67.session.stream import interpret
from sim.session_samples import NETWORK, sdp_of, sink, source, state

BOTH = "eth0,eth1"
OURS = "00-1D-C1-FF-FE-00-00-01"
THEIRS = "00-1D-C1-FF-FE-00-00-02"
STAGE = OtherClock("stage", THEIRS, 0, ahead_ns=3_600_000_000_000, ahead_ppm=20.0)


def config(**changes: object) -> Config:
    rows = {"interface_name": BOTH, "ptp_clocks": "media,stage"} | changes
    return Config(**rows)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("media", "media", ""),
        (" red , blue ", "red", "blue"),
        ("media,media", "media", ""),
        ("a-b_c.1,B", "a-b_c.1", "B"),
    ],
)
def test_names_of_clocks(text: str, first: str, second: str) -> None:
    made = merged(Config(interface_name=BOTH), {"ptp_clocks": text})
    assert (media_clock(made), second_clock(made)) == (first, second)


@pytest.mark.parametrize("text", ["", ",", "a,", "a,b,c", "a b", "-a", "x" * 17, "ä"])
def test_what_is_no_name_is_refused_and_repaired_in_the_file(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        merged(Config(interface_name=BOTH), {"ptp_clocks": text})
    assert refusal.value.field == "ptp_clocks"
    reading = from_text(json.dumps({"ptp_clocks": text}))
    assert reading.config.ptp_clocks == "media"
    assert reading.warnings


def test_two_clocks_need_two_interfaces() -> None:
    with pytest.raises(Refused) as refusal:
        merged(Config(), {"ptp_clocks": "media,stage"})
    assert (refusal.value.field, refusal.value.rule) == ("ptp_clocks", "2 clocks for 1 interface")
    assert from_text('{"ptp_clocks": "media,stage"}').config.ptp_clocks == "media"
    with pytest.raises(Refused):
        merged(config(), {"interface_name": "eth0"})


@pytest.mark.parametrize(
    ("rows", "domain"),
    [
        ({}, 0),
        ({"ptp_domain": 4}, 4),
        ({"ptp_domain": 4, "ptp_domain_sec": 5}, 5),
        ({"ptp_profile": "aes67,st2059-2"}, 127),
        ({"ptp_profile": "aes67,st2059-2", "ptp_domain_sec": 0}, 0),
    ],
)
def test_the_domain_of_the_second_clock(rows: dict[str, object], domain: int) -> None:
    assert second_domain(config(**rows)) == domain


def test_one_clock_has_the_ports_of_both_interfaces() -> None:
    message = plan(state(config=config(ptp_clocks="media"))).message
    assert [each["interface"] for each in message["clock"]["ports"]] == ["eth0", "eth1"]
    assert "second_clock" not in message


def test_each_of_two_clocks_has_its_interface() -> None:
    made = plan(state(config=config(clock_mode="ptp", ptp_profile="aes67,st2059-2"))).message
    first, second = made["clock"], made["second_clock"]
    assert first["ports"] == [{"interface": "eth0", "profile": "aes67"}]
    assert second["ports"] == [{"interface": "eth1", "profile": "st2059-2"}]
    assert (first["mode"], second["mode"]) == ("ptp", "ptp-slave")
    assert (second["name"], second["domain"]) == ("stage", 127)


@given(
    st.sampled_from(["ptp-slave", "ptp", "gptp", "gm", "free", "system", "phc:/dev/ptp0"]),
    st.sampled_from(sorted(PROFILES)), st.sampled_from(sorted(PROFILES)),
)  # fmt: skip
def test_the_engine_takes_whatever_two_clocks_are_configured(
    mode: str, one: str, other: str
) -> None:
    made = config(clock_mode=mode, ptp_profile=f"{one},{other}")
    taken = EnginePlan.from_json(plan(state(config=made)).message | {"serial": 1})
    assert taken.second_clock is not None
    assert taken.second_clock_name == "stage"
    assert taken.second_clock.ports[0][0] == "eth1"


def test_a_description_names_the_clock_its_timestamps_follow() -> None:
    """The media clock's, whatever the second network is."""
    assert not is_gptp(config(ptp_profile="aes67,gptp"))
    assert is_gptp(config(ptp_profile="gptp,aes67"))
    assert not is_gptp(config(ptp_profile="gptp,aes67", ptp_clocks="media"))
    made = config(ptp_domain=3, ptp_domain_sec=9)
    text = describe(source(), Circumstances(made, NETWORK, 48000, OURS, 1))
    assert f"a=ts-refclk:ptp=IEEE1588-2008:{OURS}:3\n" in text
    before = state(config=config(ptp_clocks="media"))
    assert describes(before, state(config=config()))


def refclk(gmid: str, domain: int = 0) -> str:
    return sdp_of(clock=f"a=ts-refclk:ptp=IEEE1588-2008:{gmid}:{domain}\n")


def test_a_sink_of_the_second_clock_is_refused_by_its_name() -> None:
    made = config()
    foreign = sink(sdp=refclk(THEIRS))
    with pytest.raises(Refused) as refusal:
        check_reference_clock(foreign, interpret(foreign), made, OURS, STAGE)
    assert "our clock stage, to which sinks cannot keep yet" in refusal.value.rule
    stranger = sink(sdp=refclk("00-1D-C1-FF-FE-00-00-09"))
    with pytest.raises(Refused) as refusal:
        check_reference_clock(stranger, interpret(stranger), made, OURS, STAGE)
    assert "stage" not in refusal.value.rule
    own = sink(sdp=refclk(OURS))
    check_reference_clock(own, interpret(own), made, OURS, STAGE)


def test_the_note_of_a_sink_that_keeps_to_the_second_clock() -> None:
    audio = interpret(sink(sdp=refclk(THEIRS), ignore_refclk_gmid=True)).audio
    note = keeps_to_note(audio, STAGE, "media")
    assert "runs on the clock stage, not on media, 3600 s ahead of ours and +20.000 ppm" in note
    assert "no resampling" in note
    unknown = OtherClock("stage", THEIRS, 0)
    assert "not on media: there is no resampling" in keeps_to_note(audio, unknown, "media")
    assert keeps_to_note(audio, None, "media") == ""
    assert keeps_to_note(audio, OtherClock("stage", THEIRS, 1), "media") == ""
    ours = interpret(sink(sdp=refclk(OURS))).audio
    assert keeps_to_note(ours, STAGE, "media") == ""


TWO_LEGS = (
    "v=0\no=- 1 2 IN IP4 10.0.0.9\ns=Twins\nt=0 0\na=group:DUP one two\n"
    + "".join(
        f"m=audio 5004 RTP/AVP 98\nc=IN IP4 239.5.0.{number}/15\na=rtpmap:98 L24/48000/2\n"
        f"a=ptime:1\na=ts-refclk:ptp=IEEE1588-2008:{OURS}:0\na=mediaclk:direct=0\na=mid:{name}\n"
        for number, name in ((1, "one"), (2, "two"))
    )
)


def test_a_second_leg_from_the_second_network_says_what_it_needs() -> None:
    twins = sink(sdp=TWO_LEGS)
    notes = plan(state(config=config(), sinks=[twins])).sink_notes[0]
    assert any("second leg comes from the network of the clock stage" in each for each in notes)
    assert not plan(state(config=config(ptp_clocks="media"), sinks=[twins])).sink_notes[0]
