"""Which sinks follow which announced description."""

from __future__ import annotations

from aes67.discovery.browser import Browser
from aes67.discovery.follow import moved, newer
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


def stream(address: str, *, session: int = 1, group: str = "239.1.0.1", kind: str = "L24") -> str:
    return (
        f"v=0\no=- {session} 1 IN IP4 {address}\ns=Studio {address}\nt=0 0\n"
        f"m=audio 5004 RTP/AVP 98\nc=IN IP4 {group}/15\n"
        f"a=source-filter: incl IN IP4 {group} {address}\na=rtpmap:98 {kind}/48000/2\n"
        "a=ptime:1\na=mediaclk:direct=0\n"
    )


def heard(*texts: tuple[str, int]) -> Browser:
    browser = Browser()
    for number, (each, at) in enumerate(texts):
        sender = each.split(" IP4 ")[1].split()[0]
        browser.receive(sap.SapMessage(each.encode(), sender, 1 + number).pack(), sender, at)
    return browser


OLD, NEW = "10.1.2.3", "10.1.2.99"


class TestMoved:
    """A sink that hears nothing, and the same stream from another address."""

    def test_the_stream_under_another_address_is_followed(self) -> None:
        sources = heard((stream(OLD), 10), (stream(NEW, session=7), 20)).sources()
        assert moved(sinks(stream(OLD)).values(), sources) == {0: stream(NEW, session=7)}
        assert newer(sinks(stream(OLD)), sources) == {}, "it is another session"

    def test_it_is_followed_when_nobody_remembers_the_old_one(self) -> None:
        sources = heard((stream(NEW), 20)).sources()
        assert moved(sinks(stream(OLD)).values(), sources) == {0: stream(NEW)}

    def test_a_session_that_was_heard_of_later_is_not_left(self) -> None:
        sources = heard((stream(NEW), 10), (stream(OLD), 20)).sources()
        assert moved(sinks(stream(OLD)).values(), sources) == {}

    def test_another_group_or_format_is_another_stream(self) -> None:
        other = [stream(NEW, group="239.1.0.2"), stream(NEW, kind="L16"), "v=0\ns=rubbish\n"]
        for each in other[:2]:
            assert moved(sinks(stream(OLD)).values(), heard((each, 20)).sources()) == {}
        assert moved(sinks(other[2]).values(), heard((stream(NEW), 20)).sources()) == {}

    def test_of_two_that_claim_it_none_is_chosen(self) -> None:
        sources = heard((stream(NEW), 20), (stream("10.1.2.100"), 21)).sources()
        assert moved(sinks(stream(OLD)).values(), sources) == {}
