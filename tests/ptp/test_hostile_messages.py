"""Every field of every PTP message set to its extremes and to anything, at clocks of every mode.

What must hold: nothing raises, the published time stays a line that goes on, the snapshot stays
JSON, tables stay bounded; a stranger's broken messages do not move a locked clock, and after
broken ones in the master's own name the clock finds back.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.clock.lock import State
from aes67.clock.timebase import NS, UNKNOWN_NS, Line
from aes67.ptp.bmca import Role
from aes67.ptp.foreign import CAPACITY
from aes67.ptp.heard import CAPACITY as HEARD
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Message, Other, Quality, Timed, pack
from sim.world import Master, Oscillator, World

EPOCH = 1_700_000_000 * NS
OURS = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
GOOD = bytes.fromhex("001dc1fffe000001")
STRANGER = bytes.fromhex("666666fffe666666")

HEADER_FIELDS = {
    "majorSdoId and messageType": (0, 1), "version": (1, 1), "messageLength": (2, 2),
    "domainNumber": (4, 1), "minorSdoId": (5, 1), "flagField": (6, 2),
    "correctionField": (8, 8), "messageTypeSpecific": (16, 4), "clockIdentity": (20, 8),
    "portNumber": (28, 2), "sequenceId": (30, 2), "controlField": (32, 1),
    "logMessageInterval": (33, 1),
}  # fmt: skip
STAMP = {"seconds": (34, 6), "nanoseconds": (40, 4)}
REQUESTER = {"requestingPortIdentity": (44, 8), "requestingPort": (52, 2)}
ANNOUNCE = {
    "currentUtcOffset": (44, 2), "priority1": (47, 1), "clockClass": (48, 1),
    "clockAccuracy": (49, 1), "offsetScaledLogVariance": (50, 2), "priority2": (52, 1),
    "grandmasterIdentity": (53, 8), "stepsRemoved": (61, 2), "timeSource": (63, 1),
}  # fmt: skip
BODIES = {
    h.SYNC: STAMP, h.DELAY_REQ: STAMP, h.FOLLOW_UP: STAMP, h.PDELAY_REQ: STAMP,
    h.DELAY_RESP: STAMP | REQUESTER, h.PDELAY_RESP: STAMP | REQUESTER,
    h.PDELAY_RESP_FOLLOW_UP: STAMP | REQUESTER, h.ANNOUNCE: STAMP | ANNOUNCE,
    h.SIGNALING: {"targetPortIdentity": (34, 8), "targetPort": (42, 2), "TLV": (44, 4)},
    h.MANAGEMENT: {"targetPortIdentity": (34, 8), "hops": (44, 2), "action": (46, 1)},
}  # fmt: skip
"""Octets of each field after IEEE 1588-2019 clause 13: offset, length."""
FIELDS = [
    (kind, name, *place)
    for kind, body in BODIES.items()
    for name, place in (HEADER_FIELDS | body).items()
]


def valid(kind: int, clock: bytes, sequence: int, time_ns: int, domain: int = 0) -> bytes:
    """A message nobody could object to; as Announce it offers less than the real master."""
    source = PortIdentity(clock, 1)
    flags = h.PTP_TIMESCALE | (h.TWO_STEP if kind == h.SYNC and sequence % 2 else 0)
    header = Header(kind, source, sequence & 0xFFFF, domain, flags, log_interval=0)
    message: Message
    if kind == h.ANNOUNCE:
        message = Announce(header, 37, 200, Quality(6, 0x21, 0x4E5D), 128, clock, 0, 0x20)
    elif kind in (h.DELAY_RESP, h.PDELAY_RESP, h.PDELAY_RESP_FOLLOW_UP):
        message = Answer(header, time_ns, OURS)
    elif kind in (h.SIGNALING, h.MANAGEMENT):
        message = Other(header, b"\xff" * 10 + struct.pack(">HH", 4, 0))
    else:
        message = Timed(header, time_ns)
    return pack(message)


def with_field(data: bytes, offset: int, length: int, value: bytes) -> bytes:
    return data[:offset] + value[:length] + data[offset + length :]


def extremes(rng: np.random.Generator, length: int) -> Iterator[bytes]:
    """Nothing, everything, the signed limits, one, and chance."""
    yield bytes(length)
    yield b"\xff" * length
    yield b"\x7f" + b"\xff" * (length - 1)
    yield b"\x80" + bytes(length - 1)
    yield bytes(length - 1) + b"\x01"
    yield rng.bytes(length)


def judged(clock: OrdinaryClock, now_ns: int) -> None:
    """What holds of any clock at any time."""
    for port in clock.ports:
        assert len(port.table.masters) <= CAPACITY
        assert len(port.heard.masters) <= HEARD
    mapping = clock.mapping
    assert 0 <= mapping.uncertainty_ns <= UNKNOWN_NS
    assert abs(mapping.line.time_ns) < 2**63
    assert clock.lock.reason
    assert json.loads(json.dumps(render(clock, now_ns), allow_nan=False))["reason"]


def bombard(world: World, clock: OrdinaryClock, sender: bytes, every_ns: int) -> None:
    """All fields with all their extremes, one message after the other."""
    rng = np.random.default_rng(7)
    at_ns = world.now
    for sequence, (kind, _, offset, length) in enumerate(FIELDS):
        for value in extremes(rng, length):
            at_ns += every_ns
            time_ns = world.masters[0].time(at_ns)
            data = with_field(valid(kind, sender, sequence, time_ns), offset, length, value)

            def arrive(data: bytes = data, at_ns: int = at_ns) -> None:
                world.arrive(data, at_ns)

            world.at(at_ns, arrive)
    while world.now < at_ns:
        world.run(min(at_ns, world.now + NS // 2) / NS)
        judged(clock, world.local.at(world.now))


def locked_world() -> tuple[World, OrdinaryClock]:
    world = World(5)
    Master(world, law=Oscillator(ppm=30, start_ns=EPOCH)).start()
    clock = world.slave()
    world.run(15)
    assert clock.lock.state is State.LOCKED
    return world, clock


def test_a_stranger_s_broken_messages_do_not_move_a_locked_clock() -> None:
    world, clock = locked_world()
    begin = world.now / NS
    since = len(world.states)
    bombard(world, clock, STRANGER, 10_000_000)
    world.run(world.now / NS + 10)
    judged(clock, world.local.at(world.now))
    assert "unlocked" not in [state for _, state in world.states[since:]]
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == GOOD
    assert clock.media.session_epoch == 0
    assert np.abs(world.since(begin)).max() < 5_000


def test_after_broken_messages_in_the_master_s_own_name_the_clock_finds_back() -> None:
    world, clock = locked_world()
    bombard(world, clock, GOOD, 20_000_000)
    world.run(world.now / NS + 60)
    judged(clock, world.local.at(world.now))
    assert clock.lock.state is State.LOCKED
    assert clock.grandmaster == GOOD
    assert abs(world.error()) < 2_000


MODES = {
    "ptp": (Mode.PTP, Role.ORDINARY, {}),
    "ptp-slave": (Mode.PTP_SLAVE, Role.SLAVE_ONLY, {}),
    "gm": (Mode.GRANDMASTER, Role.MASTER_ONLY, {}),
    "gptp": (Mode.PTP, Role.ORDINARY, {"profile": "gptp", "major_sdo": 1, "path_trace": True}),
}


@pytest.mark.parametrize("name", MODES)
@given(
    packets=st.lists(
        st.tuples(
            st.sampled_from(FIELDS),
            st.binary(min_size=8, max_size=8),
            st.sampled_from([GOOD, STRANGER, OURS.clock]),
            st.integers(0, 3),
            st.integers(0, 2 * NS),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_no_sequence_of_broken_messages_raises(
    name: str, packets: list[tuple[tuple[int, str, int, int], bytes, bytes, int, int, bool]]
) -> None:
    mode, role, changes = MODES[name]
    config = PortConfig(OURS, role, **changes)  # type: ignore[arg-type]
    clock = OrdinaryClock(mode, config, lambda: 0.5, 0, Line(0, EPOCH))
    now_ns = 0
    tokens: list[tuple[int, int]] = []
    for (kind, _, offset, length), value, sender, sequence, pause_ns, stamped in packets:
        now_ns += pause_ns
        clock.handle_timer(now_ns)
        data = bytearray(with_field(valid(kind, sender, sequence, now_ns), offset, length, value))
        if changes and offset:
            data[0] |= 0x10
        clock.receive(bytes(data), "10.0.0.9", now_ns, now_ns if stamped else None)
        for message in clock.outgoing():
            if message.event:
                tokens.append(message.token)
        while tokens:
            clock.sent(tokens.pop(), now_ns if stamped else None, now_ns)
        assert clock.next_deadline() >= 0
    judged(clock, now_ns)


def test_every_octet_of_every_message_belongs_to_a_field() -> None:
    """The table above leaves nothing out but reserved octets and the tail of messages we skip."""
    for kind, body in BODIES.items():
        if kind in (h.SIGNALING, h.MANAGEMENT):
            continue
        data = valid(kind, STRANGER, 1, 5)
        covered = set(
            itertools.chain.from_iterable(
                range(offset, offset + length) for offset, length in (HEADER_FIELDS | body).values()
            )
        )
        reserved = {46} if kind == h.ANNOUNCE else set()
        if kind == h.PDELAY_REQ:
            reserved = set(range(44, 54))
        assert covered | reserved == set(range(len(data)))
