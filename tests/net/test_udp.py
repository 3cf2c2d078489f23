"""Media sockets share their port, and memberships have no limit."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from aes67.net.udp import MEMBERSHIPS_PER_SOCKET, Memberships, open_media_socket
from e2e.places import Namespace

pytestmark = pytest.mark.root

PORT = 5004
LO = 1
"""Index of `lo` in every namespace."""


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    with Namespace():
        yield


@pytest.fixture
def memberships() -> Iterator[Memberships]:
    memberships = Memberships()
    yield memberships
    memberships.close()


def joined() -> int:
    """Groups of 239/8 this namespace is a member of."""
    with open("/proc/thread-self/net/igmp") as listing:
        return sum(line.split()[0].endswith("EF") for line in listing if line.startswith("\t"))


def sources() -> set[tuple[str, str]]:
    with open("/proc/thread-self/net/mcfilter") as listing:
        rows = [line.split() for line in listing][1:]
    return {(row[2], row[3]) for row in rows}


def test_two_processes_get_a_copy_each(memberships: Memberships) -> None:
    memberships.join(LO, "239.1.1.1")
    with open_media_socket("lo", PORT) as one, open_media_socket("lo", PORT) as other:
        one.sendto(b"both", ("239.1.1.1", PORT))
        for each in (one, other):
            each.settimeout(2)
            data, (_, port) = each.recvfrom(100)
            assert (data, port) == (b"both", PORT)


def test_a_socket_of_a_program_with_reuse_port_shares_too(memberships: Memberships) -> None:
    memberships.join(LO, "239.1.1.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        foreign.bind(("", PORT))
        foreign.settimeout(2)
        with open_media_socket("lo", PORT) as media:
            media.settimeout(2)
            media.sendto(b"both", ("239.1.1.1", PORT))
            assert media.recv(100) == foreign.recv(100) == b"both"


def test_a_socket_hears_its_own_interface_only() -> None:
    with open_media_socket("lo", PORT) as media:
        assert media.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"lo\0"
        assert media.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 8 << 20


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(OSError, match="No such device"):
        open_media_socket("nosuch0", PORT)


def test_many_more_groups_than_a_socket_may_have(memberships: Memberships) -> None:
    count = 5 * MEMBERSHIPS_PER_SOCKET + 1
    for number in range(count):
        memberships.join(LO, f"239.2.{number // 256}.{number % 256}")
        memberships.join(LO, f"239.2.{number // 256}.{number % 256}")
    assert joined() == count
    for number in range(count):
        memberships.leave(LO, f"239.2.{number // 256}.{number % 256}")
    assert joined() == 0
    assert memberships._helpers == []


def test_senders_of_one_group_are_joined_one_by_one(memberships: Memberships) -> None:
    for number in range(15):
        memberships.join(LO, "239.3.0.1", f"10.0.0.{number + 1}")
    assert sources() == {("0xef030001", f"0x0a0000{number + 1:02x}") for number in range(15)}
    for number in range(14):
        memberships.leave(LO, "239.3.0.1", f"10.0.0.{number + 1}")
    assert sources() == {("0xef030001", "0x0a00000f")}


def test_all_senders_and_one_sender_of_a_group_at_once(memberships: Memberships) -> None:
    memberships.join(LO, "239.3.0.1", "10.0.0.1")
    memberships.join(LO, "239.3.0.1")
    memberships.leave(LO, "239.3.0.1", "10.0.0.1")
    assert joined() == 1


def test_what_cannot_be_joined_is_an_error_and_leaves_nothing(memberships: Memberships) -> None:
    with pytest.raises(OSError, match="No such device"):
        memberships.join(77, "239.1.1.1")
    with pytest.raises(OSError, match="Invalid argument") as refusal:
        memberships.join(LO, "10.1.1.1")
    assert refusal.value.errno == errno.EINVAL
    memberships.leave(LO, "239.1.1.1")
    assert memberships._helpers == []
