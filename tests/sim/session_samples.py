"""Sources, sinks and networks for the session tests, and strategies of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from aes67.config.model import RATES, Config
from aes67.session.model import Sink, Source
from aes67.session.network import Interface, Network
from aes67.session.state import State

NETWORK = Network(
    (
        Interface("lo", "00:00:00:00:00:00", ("127.0.0.1",)),
        Interface("eth0", "02:00:00:00:00:01", ("10.0.1.1", "10.0.2.1")),
        Interface("eth1", "02:00:00:00:00:02", ("10.1.1.1",)),
        Interface("down0", "02:00:00:00:00:03"),
    )
)


def source(number: int = 0, **changes: Any) -> Source:
    """A stereo source of 1 ms packets."""
    return Source(**({"id": number, "name": f"Source {number}"} | changes))


def sdp_of(**changes: Any) -> str:
    """A session description as an AES67 device writes it."""
    values: dict[str, Any] = {
        "address": "239.5.0.1", "port": 5004, "pt": 98, "codec": "L24", "rate": 48000,
        "channels": 2, "ptime": "1", "extra": "", "clock": "a=ts-refclk:ptp=traceable\n",
        "media_clock": "a=mediaclk:direct=0\n",
    } | changes  # fmt: skip
    return (
        "v=0\no=- 1 2 IN IP4 10.0.0.9\ns=Remote\nt=0 0\n"
        f"m=audio {values['port']} RTP/AVP {values['pt']}\n"
        f"c=IN IP4 {values['address']}/15\n"
        f"a=rtpmap:{values['pt']} {values['codec']}/{values['rate']}/{values['channels']}\n"
        + (f"a=ptime:{values['ptime']}\n" if values["ptime"] else "")
        + values["clock"]
        + values["media_clock"]
        + values["extra"]
    )


def sink(number: int = 0, sdp: str | None = None, **changes: Any) -> Sink:
    """A sink of a stereo stream."""
    text = sdp_of() if sdp is None else sdp
    return Sink(**({"id": number, "name": f"Sink {number}", "sdp": text} | changes))


def state(**changes: Any) -> State:
    """A state on eth0 at 48 kHz."""
    values: dict[str, Any] = {"config": Config(), "rate": 48000, "network": NETWORK} | changes
    for key in ("sources", "sinks"):
        values[key] = {each.id: each for each in values.get(key, ())}
    return State(**values)


CHANNEL_MAPS = st.builds(
    lambda first, count, step: tuple((first + n * step) % 512 for n in range(count)),
    st.integers(0, 511), st.integers(1, 64), st.integers(0, 3),
)  # fmt: skip

SOURCES = st.builds(
    source,
    st.integers(0, 63),
    name=st.integers(0, 10**6).map(str),
    enabled=st.booleans(),
    max_samples_per_packet=st.integers(1, 200),
    codec=st.sampled_from(["L16", "L24", "AM824"]),
    address=st.sampled_from(["", "239.9.9.9", "10.0.0.7"]),
    ttl=st.integers(1, 255),
    payload_type=st.integers(0, 127),
    dscp=st.integers(0, 63),
    map=CHANNEL_MAPS,
    framing=st.sampled_from(["raw", "aes3"]),
)

SINKS = st.builds(
    sink,
    st.integers(0, 63),
    sdp=st.builds(
        sdp_of,
        address=st.sampled_from(["239.5.0.1", "239.5.0.2", "10.0.1.1", "10.9.9.9"]),
        port=st.integers(5000, 5007),
        codec=st.sampled_from(["L16", "L24", "AM824"]),
        rate=st.sampled_from(RATES),
        channels=st.integers(1, 64),
        ptime=st.sampled_from(["", "1", "0.125", "4", "0.33"]),
        clock=st.sampled_from(["", "a=ts-refclk:ptp=traceable\n", "a=ts-refclk:localmac=00-1\n"]),
        extra=st.sampled_from(["", "a=source-filter: incl IN IP4 239.5.0.1 10.0.0.9\n"]),
    ),
    name=st.integers(0, 10**6).map(str),
    delay=st.integers(0, 9000),
    map=CHANNEL_MAPS,
    timing=st.sampled_from(["auto", "direct", "latched", "async"]),
)
