"""Arguments that cannot be meant are refused before anything is done, and the reason is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from aes67.cli import main as cli
from aes67.cli.doctor import BAD, stream
from aes67.daemon import command_line

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize("count", ["0", "-1", "65"])
def test_a_stream_has_1_to_64_channels(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--url", NOBODY, "source", "add", "0", "--channels", count]
    assert cli.main(arguments) == cli.FAILED
    assert f"channels = {count}: 1 to 64" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["300.1.1.1", "studio", "239.1.0", "::1", "239.1.0.1/15"])
def test_a_destination_that_is_no_address(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--url", NOBODY, "source", "add", "0", "--address", text])
    assert caught.value.code == cli.USAGE
    assert f"{text!r} is no IPv4 address" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", " \r\n"])
def test_an_empty_file_is_no_description(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.sdp").write_text(text, encoding="utf-8")
    assert cli.main(["--url", NOBODY, "sink", "add", "0", "--from", f"{tmp_path}/x.sdp"]) == 1
    assert "x.sdp': nothing is in it" in capsys.readouterr().err


def test_a_folder_is_no_description(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--url", NOBODY, "sink", "add", "0", "--from", str(tmp_path)]) == cli.FAILED
    assert "it is a folder" in capsys.readouterr().err


def test_doctor_asks_for_the_clock_only_where_nothing_else_is_known() -> None:
    row = {"id": 5, "name": "x", "address": "10.0.0.255"}
    refused = stream("source", row | {"counters": {"packets": 0, "send_errors": 7}})
    assert (refused.state, refused.cure) == (BAD, "ip route get 10.0.0.255")
    assert "refused 7 packets to 10.0.0.255" in refused.words
    noted = stream("source", row | {"counters": {}, "note": "not sent: no address"})
    assert (noted.words, noted.cure) == ("does not send; not sent: no address", "")
    assert "clock" in stream("source", row | {"counters": {}}).cure


@pytest.mark.parametrize("text", ["1.2.3.999", "localhost", "127.0.0.1:80"])
def test_the_daemon_listens_at_addresses_only(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command_line.main(["-c", "/no/such.conf", "-a", text])
    assert caught.value.code == 1
    assert f"{text!r} is no address of this machine" in capsys.readouterr().err
