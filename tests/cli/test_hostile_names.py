"""Names come from whoever announces a stream: none steers a terminal, or ends a command."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.cli import main as cli
from aes67.cli.output import table, visible
from aes67.client import Client

NAME = "Küche \x1b[31mred\x07\x9b2J \u202etxt\u2028 \u97f3"
ROW: dict[str, Any] = {"id": "sap:1", "name": NAME, "source": "SAP", "address": "10.9.0.77",
                       "sdp": f"v=0\ns={NAME}\n", "last_seen": 2}  # fmt: skip


@pytest.fixture(autouse=True)
def daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "get", lambda client, path: {"remote_sources": [ROW]})


def test_what_would_steer_a_terminal_is_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["browse"]) == 0
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.splitlines())
    assert "Küche \\x1b[31mred\\x07\\x9b2J \\u202etxt\\u2028 \u97f3" in said


def test_as_json_it_is_the_name_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["browse", "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said) == [ROW]
    assert not {each for each in said if ord(each) < 32 or 127 <= ord(each) < 160} - {"\n"}


def test_an_error_names_it_without_obeying_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "remote:\x1b[2J"]) == cli.FAILED
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("alphabet", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_of_another_alphabet_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, alphabet: str, options: list[str]
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=alphabet))
    assert cli.main(["browse", *options]) == 0
    sys.stdout.flush()
    assert "che " in written.getvalue().decode(alphabet)


@given(st.text())
def test_any_text_is_visible_and_what_was_stays(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert visible(shown) == shown
    assert "\x1b" not in table(("name",), [(text,)])
    if text.isprintable():
        assert shown == text
