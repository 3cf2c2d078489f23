"""avahi as the judge of our mDNS: it resolves what we register, we find what it publishes."""

from __future__ import annotations

import asyncio

import pytest

from aes67.discovery.browser import Browser
from aes67.services.mdns import MdnsService, Settings
from aes67.services.rtsp import RtspService
from sim.avahi import avahi
from sim.netns import veth_pair
from sim.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.peer("avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon"),
]
SESSION = "_ravenna_session._sub._rtsp._tcp"
TEXT = "v=0\no=- 7 1 IN IP4 10.67.0.2\ns=Desk 1.2\nt=0 0\n"


async def test_avahi_finds_our_services_by_type_and_subtype() -> None:
    names = ["Studio A", "Küche; 1.2", "x" * 63]
    ours = MdnsService(Browser(), lambda: None)
    with veth_pair() as (a, b, interface), avahi(b, interface) as peer:
        here = Settings(interface, "10.67.0.1", "Box", 8081, 8855)
        with a.entered():
            await ours.configure(here, dict(enumerate(names)))

        async def browse(kind: str, count: int) -> dict[str, tuple[str, int]]:
            """What it finds as soon as there are so many; it forgets a second after a goodbye."""
            for _ in range(10):
                found = await asyncio.to_thread(peer.browse, kind)
                if len(found) == count:
                    break
            return found

        instances = [f"Box {name}".replace(".", "\N{ONE DOT LEADER}")[:63] for name in names]
        sessions = {name: ("10.67.0.1", 8855) for name in instances}
        assert await browse(SESSION, 3) == sessions
        assert await browse("_rtsp._tcp", 4) == sessions | {"Box": ("10.67.0.1", 8855)}
        assert await browse("_ravenna._sub._rtsp._tcp", 1) == {"Box": ("10.67.0.1", 8855)}
        assert await browse("_ravenna._sub._http._tcp", 1) == {"Box": ("10.67.0.1", 8081)}
        assert await browse("_http._tcp", 1) == {"Box": ("10.67.0.1", 8081)}
        with a.entered():
            await ours.configure(here, {1: "Küche; 1.2"})
        assert await browse(SESSION, 1) == {instances[1]: ("10.67.0.1", 8855)}
        with a.entered():
            await ours.close()
        assert await browse("_rtsp._tcp", 0) == {}


async def test_we_find_what_avahi_publishes_and_survive_its_restart() -> None:
    found = Browser()
    ours = MdnsService(found, lambda: None)
    server = RtspService(lambda path: (1, TEXT) if path == "/by-name/Desk 1.2" else None)

    def listed() -> list[tuple[str, str, str]]:
        return [(each.name, each.address, each.sdp) for each in found.sources()]

    wanted = [("Desk 1.2", "10.67.0.2", TEXT)]
    with veth_pair() as (a, b, interface), avahi(b, interface) as peer:
        with b.entered():
            await server.configure("10.67.0.2", 8854)
        with a.entered():
            await ours.configure(Settings(interface, "10.67.0.1", "Box", 8080, 8854), {})
            with peer.published("Desk 1.2", "_rtsp._tcp", 8854, SESSION):
                await until(lambda: listed() == wanted)
            await until(lambda: listed() == [])
            await asyncio.to_thread(peer.stop)
            await asyncio.to_thread(peer.start)
            with peer.published("Desk 1.2", "_rtsp._tcp", 8854, SESSION):
                await until(lambda: listed() == wanted)
            await ours.close()
        await server.close()
