"""Two nodes with one address number their sessions alike; a sink of ours stays with our source."""

from __future__ import annotations

from aes67.discovery.browser import Browser
from aes67.discovery.follow import newer, without_doubles
from aes67.session.model import Sink
from aes67.wire import sap

US = "127.0.0.1"


def text(session: int, version: int, name: str = "ours") -> str:
    return f"v=0\no=- {session} {version} IN IP4 {US}\ns={name}\nt=0 0\n"


def followed(own: list[str], heard: list[str], sink: str) -> str | None:
    """What the sink is to take, of what is heard."""
    browser = Browser()
    for number, each in enumerate(heard):
        browser.receive(sap.SapMessage(each.encode(), US, 1 + number).pack(), US, 0)
    sources = without_doubles(browser.sources(), own)
    return newer({0: Sink(id=0, name="K", sdp=sink)}, sources).get(0)


def test_a_newer_session_of_our_number_is_not_ours() -> None:
    assert followed([text(1, 5)], [text(1, 5), text(1, 9, "theirs")], text(1, 5)) is None


def test_our_own_source_is_followed_beside_one_of_its_number() -> None:
    heard = [text(1, 9, "theirs"), text(1, 6)]
    assert followed([text(1, 6)], heard, text(1, 5)) == text(1, 6)


def test_sessions_of_other_numbers_are_followed_as_ever() -> None:
    assert followed([text(1, 5), "", "rubbish"], [text(2, 9)], text(2, 5)) == text(2, 9)
