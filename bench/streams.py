"""The plan of a benchmark: what control would compute for N sources or sinks on one interface."""

from __future__ import annotations

import ipaddress
from typing import Any

from aes67.config.model import Config
from aes67.engine.plan import Plan
from aes67.session.model import Sink, Source
from aes67.session.network import Interface, Network
from aes67.session.plan import plan
from aes67.session.state import State

GROUP_BASE = int(ipaddress.IPv4Address("239.77.0.1"))
PORT = 5004
RATE = 48_000
SINK_DELAY_FRAMES = 240


def group(index: int) -> str:
    """Address of stream `index`, as the C loop has it."""
    return str(ipaddress.IPv4Address(GROUP_BASE + index))


def description(index: int, channels: int, frames: int) -> str:
    """SDP of stream `index`, whose clock is the benchmark's."""
    lines = [
        "v=0", "o=- 1 0 IN IP4 10.77.0.1", f"s=bench {index}",
        f"c=IN IP4 {group(index)}/15", "t=0 0",
        f"m=audio {PORT} RTP/AVP 98", f"a=rtpmap:98 L24/{RATE}/{channels}",
        f"a=ptime:{frames * 1000 / RATE:g}", f"a=framecount:{frames}",
        "a=ts-refclk:ptp=IEEE1588-2008:00-00-00-FF-FE-00-00-00:0", "a=mediaclk:direct=0", "",
    ]  # fmt: skip
    return "\r\n".join(lines)


def channel_map(index: int, channels: int) -> tuple[int, ...]:
    """Device channels of stream `index`: its own."""
    return tuple(range(index * channels, (index + 1) * channels))


def source(index: int, channels: int, frames: int) -> Source:
    """Source number `index`."""
    return Source.model_validate({
        "id": index, "name": f"bench {index}", "address": group(index),
        "max_samples_per_packet": frames, "map": channel_map(index, channels),
    })  # fmt: skip


def sink(index: int, channels: int, frames: int) -> Sink:
    """Sink number `index`, which takes what the C loop sends as stream `index`."""
    return Sink.model_validate({
        "id": index, "name": f"bench {index}", "sdp": description(index, channels, frames),
        "delay": SINK_DELAY_FRAMES, "ignore_refclk_gmid": True, "timing": "direct",
        "map": channel_map(index, channels),
    })  # fmt: skip


def planned(
    interface: str, address: str, sources: int, sinks: int, channels: int, frames: int
) -> tuple[Plan, bytes]:
    """The engine's plan and tables, computed by session.plan as control does."""
    config = Config.model_validate(
        {"interface_name": interface, "clock_mode": "free", "device_channels": 512}
    )
    network = Network((Interface(interface, "02:00:00:00:00:01", (address,)),))
    computed = plan(State(
        config, RATE, network,
        {each: source(each, channels, frames) for each in range(sources)},
        {each: sink(each, channels, frames) for each in range(sinks)},
    ))  # fmt: skip
    message: dict[str, Any] = {**computed.message, "serial": 1}
    return Plan.from_json(message), computed.tables
