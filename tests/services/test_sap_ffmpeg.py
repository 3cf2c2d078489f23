"""ffmpeg as the judge of our SAP: it receives what we announce, we find what it announces."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Iterator

import pytest

from aes67.config.model import Config
from aes67.discovery.browser import Browser
from aes67.services.sap import SapService, Settings
from aes67.session.describe import Circumstances, describe
from aes67.session.model import Source
from aes67.session.network import Interface, Network
from aes67.wire import sap
from aes67.wire.sdp_media import audio_streams
from sim.netns import Namespace, ip, veth_pair
from sim.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.peer("ffmpeg", "ffprobe")]
HERE, THERE = "10.67.0.1", "10.67.0.2"


@contextlib.contextmanager
def cable() -> Iterator[tuple[Namespace, Namespace, str]]:
    """With the routes that programs need which do not choose an interface."""
    with veth_pair() as (a, b, interface):
        for each in (a, b):
            ip("-n", each.name, "route", "add", "224.0.0.0/4", "dev", interface)
        yield a, b, interface


def service(where: Namespace, interface: str, address: str) -> tuple[SapService, Browser]:
    browser = Browser(1)
    made = SapService(browser, lambda: None)
    with where.entered():
        index = socket.if_nametoindex(interface)
        made.configure(Settings(((interface, index),), sap.GROUP_GLOBAL, 1, address))
    return made, browser


async def program(where: Namespace, *command: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", where.name, *command, stdin=pipe, stdout=pipe, stderr=pipe
    )


def description(interface: str) -> str:
    source = Source(
        id=0, name="Studio A", map=(0, 1), max_samples_per_packet=48, codec="L24",
        address="239.69.3.2", payload_type=98,
    )  # fmt: skip
    network = Network((Interface(interface, "02:00:00:00:00:01", (HERE,)),))
    gmid = "39-A7-94-FF-FE-07-CB-D0"
    config = Config(interface_name=interface)
    return describe(source, Circumstances(config, network, 48000, gmid, 1))


async def test_ffmpeg_receives_what_we_announce() -> None:
    with cable() as (a, b, interface):
        speaker, _ = service(a, interface, HERE)
        speaker.announce({0: description(interface)})
        judge = await program(
            b, "ffprobe", "-v", "error", "-of", "json", "-show_streams", f"sap://{sap.GROUP_GLOBAL}"
        )
        with a.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender:
            sender.bind((HERE, 5004))
            asking = asyncio.create_task(judge.communicate())
            number = 0
            while not asking.done() and number < 10_000:
                head = struct.pack("!BBHII", 0x80, 98, number & 0xFFFF, 48 * number, 7)
                sender.sendto(head + bytes(48 * 6), ("239.69.3.2", 5004))
                number += 1
                await asyncio.sleep(0.001)
            out, err = await asyncio.wait_for(asking, 1)
        speaker.close()
    [stream] = json.loads(out)["streams"]
    found = (stream["codec_name"], stream["sample_rate"], stream["channels"])
    assert found == ("pcm_s24be", "48000", 2), err


async def test_we_find_what_ffmpeg_announces_and_hear_it_go() -> None:
    with cable() as (a, b, interface):
        listener, found = service(b, interface, THERE)
        to = f"sap://239.69.3.1:5004?announce_addr={sap.GROUP_GLOBAL}&ttl=4&same_port=1"
        writer = await program(
            a, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=sample_rate=48000",
            "-ac", "2", "-c:a", "pcm_s24be", "-metadata", "title=Desk Mics", "-f", "sap", to,
        )  # fmt: skip
        await until(lambda: len(found.sources()) == 1)
        [source] = found.sources()
        assert (source.name, source.address) == ("Desk Mics", HERE)
        [stream] = audio_streams(source.description)
        [leg] = stream.legs
        assert (leg.address, leg.port, leg.ttl) == ("239.69.3.1", 5004, 4)
        [kind] = stream.formats
        assert (kind.encoding, kind.rate, kind.channels) == ("L24", 48000, 2)
        await writer.communicate(b"q")
        await until(lambda: found.sources() == [])
        listener.close()
