"""The browser on a virtual clock: real announcements, collisions, expiry, hostile datagrams."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.discovery.browser import Browser
from aes67.discovery.remote_list import MAX_OF_ONE_SENDER, MAX_SOURCES
from aes67.errors import WireError
from aes67.wire import sap

S = 1_000_000_000
VECTORS = Path(__file__).parent.parent / "vectors" / "sap"
PEER = "10.1.2.3"


def text(session: int = 1, version: int = 1, name: str = "A", more: str = "") -> str:
    return f"v=0\no=- {session} {version} IN IP4 {PEER}\ns={name}\nt=0 0\n{more}"


def packet(
    payload: str, message_hash: int, *, deletion: bool = False, origin: str = PEER, **more: object
) -> bytes:
    message = sap.SapMessage(payload.encode(), origin, message_hash, deletion, **more)  # type: ignore[arg-type]
    return message.pack()


def listed(browser: Browser) -> list[tuple[str, str]]:
    return [(each.name, each.sdp) for each in browser.sources()]


@pytest.mark.parametrize("peer", ["aes67daemon", "pipewire", "vlc"])
def test_announcement_and_deletion_of_real_peers(peer: str) -> None:
    browser = Browser()
    announcement = (VECTORS / f"{peer}_announce.bin").read_bytes()
    browser.receive(announcement, "10.67.0.1", 0)
    [source] = browser.sources()
    assert source.sdp == sap.parse(announcement).payload.decode()
    assert [each.what for each in browser.changes()] == ["found"]
    deletion = VECTORS / f"{peer}_delete.bin"
    if deletion.exists():
        # the captured deletion is of a version before, so it gets the announcement's hash
        gone = deletion.read_bytes()
        browser.receive(gone[:2] + announcement[2:4] + gone[4:], "10.67.0.1", S)
        assert browser.sources() == []
        assert [each.what for each in browser.changes()] == ["lost"]


def test_the_contract_sees_its_own_spelling() -> None:
    browser = Browser(30)
    browser.receive(packet(text(), 0x1234), PEER, 0)
    [source] = browser.sources()
    assert source.contract(7 * S + 1) == {
        "source": "SAP", "id": "sap:50462986-13330", "name": "A", "domain": "", "address": PEER,
        "sdp": text(), "last_seen": 7, "announce_period": 30,
    }  # fmt: skip


def test_a_description_that_changes_under_its_hash_is_followed() -> None:
    browser = Browser()
    browser.receive(packet(text(version=1), 5), PEER, 0)
    browser.receive(packet(text(version=2, name="B"), 5), PEER, S)
    assert listed(browser) == [("B", text(version=2, name="B"))]
    assert [each.what for each in browser.changes()] == ["found", "changed"]


def test_sessions_that_share_a_hash_are_all_listed() -> None:
    browser = Browser()
    for session in range(64):
        browser.receive(packet(text(session), 5), PEER, 0)
    assert len(browser.sources()) == 64
    assert len({each.id for each in browser.sources()}) == 64
    browser.receive(packet(f"o=- 3 1 IN IP4 {PEER}\n", 5, deletion=True), PEER, S)
    assert len(browser.sources()) == 63


def test_sessions_without_hash_and_session_id_are_told_by_name() -> None:
    browser = Browser()
    for name in ("A", "B"):
        browser.receive(packet(text(0, 0, name), 0), PEER, 0)
    assert [name for name, _ in listed(browser)] == ["A", "B"]
    browser.receive(packet(f"o=- 0 0 IN IP4 {PEER}\n", 0, deletion=True), PEER, S)
    assert len(browser.sources()) == 2  # either of them: nobody is dropped by guess
    browser.receive(packet(text(0, 0, "B"), 0, deletion=True), PEER, S)
    assert [name for name, _ in listed(browser)] == ["A"]


def test_a_newer_version_under_another_hash_supersedes_and_its_late_deletion_harms_nobody() -> None:
    browser = Browser()
    browser.receive(packet(text(version=1), 5), PEER, 0)
    browser.receive(packet(text(version=2), 6), PEER, S)
    assert listed(browser) == [("A", text(version=2))]
    browser.receive(packet(f"o=- 1 1 IN IP4 {PEER}\n", 5, deletion=True), PEER, 2 * S)
    assert len(browser.sources()) == 1


def test_two_announcers_do_not_collide() -> None:
    browser = Browser()
    for origin in (PEER, "10.1.2.4", "2001:db8::1"):
        browser.receive(packet(text(), 5, origin=origin), origin, 0)
    assert len(browser.sources()) == 3


def test_a_stranger_cannot_delete() -> None:
    browser = Browser()
    browser.receive(packet(text(), 5), "10.1.2.9", 0)
    browser.receive(packet(text(), 5, deletion=True), "10.6.6.6", S)
    assert len(browser.sources()) == 1
    browser.receive(packet(text(), 5, deletion=True), "10.1.2.9", S)
    assert browser.sources() == []


STREAM = "c=IN IP4 239.1.2.3/15\nm=audio 5004 RTP/AVP 98\na=rtpmap:98 L24/48000/2\n"


@pytest.mark.parametrize(
    ("announced", "gone"),
    [(STREAM, True), (STREAM.replace("239.1.2.3", "239.1.2.4"), False), ("", False)],
)
def test_a_node_that_has_moved_deletes_what_it_announced_before(announced: str, gone: bool) -> None:
    """It announces the same stream now; whoever announces another one is a stranger."""
    browser = Browser()
    browser.receive(packet(text(more=STREAM), 5), PEER, 0)
    browser.receive(packet(text(2, more=announced), 6, origin="10.1.2.77"), "10.1.2.77", S)
    browser.receive(packet(text(), 5, deletion=True), "10.1.2.77", 2 * S)
    assert len(browser.sources()) == (1 if gone else 2)


@pytest.mark.parametrize("interval", [0, 1, 300, 65_535])
def test_no_interval_of_ours_makes_a_source_vanish_early_or_never(interval: int) -> None:
    browser = Browser(interval)
    browser.receive(packet(text(), 5), PEER, 0)
    due = browser.next_deadline()
    assert due is not None
    assert 3600 * S <= due <= 86_400 * S
    browser.handle_timer(due - 1)
    assert len(browser.sources()) == 1
    browser.handle_timer(due)
    assert browser.sources() == []
    assert browser.next_deadline() is None


def test_a_source_silent_for_ten_of_its_periods_is_gone() -> None:
    browser = Browser(10)
    for second in range(0, 100, 30):
        for copy in range(3):  # from another group or interface
            browser.receive(packet(text(), 5), PEER, second * S + copy)
    [source] = browser.sources()
    assert source.period_s == 30
    assert browser.next_deadline() == (90 + 300) * S


def test_the_list_is_bounded_for_each_sender_and_in_all() -> None:
    browser = Browser()
    for session in range(MAX_OF_ONE_SENDER + 10):
        browser.receive(packet(text(session), 5), PEER, 0)
    assert len(browser.sources()) == MAX_OF_ONE_SENDER
    assert browser.counters["refused"] == 10
    for session in range(MAX_SOURCES):
        browser.receive(packet(text(session), 6), f"10.9.{session // 256}.{session % 256}", 0)
    assert len(browser.sources()) == MAX_SOURCES
    browser.receive(packet(text(0), 5), PEER, S)  # those listed are still refreshed
    assert any(each.seen_ns == S for each in browser.sources())


@pytest.mark.parametrize(
    "more", [{"payload_type": None}, {"payload_type": "Application/SDP"}, {"compressed": True}]
)
def test_what_the_rfc_allows_is_read(more: dict[str, object]) -> None:
    browser = Browser()
    browser.receive(packet(text(), 5, **more), PEER, 0)
    assert listed(browser) == [("A", text())]


def test_other_types_and_rubbish_are_counted() -> None:
    browser = Browser()
    browser.receive(packet("<x/>", 5, payload_type="text/xml"), PEER, 0)
    browser.receive(packet("rubbish", 5), PEER, 0)
    browser.receive(packet(text(more="a=" + "x" * 20_000 + "\n"), 5), PEER, 0)
    announcement = packet(text(), 7)
    browser.receive(announcement, PEER, 0)
    for length in range(24):
        browser.receive(announcement[:length], PEER, 0)
    assert browser.counters["foreign"] == 1
    assert browser.counters["malformed"] == 2 + 24
    assert len(browser.sources()) == 1


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.builds(
                lambda payload, number, gone, kind: sap.SapMessage(
                    payload, PEER, number, gone, kind
                ).pack(),
                st.one_of(st.binary(max_size=80), st.just(text().encode())),
                st.integers(0, 2),
                st.booleans(),
                st.sampled_from(["application/sdp", "a/b"]),
            ),
        ),
        max_size=20,
    )
)
def test_nothing_received_raises(datagrams: list[bytes]) -> None:
    browser = Browser()
    for number, data in enumerate(datagrams):
        browser.receive(data, PEER, number * S)
        for source in browser.sources():
            source.contract(number * S)["sdp"].encode("utf-8")
    browser.handle_timer(10**15)
    assert browser.sources() == []
    found = [each.what for each in browser.changes()]
    assert found.count("found") == found.count("lost")


def test_mdns_sources_come_change_and_go() -> None:
    browser = Browser()
    browser.found("node A", "local", PEER, text(), 0)
    browser.found("node A", "local", PEER, text(version=2), S)
    [source] = browser.sources()
    assert source.contract(3 * S) == {
        "source": "mDNS", "id": f"rtsp:{sap.crc16(text(version=2).encode()):x}", "name": "node A",
        "domain": "local", "address": PEER, "sdp": text(version=2), "last_seen": 2,
        "announce_period": 0,
    }  # fmt: skip
    browser.handle_timer(10**15)
    assert len(browser.sources()) == 1  # only a goodbye ends it
    browser.lost("node A", "local")
    browser.lost("node A", "local")
    assert [each.what for each in browser.changes()] == ["found", "changed", "lost"]
    with pytest.raises(WireError):
        browser.found("x", "local", PEER, "rubbish", 0)


def test_closing_one_way_of_discovery_forgets_only_what_it_found() -> None:
    browser = Browser()
    browser.found("node A", "local", PEER, text(), 0)
    browser.receive(packet(text(), 5), PEER, 0)
    browser.forget("mDNS")
    assert [each.kind for each in browser.sources()] == ["SAP"]
