"""The other forms of a description, judged by the linter's profiles and our own reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.model import Config
from aes67.session.checks import NO_GRANDMASTER
from aes67.session.describe import Circumstances, describe
from aes67.session.model import Source
from aes67.session.renderings import Rendering
from aes67.wire import sdp
from aes67.wire.sdp_lint import Profile, lint
from aes67.wire.sdp_media import audio_streams
from sim.http_node import SOURCE, http_node
from sim.session_samples import NETWORK, SOURCES, source

GMID = "AB-AB-AB-AB-AB-AB-AB-AB"
NOW = Circumstances(Config(custom_node_id="Box"), NETWORK, 48000, GMID, 7)
FORMS: tuple[Rendering, ...] = ("contract", "st2110", "dante")


def test_the_strict_form_to_the_letter() -> None:
    text = describe(source(1, name="Lab Source"), NOW, "st2110")
    assert text == (
        "v=0\r\n"
        "o=- 655618 7 IN IP4 10.0.1.1\r\n"
        "s=Box Lab Source\r\n"
        "t=0 0\r\n"
        "m=audio 5004 RTP/AVP 98\r\n"
        "c=IN IP4 239.1.0.2/15\r\n"
        "a=source-filter: incl IN IP4 239.1.0.2 10.0.1.1\r\n"
        "a=rtpmap:98 L24/48000/2\r\n"
        "a=fmtp:98 channel-order=SMPTE2110.(ST)\r\n"
        "a=ptime:1\r\n"
        f"a=ts-refclk:ptp=IEEE1588-2008:{GMID}:0\r\n"
        "a=mediaclk:direct=0\r\n"
    )


def test_what_dante_gets_has_the_lines_of_a_dante_device_in_its_order() -> None:
    """But `keywds`, with which devices call themselves Dante ones."""
    vectors = Path(__file__).parents[1] / "vectors" / "sdp"
    theirs = sdp.parse((vectors / "dante_avio.sdp").read_bytes())
    ours = sdp.parse(describe(source(1), NOW, "dante"))

    def kinds(description: sdp.SessionDescription) -> list[str]:
        lines = [line.text.split(":")[0] for line in description.all_lines()]
        return [line if line.startswith("a=") else line[0] for line in lines]

    assert kinds(ours) == [kind for kind in kinds(theirs) if kind != "a=keywds"]


@pytest.mark.parametrize(
    ("rendering", "profile"), [("st2110", "st2110"), ("dante", "dante"), ("st2110", "aes67")]
)
def test_the_linter_finds_nothing(rendering: Rendering, profile: Profile) -> None:
    of_dante = source(1, address="239.69.0.1")
    for channels in (1, 2, 3, 8):
        each = of_dante.model_copy(update={"map": tuple(range(channels))})
        findings = lint(describe(each, NOW, rendering), profile)
        assert findings == (), findings


def test_without_a_grandmaster_the_strict_forms_name_the_card() -> None:
    for gmid in ("", NO_GRANDMASTER):
        text = describe(source(1), replace(NOW, gmid=gmid), "st2110")
        assert "a=ts-refclk:localmac=" in text
        assert {each.severity for each in lint(text, "st2110")} == {"note"}, "follows no PTP"


@given(SOURCES, st.sampled_from([44100, 48000, 96000]))
def test_all_forms_are_one_session_with_one_stream(made: Source, rate: int) -> None:
    now = replace(NOW, rate=rate)
    read = [sdp.parse(describe(made, now, form)) for form in FORMS]
    assert len({each.origin for each in read}) == 1
    streams = [audio_streams(each)[0] for each in read]
    facts = {
        (s.legs[0].address, s.legs[0].port, s.legs[0].ttl, s.formats[0].text, s.ptime,
         s.timestamp_offset) for s in streams
    }  # fmt: skip
    assert len(facts) == 1


async def test_each_source_says_which_form_goes_where(tmp_path: Path) -> None:
    async with http_node(tmp_path) as house:
        native = SOURCE | {"sdp_http": "st2110", "sdp_sap": "dante"}
        answer = await house.client.put("/api/v1/sources/0", json=native)
        assert answer.is_success, answer.text
        served = (await house.client.get("/api/source/sdp/0")).text
        node = house.control.node
        forms = [describe(node.source(0), NOW, form).count("\r\n") for form in FORMS]
        assert served.count("\r\n") == forms[1]
        assert "fmtp" in served
        assert "i=2 channels" in node.description(0, "sap")
        assert "clock-domain" in node.description(0, "rtsp")
        # a client of the contract that edits it knows nothing of that
        await house.client.put("/api/source/0", json=SOURCE | {"ttl": 3})
        assert node.source(0).sdp_sap == "dante"
        assert house.status_file["sources"][0]["sdp_http"] == "st2110"
        wrong = SOURCE | {"sdp_sap": "ravenna"}
        answer = await house.client.put("/api/v1/sources/0", json=wrong)
        assert answer.status_code == 400
        assert answer.json()["field"] == "sdp_sap"
    async with http_node(tmp_path) as house:
        assert house.control.node.source(0).sdp_http == "st2110"
