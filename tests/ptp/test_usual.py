"""The short way of the usual messages ends where the long way of all messages does."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.clock.timebase import NS
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Answer, Message, Quality, Timed, Tlv, pack
from sim.world import Master, Oscillator, World, spiky

EPOCH = 1_700_000_000 * NS
OTHER = bytes.fromhex("001dc1fffe000009")
CLOCKS = [
    bytes.fromhex("001dc1fffe000001"),
    OTHER,
    bytes.fromhex("020000ae67000002"),
    bytes.fromhex("020000fffe0000aa"),
]


def known(clock: OrdinaryClock, now_ns: int) -> dict[str, Any]:
    """All that is shown, and what the estimators hold to the last bit."""
    port = clock.ports[0]
    masters = port.table.masters
    return {
        "shown": render(clock, now_ns),
        "mapping": clock.mapping,
        "received": port.received,
        "heard": port.heard.masters,
        "counted": {
            each: (m.syncs, m.follow_ups, m.delay_responses, m.unstamped, m.sync_log)
            for each, m in masters.items()
        },
        "lines": {each: m.estimator.line for each, m in masters.items()},
        "next": port.next_deadline(),
    }


def run(short: bool, *, two_step: bool) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    world = World(3)
    for clock, priority1 in ((CLOCKS[0], 128), (OTHER, 200)):
        Master(
            world, clock, Oscillator(ppm=30, start_ns=EPOCH), priority1=priority1,
            two_step=two_step, down=spiky, up=spiky, loss=0.05, log_delay=-3,
        ).start()  # fmt: skip
    slave = world.slave()
    if not short:
        slave.ports[0].usual = None
    world.run(20)
    return known(slave, world.local.at(world.now)), world.errors


def test_two_masters_are_measured_the_same_either_way() -> None:
    for two_step in (True, False):
        assert run(True, two_step=two_step) == run(False, two_step=two_step)


def messages() -> st.SearchStrategy[Message]:
    identities = st.builds(PortIdentity, st.sampled_from(CLOCKS), st.integers(1, 2))
    headers = st.builds(
        Header,
        st.just(h.SYNC),
        identities,
        st.integers(0, 3),
        domain=st.sampled_from([0, 0, 0, 1]),
        flags=st.sampled_from([0, h.TWO_STEP, h.TWO_STEP, h.ALTERNATE_MASTER]),
        correction=st.integers(-(2**20), 2**20),
        log_interval=st.integers(-4, 1),
        major_sdo=st.sampled_from([0, 0, 0, 1]),
    )
    times = st.integers(0, 10 * NS)
    tlvs = st.sampled_from([(), (), (Tlv(3, b"1234567890"),)])

    def of(kind: int) -> st.SearchStrategy[Header]:
        return headers.map(
            lambda each: Header(
                kind, each.source, each.sequence_id, each.domain, each.flags, each.correction,
                each.log_interval, each.major_sdo,
            )
        )

    timed = st.sampled_from([h.SYNC, h.FOLLOW_UP, h.DELAY_REQ]).flatmap(
        lambda kind: st.builds(Timed, of(kind), times, tlvs)
    )
    answers = st.builds(Answer, of(h.DELAY_RESP), times, identities, tlvs)
    announces = st.builds(
        Announce, of(h.ANNOUNCE), st.just(37), st.integers(100, 200),
        st.just(Quality(6, 0x21, 1)), st.just(128), st.sampled_from(CLOCKS), st.just(0),
        st.just(0x20),
    )  # fmt: skip
    return timed | timed | answers | announces


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(messages(), st.booleans(), st.integers(0, 60), st.integers(0, 255)),
        min_size=5,
        max_size=40,
    )
)
def test_whatever_comes_counts_the_same_either_way(
    packets: list[tuple[Message, bool, int, int]],
) -> None:
    """Every fifth packet has an octet changed, and a few are cut short or padded."""
    ends = []
    for short in (True, False):
        world = World(1)
        slave = world.slave()
        if not short:
            slave.ports[0].usual = None
        now_ns = world.local.at(0)
        for number, (message, stamped, at, octet) in enumerate(packets):
            data = bytearray(pack(message))
            if number % 5 == 4:
                data[at % len(data)] = octet
            if octet % 16 == 0:
                data = data[:at] if octet else data + bytes(at)
            now_ns += 50_000_000
            slave.receive(bytes(data), "10.0.0.1", now_ns, now_ns - 1_000 if stamped else None)
            slave.handle_timer(now_ns)
            for sent in slave.outgoing():
                slave.sent(sent.token, now_ns, now_ns)
        ends.append(known(slave, now_ns))
    assert ends[0] == ends[1]
