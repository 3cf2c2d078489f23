"""PTP frames on a real kernel's veth: stamps both ways, numbers, the group, what is refused."""

from __future__ import annotations

import socket
import time

import pytest

from aes67.errors import Refused
from aes67.net.ethernet import EthernetSockets
from aes67.net.timestamping import Received
from sim.netns import Namespace, ip, namespaces, veth_pair

GROUP = bytes.fromhex("0180c200000e")

pytestmark = pytest.mark.root


def opened(where: Namespace, interface: str, group: bytes = GROUP) -> EthernetSockets:
    with where.entered():
        return EthernetSockets(interface, group)


def received(sockets: EthernetSockets, seconds: float = 2.0) -> Received | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        packet = sockets.event.receive()
        if packet is not None:
            return packet
        time.sleep(0.005)
    return None


def warmed_up(sender: EthernetSockets, receiver: EthernetSockets) -> int:
    """Send until stamps come (the kernel turns them on a moment later); the next number."""
    for number in range(250):
        sender.send(b"w" * 54, event=True)
        time.sleep(0.01)
        stamps = sender.event.transmit_stamps()
        packet = receiver.event.receive()
        if stamps and packet is not None and packet.stamp_ns is not None:
            while receiver.event.receive() is not None:
                pass
            return number + 1
    raise AssertionError("no stamps")


def test_frames_are_stamped_both_ways_and_numbered() -> None:
    with veth_pair() as (a, b, interface):
        sender, receiver = opened(a, interface), opened(b, interface)
        try:
            first = warmed_up(sender, receiver)
            for number in range(first, first + 5):
                # a message whose stamp nobody wants is counted too
                data = bytes((number % 256,)) * 54
                sent = sender.send(data, event=bool(number % 2))
                assert sent.id == number
                packet = received(receiver)
                assert packet is not None
                assert packet.data == data
                assert packet.source == sender.hardware_address.hex(":")
                (departed,) = sender.event.transmit_stamps()
                assert departed.id == number
                assert departed.hardware_ns is None
                assert departed.stamp_ns is not None
                assert packet.stamp_ns is not None
                assert sent.before_ns <= departed.stamp_ns <= packet.stamp_ns <= packet.read_ns
            assert sender.event.receive() is None, "not what was sent here"
        finally:
            sender.close()
            receiver.close()


def test_after_a_failed_send_the_stamps_are_still_matched() -> None:
    with veth_pair() as (a, b, interface):
        sender, receiver = opened(a, interface), opened(b, interface)
        try:
            warmed_up(sender, receiver)
            ip("-n", a.name, "link", "set", interface, "down")
            with pytest.raises(OSError, match="down"):
                sender.send(b"x" * 54, event=True)
            ip("-n", a.name, "link", "set", interface, "up")
            # the socket is told that the network was down: the loop reads that, as it reads packets
            assert sender.event.receive() is None
            sender.event.transmit_stamps()
            for _ in range(3):
                sent = sender.send(b"y" * 54, event=True)
                time.sleep(0.02)
                (departed,) = sender.event.transmit_stamps()
                assert departed.id == sent.id
                assert departed.stamp_ns is not None
                assert sent.before_ns <= departed.stamp_ns <= sent.after_ns + 5_000_000
        finally:
            sender.close()
            receiver.close()


def test_only_ptp_is_heard_and_rejoining_does_no_harm() -> None:
    with veth_pair() as (a, b, interface):
        sender, receiver = opened(a, interface), opened(b, interface)
        with a.entered():
            other = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        try:
            other.sendto(b"z" * 54, (interface, 0x22F0, 0, 0, GROUP))
            assert received(receiver, 0.2) is None
            receiver.rejoin()
            sender.send(b"p" * 54, event=True)
            packet = received(receiver)
            assert packet is not None
            assert packet.data == b"p" * 54
        finally:
            for each in (sender, receiver, other):
                each.close()


def test_an_interface_without_ethernet_is_refused() -> None:
    with namespaces(1) as (home,):
        ip("-n", home.name, "tuntap", "add", "dev", "tun9", "mode", "tun")
        with home.entered():
            with pytest.raises(Refused, match="needs an Ethernet interface"):
                EthernetSockets("tun9", GROUP)
            with pytest.raises(Refused, match="there are: lo"):
                EthernetSockets("nosuch0", GROUP)
