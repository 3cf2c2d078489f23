"""Making, changing, receiving and removing streams on the page, as a user does."""

from __future__ import annotations

import pytest

from aes67.wire.sap import SapMessage, message_hash
from sim.http_node import SINK, SOURCE, HttpNode
from sim.page_user import User
from sim.waiting import until

pytestmark = pytest.mark.peer("chromium")

STRANGE_CLOCK = (
    "a=ts-refclk:ptp=IEEE1588-2008:00-1D-C1-FF-FE-00-00-01:0", "a=mediaclk:direct=0",
)  # fmt: skip
HOSTILE = "<img src=x onerror=window.harm=1>"


def announced(name: str, group: str, session: int, clock: tuple[str, ...] = ()) -> bytes:
    """A SAP announcement of a stream."""
    text = "\r\n".join((
        "v=0", f"o=- {session} 1 IN IP4 192.0.2.7", f"s={name}", "t=0 0",
        f"c=IN IP4 {group}/15", "m=audio 5004 RTP/AVP 98", "a=rtpmap:98 L24/48000/2",
        "a=ptime:1", *clock, "",
    ))  # fmt: skip
    payload = text.encode()
    return SapMessage(
        origin="192.0.2.7", message_hash=message_hash(payload), payload=payload
    ).pack()


async def test_a_source_is_made_corrected_changed_and_deleted(user: User, node: HttpNode) -> None:
    await user.presses("Add source")
    await user.enters("#f-name", " ")
    await user.presses("Save")
    await user.reads("#f-name-error", "not empty")
    assert await user.ask("document.activeElement.id") == "f-name", "the field to mend"
    assert await user.ask("document.activeElement.getAttribute('aria-invalid')") == "true"
    await user.enters("#f-name", "Studio A")
    await user.enters("#f-map", "2 to 5")
    await user.presses("Save")
    await user.reads("#f-map-error", "0-1")
    await user.enters("#f-map", "2-4, 9")
    await user.enters("#f-ttl", "900")
    await user.presses("Save")
    await user.reads("#f-ttl-error", "less than")
    assert await user.ask("document.querySelector('#f-ttl').closest('details').open") is True
    await user.enters("#f-ttl", "3")
    await user.presses("Save")
    await user.sees("!document.querySelector('dialog')")
    await user.reads("#source-0", "Studio A")
    source = node.control.node.sources[0]
    assert (source.map, source.ttl, source.max_samples_per_packet) == ((2, 3, 4, 9), 3, 48)
    await user.presses("Details", "#source-0")
    await user.reads("#source-0 pre", "a=rtpmap:98 L24/48000/4")
    await user.presses("Edit Studio A")
    await user.enters("#f-name", "Studio B")
    await user.presses("Save")
    await user.reads("#source-0 h3", "Studio B")
    assert node.control.node.sources[0].address == "", "what was chosen stays chosen"
    await user.presses("Delete this source …")
    await user.presses("Delete", "dialog")
    await user.reads("#sources", "Nothing is sent yet")
    assert node.control.node.sources == {}


async def test_two_clicks_receive_two_announced_streams(user: User, node: HttpNode) -> None:
    await node.client.put("/api/v1/sinks/0", json=SINK | {"sdp": await _own_description(node)})
    for number, group in ((1, "239.9.9.1"), (2, "239.9.9.2")):
        message = announced(f"Far {number}", group, number)
        node.control.discovery.browser.receive(message, "192.0.2.7", 0)
    await user.reads("#remote", "Far 2")
    await user.ask("document.querySelectorAll('#remote li button').forEach(each => each.click())")
    await user.reads("#sink-2 h3", "Far 2")
    await user.reads("#remote li:nth-child(2)", "received as Far 2")
    sinks = node.control.node.sinks
    assert [sinks[key].name for key in (1, 2)] == ["Far 1", "Far 2"]
    assert [sinks[key].map for key in (1, 2)] == [(2, 3), (4, 5)], "channels nobody used"


async def _own_description(node: HttpNode) -> str:
    await node.client.put("/api/v1/sources/0", json=SOURCE)
    return (await node.client.get("/api/source/sdp/0")).text


async def test_a_stream_of_another_clock_is_received_only_when_told_so(
    user: User, node: HttpNode
) -> None:
    message = announced("Far", "239.9.9.1", 1, STRANGE_CLOCK)
    node.control.discovery.browser.receive(message, "192.0.2.7", 0)
    await user.presses("Receive Far")
    await user.reads("#remote .error", "00-1D-C1-FF-FE-00-00-01")
    assert node.control.node.sinks == {}
    await user.presses("Receive anyway", "#remote")
    await user.reads("#sink-0", "Far")
    assert node.control.node.sinks[0].ignore_refclk_gmid is True


async def test_what_a_description_lacks_is_said_at_its_field(user: User, node: HttpNode) -> None:
    await user.presses("Add sink")
    await user.enters("#f-sdp", "v=0\nno description")
    await user.presses("Save")
    await user.sees("document.querySelector('#f-sdp-error')?.innerText.length > 3")
    assert node.control.node.sinks == {}
    await user.ask("document.querySelector('dialog').dispatchEvent(new Event('cancel'))")
    await user.sees("!document.querySelector('dialog')")


async def test_a_hostile_name_is_only_a_name(user: User, node: HttpNode) -> None:
    sdp = await _own_description(node)
    await node.client.put("/api/v1/sources/1", json=SOURCE | {"name": HOSTILE})
    await node.client.put("/api/v1/sinks/0", json=SINK | {"name": HOSTILE, "sdp": sdp})
    node.control.discovery.browser.receive(announced(HOSTILE, "239.9.9.9", 5), "192.0.2.7", 0)
    for place in ("#sources", "#sinks", "#remote"):
        await user.reads(place, HOSTILE)
    await user.presses("Details", "#sink-0")
    await user.sees("!!document.querySelector('#sink-0 pre')")
    assert await user.ask("document.querySelectorAll('#page img, #page script').length") == 0
    assert await user.ask("window.harm === undefined") is True


async def test_a_keyboard_is_enough(user: User) -> None:
    add, active = "document.querySelector('#sources .head button')", "document.activeElement"
    await user.ask(f"{add}.focus()")
    await user.strikes("Enter", 13, "\r")
    await user.sees("document.querySelector('dialog')?.open === true")
    await user.strikes("Tab", 9)
    await user.sees(f"!!{active}.closest('dialog')")
    await user.enters("#f-name", "By keys")
    await user.strikes("Enter", 13, "\r")
    await user.reads("#source-0", "By keys")
    await user.sees(f"{active} === {add}")
    await user.strikes("Enter", 13, "\r")
    await user.sees("document.querySelector('dialog')?.open === true")
    await user.strikes("Escape", 27)
    await user.sees(f"!document.querySelector('dialog') && {active} === {add}")


async def test_others_changes_are_seen_at_once(user: User, node: HttpNode) -> None:
    await node.client.put("/api/v1/sources/5", json=SOURCE | {"name": "By another"})
    await user.reads("#source-5", "By another")
    await node.client.delete("/api/v1/sources/5")
    await until(lambda: not node.control.node.sources)
    await user.sees("!document.querySelector('#source-5')")
