"""The kernel's UDP counters: as it writes them, any text instead, and a real wrong checksum."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.net.udp_counters import UdpCounters, parse_snmp, read_udp_counters
from e2e.places import Namespace
from sim.waiting import wait_until

SNMP = """Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti
Udp: 4711 3 9 4000 5 0 4 17
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
UdpLite: 0 0 0 0 0 0 0
"""


def test_columns_are_found_by_name() -> None:
    assert parse_snmp(SNMP) == UdpCounters(checksum_errors=4, buffer_errors=5)


@given(st.text())
def test_any_text_is_counters(text: str) -> None:
    found = parse_snmp("Udp: InCsumErrors\nUdp: " + text)
    assert found.checksum_errors >= 0


def test_a_kernel_without_is_zero(tmp_path: Path) -> None:
    assert read_udp_counters(tmp_path / "none") == UdpCounters()
    assert UdpCounters(5, 5).since(UdpCounters(2, 9)) == UdpCounters(3, 0)


@pytest.mark.root
def test_a_wrong_checksum_is_counted_by_the_kernel() -> None:
    with Namespace():
        before = read_udp_counters()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as sender,
        ):
            listener.bind(("127.0.0.1", 0))
            listener.setblocking(False)
            port = listener.getsockname()[1]
            sender.sendto(struct.pack(">HHHH", 9, port, 12, 0xBAD) + b"data", ("127.0.0.1", 0))

            def counted() -> bool:
                try:  # the checksum is looked at when somebody reads
                    listener.recv(100)
                except BlockingIOError:
                    return read_udp_counters().since(before).checksum_errors == 1
                raise AssertionError("the kernel let it through")

            wait_until(counted)
