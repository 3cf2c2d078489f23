"""Every command, option, setting and route is documented, and no page points into the void."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aes67.cli.main import RUNNERS, build_parser
from aes67.config.reading import rows
from aes67.selftest import audio, latency

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ("aes67",)
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, with its parser."""
    deeper = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not deeper:
        yield " ".join(words), parser
    for action in deeper:
        for name, child in action.choices.items():
            yield from commands(child, (*words, name))


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long options of a parser."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))


COMMANDS = dict(commands(build_parser()))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command: str) -> None:
    page = text("cli.md")
    assert f"`{command}" in page
    for option in options(COMMANDS[command]):
        assert f"`{option}" in page or f" {option}" in page, f"{command} {option}"


@pytest.mark.parametrize("parser", [audio.parser(), latency.parser()], ids=["selftest", "latency"])
def test_every_option_of_the_self_tests_is_documented(parser: argparse.ArgumentParser) -> None:
    page = text("selftest.md")
    for option in options(parser):
        assert option == "--help" or f"`{option}" in page, option


def test_every_command_says_what_it_does() -> None:
    parser = build_parser()
    shown = parser.format_help()
    for name in (*RUNNERS, *(command.split()[1] for command in COMMANDS)):
        assert re.search(rf"^    {name} +\S", shown, re.MULTILINE), name


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["key"])
def test_every_setting_is_documented(row: dict[str, object]) -> None:
    lines = [
        line
        for line in text("configuration.md").splitlines()
        if line.startswith(f"| `{row['key']}` |")
    ]
    assert len(lines) == 1
    assert str(row["help"]) in lines[0]
    assert f"| {row['effect']} |" in lines[0]


def routes() -> list[str]:
    """`METHOD /path` of every route in the sources of the interface."""
    found = []
    for file in sorted((ROOT / "api").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        prefix = "/api/v1" if file.parent.name == "v1" else "/api"
        if file.parent.name not in ("v1", "compat"):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                continue
            for call in node.decorator_list:
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr in ("get", "put", "post", "patch", "delete")
                    and isinstance(call.args[0], ast.Constant)
                ):
                    found.append(f"{call.func.attr.upper()} {prefix}{call.args[0].value}")
    return found


@pytest.mark.parametrize("route", routes())
def test_every_route_is_documented(route: str) -> None:
    assert f"`{route}`" in text("api.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_page_is_reachable_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            found = (page.parent / target).resolve()
            waiting += [found] if found.is_file() else sorted(found.glob("*.md"))
    missing = {str(page.relative_to(ROOT)) for page in set(PAGES) - seen}
    assert missing <= {"CHANGELOG.md"}


def test_every_weakness_of_the_daemon_has_a_test_or_a_reason() -> None:
    page = text("compat.md")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [*range(1, 49), *range(1, 12)]
    tests = "".join(each.read_text(encoding="utf-8") for each in ROOT.glob("tests/**/test_*.py"))
    written = set(re.findall(r"^ *(?:async )?def (test_\w+)\(", tests, re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert named <= written, named - written
