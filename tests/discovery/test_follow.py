"""Which sinks follow which announced description."""

from __future__ import annotations

from aes67.discovery.browser import Browser
from aes67.discovery.follow import newer
from aes67.session.model import Sink
from aes67.wire import sap

PEER = "10.1.2.3"


def text(session: int, version: int, name: str = "A", address: str = PEER) -> str:
    return f"v=0\no=- {session} {version} IN IP4 {address}\ns={name}\nt=0 0\n"


def announced(*texts: str) -> Browser:
    browser = Browser()
    for number, each in enumerate(texts):
        browser.receive(sap.SapMessage(each.encode(), PEER, 1 + number).pack(), PEER, 0)
    return browser


def sinks(*texts: str) -> dict[int, Sink]:
    made = [Sink(id=number, name=f"K{number}", sdp=each) for number, each in enumerate(texts)]
    return {each.id: each for each in made}


def test_the_largest_version_above_the_sinks_own_wins() -> None:
    sources = announced(text(1, 4), text(2, 9)).sources()
    sources += announced(text(1, 6), text(1, 5)).sources()
    found = newer(sinks(text(1, 4), text(1, 7), text(2, 8), text(3, 1)), sources)
    assert found == {0: text(1, 6), 2: text(2, 9)}


def test_the_same_version_is_not_followed_whatever_it_says() -> None:
    assert newer(sinks(text(1, 4)), announced(text(1, 4, "B")).sources()) == {}


def test_another_origin_is_another_session() -> None:
    assert newer(sinks(text(1, 4)), announced(text(1, 5, address="10.1.2.4")).sources()) == {}


def test_sinks_without_a_readable_description_follow_nobody() -> None:
    broken = sinks("", "rubbish", "v=0\ns=no origin\n")
    assert newer(broken, announced(text(1, 4), "v=0\ns=no origin\n").sources()) == {}
