"""`aes67 lint`: findings with their lines, of a file, of standard input, of others' streams."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import cast, get_args

import pytest

from aes67.cli import main as cli
from aes67.cli.lint import PROFILES
from aes67.cli.origins import MOST_OCTETS, origin
from aes67.client import Client
from aes67.wire.sdp_lint_stream import Profile

LINES = (
    "v=0", "o=- 1 1 IN IP4 10.0.1.1", "s=Studio", "c=IN IP4 239.69.0.10/15", "t=0 0",
    "m=audio 5004 RTP/AVP 98", "a=rtpmap:98 L16/48000/2", "a=ptime:1",
    "a=ts-refclk:ptp=IEEE1588-2008:00-1D-C1-FF-FE-52-28-80:0", "a=mediaclk:direct=0",
)  # fmt: skip
GOOD = "".join(f"{line}\r\n" for line in LINES).encode()


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    assert cli.main(["lint", *arguments]) == code
    return capsys.readouterr().out


def test_a_file_is_judged_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "studio.sdp"
    file.write_bytes(GOOD)
    assert said(capsys, 0, str(file)) == "nothing to object to (aes67)\n"
    assert said(capsys, 1, str(file), "--for", "dante").startswith("line 7: error: Dante takes L24")
    file.write_bytes(GOOD.replace(b".10/15", b".10"))
    assert said(capsys, 1, str(file)).startswith("line 4: error: a multicast address needs a TTL")
    (found,) = json.loads(said(capsys, 1, str(file), "--json"))
    assert (found["line"], found["severity"], found["rule"]) == (4, "error", "ttl")


def test_standard_input_keeps_its_line_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = io.TextIOWrapper(io.BytesIO(GOOD.replace(b"\r\n", b"\n")))
    monkeypatch.setattr(sys, "stdin", text)
    assert said(capsys, 0, "-").startswith("line 1: note: lines do not end with CRLF")


def test_what_others_announce_can_be_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "sap:1", "name": "Far", "sdp": "v=0\r\n\0"}
    monkeypatch.setattr(Client, "get", lambda client, path: {"remote_sources": [row]})
    assert "error" in said(capsys, 1, "remote:Far")


def test_of_a_file_without_end_no_more_is_read_than_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody names a recording of an hour, or a device."""
    assert "longer than 65536 octets" in said(capsys, 1, "/dev/zero")
    assert len(origin("/dev/zero", cast(Client, None))[1]) == MOST_OCTETS


def test_an_address_is_not_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "http://127.0.0.1:9/x.sdp"]) == cli.FAILED
    assert "save it in a file" in capsys.readouterr().err


def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "no-such.sdp"]) == cli.FAILED
    assert "sdp" in (said := capsys.readouterr().err)
    assert "'no-such.sdp'" in said


def test_it_knows_the_linter_s_profiles() -> None:
    assert get_args(Profile) == PROFILES
