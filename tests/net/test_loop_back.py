"""What we multicast comes back into this host while another program listens, and only then."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.net import loop_back
from aes67.net.loop_back import listeners, loop_if_heard
from aes67.net.timestamping import interface_index
from e2e.places import Namespace
from sim.netns import namespaces, plug, veth_pair

GROUP = "224.0.1.129"
PORT = 4711
ROW = "  100: {}:{} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 {} 2 0 0"
TABLE = "\n".join(
    (
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
        " timeout inode ref pointer drops",
        ROW.format("00000000", "1267", 31415),
        ROW.format("0100007F", "1267", 27182),
        ROW.format("00000000", "1268", 16180),
    )
)


class Host:
    """A namespace with a cable, and UDP sockets on its port 4711."""

    def __init__(self, where: Namespace, interface: str, stack: ExitStack) -> None:
        self.where = where
        self.interface = interface
        with where.entered():
            self.index = interface_index(interface)
        self._stack = stack

    def socket(self, interface: str = "") -> socket.socket:
        with self.where.entered():
            each = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            name = (interface or self.interface).encode()
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
            each.bind(("", PORT))
            index = struct.pack("4s4si", bytes(4), bytes(4), interface_index(name.decode()))
            member = struct.pack("4s4si", socket.inet_aton(GROUP), bytes(4), self.index)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, index)
            if not interface:
                each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        each.settimeout(0.2)
        return each

    def looped(self, each: socket.socket, index: int = 0) -> bool:
        with self.where.entered():
            said = loop_if_heard(each, index or self.index)
        assert each.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == said
        return said


@pytest.fixture
def host() -> Iterator[Host]:
    with veth_pair() as (here, _, interface), ExitStack() as stack:
        yield Host(here, interface, stack)


def hears(each: socket.socket) -> bool:
    try:
        return each.recv(100) == b"hello"
    except TimeoutError:
        return False


@pytest.mark.root
def test_it_comes_back_while_another_socket_listens_and_no_longer(host: Host) -> None:
    ours = host.socket()
    assert not host.looped(ours)
    ours.sendto(b"hello", (GROUP, PORT))
    assert not hears(ours)

    other = host.socket()
    assert host.looped(ours)
    ours.sendto(b"hello", (GROUP, PORT))
    assert hears(other)
    assert hears(ours)

    other.close()
    assert not host.looped(ours)
    ours.sendto(b"hello", (GROUP, PORT))
    assert not hears(ours)


@pytest.mark.root
def test_our_own_sockets_count_where_they_could_hear_it(host: Host) -> None:
    with namespaces(1) as (far,):
        plug(host.where, far, "ck1", "10.68.0")
        ours, elsewhere = host.socket(), host.socket("ck1")
        with host.where.entered():
            far_index = interface_index("ck1")
        assert host.looped(elsewhere, far_index)  # nobody has said yet whose the other one is
        assert not host.looped(ours)
        assert not host.looped(elsewhere, far_index)
        same = host.socket()
        assert host.looped(ours)
        assert host.looped(same)


def test_it_stays_on_where_nobody_tells_who_listens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loop_back, "TABLES", (tmp_path / "udp",))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        each.bind(("127.0.0.1", 0))
        assert loop_if_heard(each, 1)
        (tmp_path / "udp").mkdir()  # neither can a folder be read
        assert loop_if_heard(each, 1)
        assert each.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1


def test_sockets_are_found_by_their_port() -> None:
    assert listeners(TABLE, 0x1267) == {31415, 27182}
    assert listeners(TABLE, 0x1268) == {16180}
    assert listeners(TABLE, 0x126) == set()


@given(st.text(), st.integers(0, 65535))
def test_any_text_is_a_table(text: str, port: int) -> None:
    assert all(number >= 0 for number in listeners(text, port))
