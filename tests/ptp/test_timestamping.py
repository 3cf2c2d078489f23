"""Cross-reading of clocks, and PTP sockets on a real kernel."""

from __future__ import annotations

import socket
import time

import pytest

from aes67.errors import Refused
from aes67.net.ptp_udp import PtpSockets
from aes67.net.timestamping import CrossClock, claim, hardware_address, raw_now
from aes67.wire.ptp_header import MULTICAST_IPV4 as GROUP
from sim.netns import ip, namespaces

NS = 1_000_000_000


class Scripted(CrossClock):
    """Clocks whose readings are given: (RAW, REALTIME minus RAW)."""

    def __init__(self, *readings: tuple[int, int]) -> None:
        self._readings = list(readings)
        super().__init__()

    def _measure(self) -> tuple[int, int]:  # type: ignore[override]
        return self._readings.pop(0)


def test_the_real_clocks_are_read_at_one_instant() -> None:
    cross = CrossClock()
    for _ in range(100):
        raw_ns, real_ns = cross.read()
        again = time.clock_gettime_ns(time.CLOCK_REALTIME) - raw_now()
        assert abs(real_ns - raw_ns - again) < 1_000_000
        assert cross.renew()
    assert cross.steps == 0


def test_a_stamp_is_converted_with_the_newest_reading() -> None:
    cross = Scripted((0, 100 * NS), (NS, 100 * NS + 50))
    assert cross.renew()
    assert cross.to_raw(101 * NS) == NS - 50


@pytest.mark.parametrize("ppm", [-500, -20, 20, 500])
@pytest.mark.parametrize("waited", [0, 30_000, NS // 20, NS // 5])
def test_a_stamp_that_waited_is_converted_at_the_rate_of_realtime(ppm: int, waited: int) -> None:
    """NTP runs REALTIME at another rate than RAW for good, so a reading ages with the stamp."""

    def ahead(raw_ns: int) -> int:
        return 100 * NS + raw_ns * ppm // 1_000_000

    instants = (0, NS // 5, NS // 5 + 1_000, 2 * NS // 5, 2 * NS // 5 + 1_000)
    cross = Scripted(*((raw_ns, ahead(raw_ns)) for raw_ns in instants))
    assert all(cross.renew() for _ in instants[1:])
    raw_ns = instants[-1] - waited
    found = cross.to_raw(raw_ns + ahead(raw_ns))
    assert found is not None
    assert abs(found - raw_ns) <= 1 + waited * ppm**2 // 10**12


@pytest.mark.parametrize("step", [-3_600 * NS, -NS // 1000, NS // 1000, 86_400 * NS])
def test_a_step_of_the_system_clock_is_noticed_once(step: int) -> None:
    cross = Scripted((0, 100 * NS), (NS // 8, 100 * NS + step), (NS // 4, 100 * NS + step))
    assert not cross.renew()
    assert cross.renew()
    assert cross.steps == 1
    assert cross.to_raw(100 * NS + step + NS // 4 - 20_000) == NS // 4 - 20_000


def test_slewing_by_ntp_is_no_step() -> None:
    readings = [(i * NS, 100 * NS + i * 500_000) for i in range(100)]
    cross = Scripted(*readings)
    assert all(cross.renew() for _ in range(99))


@pytest.mark.parametrize("age", [-NS, 2 * NS])
def test_a_stamp_from_before_a_step_is_worthless(age: int) -> None:
    cross = Scripted((0, 100 * NS), (10 * NS, 100 * NS))
    cross.renew()
    assert cross.to_raw(110 * NS - age) is None


def warmed_up(sockets: PtpSockets) -> int:
    """Send until stamps come: the kernel turns its receive stamps on a moment after it is asked.

    Returns the number the next message will have.
    """
    for number in range(250):
        sockets.send(b"w" * 44, event=True)
        sockets.event.transmit_stamps()
        packet = sockets.event.receive()
        if packet is not None and packet.stamp_ns is not None:
            return number + 1
        time.sleep(0.01)
    raise AssertionError("no receive stamps")


@pytest.mark.root
def test_event_messages_are_stamped_both_ways_in_their_order() -> None:
    with namespaces(1) as (home,), home.entered():
        sockets = PtpSockets("lo", GROUP, 46, 34)
        try:
            first = warmed_up(sockets)
            for number in range(first, first + 5):
                sent = sockets.send(bytes((number,)) * 44, event=True)
                assert sent.id == number
                (departed,) = sockets.event.transmit_stamps()
                packet = sockets.event.receive()
                assert packet is not None
                assert departed.id == number
                assert departed.stamp_ns is not None
                assert packet.stamp_ns is not None
                assert packet.data == bytes((number,)) * 44
                assert sent.before_ns <= departed.stamp_ns <= packet.stamp_ns <= packet.read_ns
            for number in (first + 5, first + 6):
                assert sockets.send(b"y" * 44, event=True).id == number
                assert sockets.event.receive() is not None
            numbers = [sockets.event.transmit_stamps(1) for _ in range(3)]
            found = [[each.id for each in some] for some in numbers]
            assert found == [[first + 5], [first + 6], []]
            sockets.send(b"x" * 44, event=False)
            general = sockets.general.receive()
            assert general is not None
            assert sockets.general.receive() is None
            assert sockets.event.receive() is None
        finally:
            sockets.close()


@pytest.mark.root
def test_after_a_failed_send_the_stamps_are_still_matched() -> None:
    with namespaces(1) as (home,), home.entered():
        sockets = PtpSockets("lo", GROUP, 46, 34)
        try:
            sockets.send(b"a" * 44, event=True)
            sockets.event.transmit_stamps()
            ip("-n", home.name, "link", "set", "lo", "down")
            with pytest.raises(OSError, match="unreachable|down"):
                sockets.send(b"b" * 44, event=True)
            ip("-n", home.name, "link", "set", "lo", "up")
            for _ in range(3):
                sent = sockets.send(b"c" * 44, event=True)
                (departed,) = sockets.event.transmit_stamps()
                assert departed.id == sent.id
                assert departed.stamp_ns is not None
                assert sent.before_ns <= departed.stamp_ns <= sent.after_ns
        finally:
            sockets.close()


@pytest.mark.root
def test_the_ports_are_shared_and_only_the_joined_group_is_heard() -> None:
    with namespaces(1) as (home,), home.entered():
        first = PtpSockets("lo", GROUP, 46, 34)
        second = PtpSockets("lo", GROUP, 46, 34)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            first.send(b"a" * 44, event=True)
            assert second.event.receive() is not None
            here = socket.inet_aton("127.0.0.1")
            other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            other.sendto(b"b" * 44, ("224.0.1.130", 319))
            assert first.event.receive() is not None  # its own, once
            assert first.event.receive() is None
        finally:
            for each in (first, second, other):
                each.close()


def test_an_interface_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refused, match="there are: .*lo") as refused:
        PtpSockets("nosuch0", GROUP, 46, 34)
    assert refused.value.field == "interface"


def test_a_name_is_held_by_one_at_a_time() -> None:
    name = f"aes67-test-{time.monotonic_ns()}"
    first = claim(name)
    assert first is not None
    assert claim(name) is None
    first.close()
    again = claim(name)
    assert again is not None
    again.close()


def test_the_loopback_has_an_empty_hardware_address() -> None:
    assert hardware_address("lo") == bytes(6)
