"""Masters nobody invited, over real sockets: a flood of them, and one that is not allowed."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from aes67.clock.lock import State
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import GENERAL_PORT, MULTICAST_IPV4, Header, PortIdentity
from aes67.wire.ptp_messages import Announce, Quality, pack
from sim import waiting
from sim.netns import Namespace, ptp4l, veth_pair
from sim.timekeeping import PATIENCE_S, keeping, ptp, until_state

IDENTITIES = 1_000
BATCH, BATCHES, EVERY_S = 20, 300, 0.01
"""Six of each master, three of them in either half, in more than three seconds."""


def sender(where: Namespace, interface: str) -> socket.socket:
    """A socket on the master's end of the cable."""
    with where.entered():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    return sock


def better(number: int, sequence: int) -> bytes:
    """An Announce of a master better than any, one of a thousand."""
    clock = b"\x66" + number.to_bytes(7, "big")
    header = Header(h.ANNOUNCE, PortIdentity(clock, 1), sequence & 0xFFFF, log_interval=0)
    return pack(Announce(header, 37, 0, Quality(6, 0x20, 1), 1, clock, 0, 0x20))


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_announces_of_a_thousand_better_masters_neither_unlock_it_nor_grow_it(
    tmp_path: Path,
) -> None:
    with veth_pair() as (a, b, interface):
        ptp4l(a, interface, tmp_path, master=True)
        async with keeping(b, ptp(interface=interface)) as (keeper, listener):
            await until_state(listener, State.LOCKED)
            gmid = keeper.snapshot()["gmid"]
            states: set[State] = set()
            del listener.records[:-1]
            sock = sender(a, interface)
            tracemalloc.start()
            before = 0
            for number in range(BATCHES):
                # what the test collects would be taken for growth
                states |= listener.states()
                del listener.records[:-1], listener.snapshots[:-1]
                for i in range(number * BATCH, (number + 1) * BATCH):
                    sock.sendto(better(i % IDENTITIES, i), (MULTICAST_IPV4, GENERAL_PORT))
                await asyncio.sleep(EVERY_S)
                if number == BATCHES // 2:
                    before, _ = tracemalloc.get_traced_memory()
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            sock.close()
            snapshot = keeper.snapshot()
            assert snapshot["messages"]["received"]["Announce"] > IDENTITIES
            assert after - before < 200_000
            assert snapshot["gmid"] == gmid
            assert states <= {State.LOCKED, State.HOLDOVER}
            assert abs(listener.ahead_of_realtime()) < 50_000
            await until_state(listener, State.LOCKED)


@pytest.mark.root
@pytest.mark.peer("ptp4l")
async def test_a_ptp4l_that_is_not_allowed_is_not_followed_until_it_is(tmp_path: Path) -> None:
    with veth_pair() as (a, b, interface):
        ptp4l(a, interface, tmp_path, master=True, log_announce=-1)
        spec = ptp(interface=interface, allowed_masters=frozenset((b"\x66" * 8,)))
        async with keeping(b, spec) as (keeper, listener):
            words = "not in ptp_allowed_masters"
            await waiting.until(lambda: words in str(keeper.snapshot()["reason"]), PATIENCE_S)
            (master,) = keeper.snapshot()["masters"]
            assert master["allowed"] is False
            assert listener.record.state == State.UNLOCKED
            allowed = frozenset((bytes.fromhex(master["clock"].replace("-", "")),))
            with b.entered():
                await keeper.configure(replace(spec, allowed_masters=allowed))
            await until_state(listener, State.LOCKED)
            assert keeper.snapshot()["gmid"] == master["clock"]
