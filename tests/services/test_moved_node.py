"""A node whose address changes leaves nothing behind in the lists of others."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from aes67.discovery.browser import Browser
from aes67.services.sap import SapService, Settings
from aes67.wire import sap
from sim.avahi import avahi
from sim.http_node import SOURCE, http_node
from sim.netns import ip, veth_pair
from sim.waiting import until

SESSION = "_ravenna_session._sub._rtsp._tcp"


@pytest.mark.root
@pytest.mark.peer("avahi-daemon", "avahi-browse", "dbus-daemon")
@pytest.mark.parametrize("name", ["", "Box"], ids=["named by its address", "named"])
async def test_the_old_session_is_gone_from_sap_and_mdns(tmp_path: Path, name: str) -> None:
    with veth_pair() as (a, b, interface), avahi(b, interface) as peer:
        heard = Browser(1)
        listener = SapService(heard, lambda: None)
        with b.entered():
            index = socket.if_nametoindex(interface)
            here = Settings(((interface, index),), sap.GROUP_LOCAL, 1, "10.67.0.2")
            listener.configure(here)
        changes = {"interface_name": interface, "custom_node_id": name, "sap_interval": 1}
        with a.entered():
            async with http_node(tmp_path, **changes) as node:
                await node.client.put("/api/source/0", json=SOURCE)
                await node.control.discovery.start()

                async def browsed(wanted: set[str]) -> None:
                    """avahi has exactly these; it forgets a second after a goodbye."""
                    async with asyncio.timeout(60):
                        while set(await asyncio.to_thread(peer.browse, SESSION)) != wanted:
                            pass

                def addresses() -> list[str]:
                    return [each.address for each in heard.sources()]

                await until(lambda: addresses() == ["10.67.0.1"])
                await browsed({f"{name or 'Daemon 430a0100'} A"})
                before = node.control.node.description(0)
                ip("-n", a.name, "addr", "del", "10.67.0.1/24", "dev", interface)
                ip("-n", a.name, "addr", "add", "10.67.0.77/24", "dev", interface)
                await until(lambda: addresses() == ["10.67.0.77"])
                await browsed({f"{name or 'Daemon 430a4d00'} A"})
                assert node.control.node.description(0) != before
                after = node.control.node.description(0)
                await until(lambda: [each.sdp for each in heard.sources()] == [after])
        await until(lambda: heard.sources() == [])
        listener.close()
