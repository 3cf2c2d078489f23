"""Interfaces as the kernel has them, and any octets instead of its answer."""

from __future__ import annotations

import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.net.interfaces import (
    Interface,
    interface,
    list_interfaces,
    parse_addresses,
    parse_links,
)
from e2e.places import Namespace


def test_loopback_is_found() -> None:
    found = interface("lo")
    assert found.index == socket.if_nametoindex("lo")
    assert found.loopback
    assert found.address == "127.0.0.1"
    assert found.mac == bytes(6)


def test_all_names_are_those_of_the_system() -> None:
    found = {each.index: each.name for each in list_interfaces()}
    assert found == dict(socket.if_nameindex())


def test_a_name_nobody_has() -> None:
    with pytest.raises(OSError, match="No such device"):
        interface("nosuch0")


@pytest.mark.root
def test_addresses_and_state_follow_the_namespace() -> None:
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    with Namespace():
        ip("link", "add", "near", "type", "veth", "peer", "far")
        ip("link", "set", "near", "address", "02:00:5e:10:00:01")
        assert not interface("near").usable
        assert interface("near").address is None
        ip("link", "set", "near", "up")
        assert not interface("near").usable, "no carrier"
        ip("link", "set", "far", "up")
        ip("address", "add", "10.1.1.1/24", "dev", "near")
        ip("address", "add", "10.1.1.2/24", "dev", "near")
        found = interface("near")
        assert found.usable
        assert found.addresses == ("10.1.1.1", "10.1.1.2")
        assert found.mac == bytes.fromhex("02005e100001")
    with pytest.raises(OSError, match="near"):
        interface("near")


@given(st.binary(max_size=200), st.sampled_from([16, 20]), st.integers(0, 220))
def test_any_octets_are_interfaces_or_nothing(data: bytes, kind: int, length: int) -> None:
    message = length.to_bytes(4, "little") + kind.to_bytes(2, "little") + bytes(10) + data
    assert all(isinstance(each, Interface) for each in parse_links(message))
    for index, address in parse_addresses(message):
        assert index >= 0
        assert socket.inet_aton(address)
