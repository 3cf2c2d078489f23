"""mDNS answers that nobody honest gives, on a real socket: they do no harm to what comes after."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from zeroconf import DNSAddress, DNSOutgoing, DNSPointer, DNSService, DNSText
from zeroconf.const import _CLASS_IN, _FLAGS_QR_RESPONSE, _TYPE_A, _TYPE_PTR, _TYPE_SRV, _TYPE_TXT

from aes67.discovery.browser import Browser
from aes67.services.mdns import RTSP, SESSION, MdnsService, Settings
from aes67.services.rtsp import RtspService
from sim.netns import veth_pair
from sim.waiting import until

pytestmark = pytest.mark.root
PEER, GROUP, PORT, TTL = "10.67.0.1", "224.0.0.251", 5353, 120
TEXT = "v=0\no=- 1 1 IN IP4 10.67.0.1\ns=x\nt=0 0\n"
INSTANCES = [
    "a\r\nX: y", "a\0b", "\x1b[31mred", "%0d%0a", "../../etc/passwd", "?#&", "\N{SNOWMAN}" * 21,
    "x" * 63, " ", "<script>", "a b\tc",
]  # fmt: skip
ADDRESSES = ["0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255", PEER]


def answer(instance: str, address: str = PEER, port: int = 8854, server: str = "") -> bytes:
    """What a RAVENNA device says of a session: PTR, SRV, TXT and A."""
    name, server = f"{instance}.{RTSP}", server or "box.local."
    out = DNSOutgoing(_FLAGS_QR_RESPONSE)
    out.add_answer_at_time(DNSPointer(SESSION, _TYPE_PTR, _CLASS_IN, TTL, name), 0)
    out.add_answer_at_time(DNSService(name, _TYPE_SRV, _CLASS_IN, TTL, 0, 0, port, server), 0)
    out.add_answer_at_time(DNSText(name, _TYPE_TXT, _CLASS_IN, TTL, b"\xff=\0" * 9), 0)
    octets = socket.inet_aton(address)
    out.add_answer_at_time(DNSAddress(server, _TYPE_A, _CLASS_IN, TTL, octets), 0)
    return out.packets()[0]


def hostile() -> Iterator[bytes]:
    good, dice = answer("Cut"), random.Random(67)
    for length in range(len(good)):
        yield good[:length]
    for _ in range(300):
        spoilt = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
        yield bytes(spoilt)
    yield good[:12] + b"\xc0\x0c" * 40  # names that lead to themselves
    yield good[:4] + b"\xff" * 8 + good[12:]  # 65535 records of each kind
    yield bytes(9000)
    for instance in INSTANCES:
        yield answer(instance)
    for number, address in enumerate(ADDRESSES):
        yield answer(f"At {number}", address, 1, f"box{number}.local.")
        yield answer(f"Port {number}", address, 0, f"port{number}.local.")


async def test_what_is_answered_does_no_harm() -> None:
    heard, troubles = Browser(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, what: troubles.append(what))
    service = MdnsService(heard, lambda: None)
    server = RtspService(lambda path: (1, TEXT) if path == "/by-name/Good" else None)
    with veth_pair() as (a, b, interface):
        with a.entered():
            await server.configure(PEER, 8854)
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with b.entered():
            await service.configure(Settings(interface, "10.67.0.2", "Bob", 8080, 8854), {})
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(PEER))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            sock.bind((PEER, PORT))
            for packet in hostile():
                sock.sendto(packet, (GROUP, PORT))
                await asyncio.sleep(0)

            async def say_good() -> None:  # again and again: a full socket drops what comes
                while True:
                    sock.sendto(answer("Good", server="good.local."), (GROUP, PORT))
                    await asyncio.sleep(0.2)

            saying = asyncio.create_task(say_good())
            with b.entered():
                await until(lambda: [each.name for each in heard.sources()] == ["Good"])
            saying.cancel()
        await service.close()
        await server.close()
    assert troubles == []
