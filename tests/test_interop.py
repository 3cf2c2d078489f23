"""The interop guide: its descriptions, commands and settings are true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from aes67.cli.main import build_parser
from aes67.config.model import Config
from aes67.config.reading import merged
from aes67.session.describe import Circumstances, describe
from aes67.session.model import Source
from aes67.session.network import Interface, Network
from aes67.session.renderings import Rendering
from aes67.wire import sdp
from aes67.wire.sdp_lint import lint
from aes67.wire.sdp_media import audio_streams

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "interop").glob("*.md"))
VECTORS = ROOT / "tests" / "vectors" / "sdp"
FORMS = get_args(Rendering)
EXAMPLE = Source(id=0, name="Studio A", address="239.69.0.10", map=(0, 1))
NOW = Circumstances(
    Config(custom_node_id="Box", interface_name="eth0"),
    Network((Interface("eth0", "02:00:00:00:00:01", ("10.0.1.1",)),)),
    48000,
    "00-1D-C1-FF-FE-52-28-80",
    1,
)


def descriptions() -> list[tuple[str, str, str]]:
    """(`from` or `ours`, which, text) of all pages."""
    found = []
    for page in PAGES:
        blocks = re.findall(
            r"<!-- (from|ours): (\w+) -->\n```sdp\n(.*?)```", page.read_text(), re.DOTALL
        )
        assert len(blocks) == page.read_text().count("```sdp"), f"{page}: one without its origin"
        found += blocks
    return found


def words(language: str) -> list[list[str]]:
    """The commands of all shell blocks, in words."""
    blocks = [
        block for page in PAGES
        for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
    ]  # fmt: skip
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize(("origin", "which", "text"), descriptions())
def test_a_description_is_what_it_says_and_can_be_received(
    origin: str, which: str, text: str
) -> None:
    lines = [line.text for line in sdp.parse(text).all_lines()]
    if origin == "ours":
        theirs = describe(EXAMPLE, NOW, which)  # type: ignore[arg-type]
    else:
        theirs = (VECTORS / f"{which}.sdp").read_text()
    assert lines == [line.text for line in sdp.parse(theirs).all_lines() if line.text]
    [stream] = audio_streams(sdp.parse(text))
    assert stream.formats[0].rate == 48000
    if origin == "ours" and which != "contract":
        profile = "dante" if which == "dante" else "st2110"
        crlf = text.replace("\n", "\r\n")
        assert lint(crlf, profile) == ()


def test_every_form_of_ours_is_shown() -> None:
    assert {which for origin, which, _ in descriptions() if origin == "ours"} == set(FORMS)


@pytest.mark.parametrize("command", words("sh"), ids=" ".join)
def test_a_command_is_one_of_ours(command: list[str]) -> None:
    parser = build_parser()
    command = command[: command.index(">")] if ">" in command else command
    assert command[0] == "aes67"
    parsed = parser.parse_args(command[1:])
    if parsed.command == "config":
        changes = dict(each.split("=", 1) for each in parsed.changes)
        assert merged(Config(), changes)


def test_every_page_is_linked_and_every_make_has_one() -> None:
    index = (ROOT / "docs" / "interop" / "README.md").read_text()
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index
    everything = "".join(page.read_text() for page in PAGES)
    makes = "Dante Lawo Q-SYS Merging Axia PipeWire GStreamer ffmpeg VLC"
    for make in makes.split():
        assert make in everything


def test_settings_named_in_the_tables_exist() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for key in re.findall(r"`([a-z]+_[a-z0-9_]+)(?:=[^`]*)?`", text):
        assert key in Config.model_fields or key in Source.model_fields, key
