"""The snapshot of a clock with two ports: each port's masters and rates are its own."""

from __future__ import annotations

import json

from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import Role
from aes67.ptp.master import SLAVES
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Quality, Timed, pack

OURS = bytes.fromhex("020000ae67000002")


def announce(master: int, sequence: int) -> bytes:
    clock = bytes(7) + bytes((master,))
    header = Header(h.ANNOUNCE, PortIdentity(clock, 1), sequence, log_interval=0)
    return pack(Announce(header, 37, master, Quality(6, 0x20, 1), 1, clock, 0, 0x20))


def test_masters_of_all_ports_are_listed_with_their_interface() -> None:
    configs = [
        PortConfig(PortIdentity(OURS, number), Role.SLAVE_ONLY, interface=f"eth{number}")
        for number in (1, 2)
    ]
    clock = OrdinaryClock(Mode.PTP_SLAVE, configs, lambda: 0.5, 0, Line(0, 0), None, "eth1")
    now_ns = 0
    for sequence in range(12):
        now_ns = sequence * NS
        clock.receive(announce(1, sequence), "10.0.0.1", now_ns, None, 0)
        for twice in (0, 1):
            number = 2 * sequence + twice
            clock.receive(announce(2, number), "10.0.1.1", now_ns + twice * NS // 2, None, 1)
        clock.handle_timer(now_ns)
    snapshot = json.loads(json.dumps(render(clock, now_ns)))
    masters = {m["clock"][-2:]: m for m in snapshot["masters"]}
    assert [(masters[n]["interface"], masters[n]["messages"]) for n in ("01", "02")] == [
        ("eth1", 12), ("eth2", 24),
    ]  # fmt: skip
    assert [masters[n]["selected"] for n in ("01", "02")] == [True, False]
    assert snapshot["messages"]["per_second"] == {"Announce": 1.0}, "of the port that is followed"
    assert clock.rates[1].per_second(h.ANNOUNCE) == 2.0


def test_a_clock_without_ports_has_no_masters() -> None:
    clock = OrdinaryClock(Mode.FREE, None, lambda: 0.5, 0, Line(0, 0))
    assert render(clock, NS)["masters"] == []


def test_a_grandmaster_lists_the_slaves_that_ask_it_and_forgets_the_others() -> None:
    config = PortConfig(PortIdentity(OURS, 1), Role.MASTER_ONLY, interface="eth1")
    clock = OrdinaryClock(Mode.GRANDMASTER, [config], lambda: 0.5, 0, Line(0, 0), None, "eth1")

    def ask(slave: int, sequence: int, now_ns: int) -> None:
        identity = PortIdentity(slave.to_bytes(8, "big"), 1)
        request = Timed(Header(h.DELAY_REQ, identity, sequence), 0)
        clock.receive(pack(request), "10.0.0.9", now_ns, now_ns, 0)

    now_ns = 0
    for second in range(20):
        now_ns = second * NS
        clock.handle_timer(now_ns)
    assert render(clock, now_ns)["slaves"] == []
    for sequence, slave in enumerate((7, 8, 7)):
        ask(slave, sequence, now_ns + sequence * NS)
    found = render(clock, now_ns + 3 * NS)["slaves"]
    assert [(each["port"][-4:], each["requests"]) for each in found] == [("07/1", 2), ("08/1", 1)]
    assert [each["last_heard_seconds"] for each in found] == [1.0, 2.0]
    assert found[0]["interface"] == "eth1"
    for slave in range(100, 300):
        ask(slave, 1, now_ns + 4 * NS)
    assert len(render(clock, now_ns + 5 * NS)["slaves"]) == SLAVES
    assert render(clock, now_ns + 500 * NS)["slaves"] == []
