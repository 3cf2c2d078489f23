"""SAP: other programs' messages both ways, what RFC 2974 allows beyond them, hostile bytes."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire import sap, sdp
from aes67.wire.sap import SapMessage
from sim.tshark import dissect, udp_datagrams

VECTORS = Path(__file__).parent.parent / "vectors" / "sap"
NAMES = sorted(file.stem for file in VECTORS.glob("*.bin"))
TEXT = b"v=0\no=- 1 2 IN IP4 10.0.0.1\ns=A\n"

messages = st.builds(
    SapMessage,
    payload=st.binary(max_size=100).map(lambda tail: b"v=0\n" + tail),
    origin=st.ip_addresses().map(str),
    message_hash=st.integers(0, 2**16 - 1),
    deletion=st.booleans(),
    payload_type=st.sampled_from(["application/sdp", "x/y", None]),
    authentication=st.integers(0, 8).flatmap(
        lambda words: st.binary(min_size=4 * words, max_size=4 * words)
    ),
    compressed=st.booleans(),
)


@pytest.mark.parametrize("name", NAMES)
def test_other_programs_messages_both_ways(name: str) -> None:
    data = (VECTORS / f"{name}.bin").read_bytes()
    expected = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    message = sap.parse(data)
    for field in ("deletion", "message_hash", "origin", "payload_type"):
        assert getattr(message, field) == expected[field]
    assert len(message.payload) == expected["payload_bytes"]
    assert len(message.authentication) == 4 * expected["authentication_words"]
    assert not message.compressed
    assert message.pack() == data


def test_what_the_messages_carry() -> None:
    announced = sap.parse((VECTORS / "aes67daemon_announce.bin").read_bytes())
    withdrawn = sap.parse((VECTORS / "aes67daemon_delete.bin").read_bytes())
    assert sdp.parse(announced.payload).name == "LabDaemon Lab Source"
    # The deletion's payload is the o= line and no description: it has no v= line.
    assert withdrawn.payload == b"o=- 1124729089 2919984764 IN IP4 10.67.0.1\n"
    pipewire = sap.parse((VECTORS / "pipewire_delete.bin").read_bytes())
    assert sdp.parse(pipewire.payload).name == "PipeWire lab"


def test_our_hash_is_the_daemons() -> None:
    assert sap.crc16(b"123456789") == 0x29B1
    announced = sap.parse((VECTORS / "aes67daemon_announce.bin").read_bytes())
    assert sap.message_hash(announced.payload) == announced.message_hash


def test_the_hash_is_never_none() -> None:
    """Two octets chosen so that the CRC is 0, which on the wire would mean "no hash"."""
    for number in range(2**16):
        data = number.to_bytes(2, "big")
        if sap.crc16(data) == 0:
            assert sap.message_hash(data) == 1
            return
    pytest.fail("a CRC of 16 bits takes every value over two octets")


HEAD = bytes.fromhex("20 00 1234 0a000001")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD + b"application/sdp\0" + TEXT, SapMessage(TEXT, "10.0.0.1", 0x1234)),
        (HEAD + TEXT, SapMessage(TEXT, "10.0.0.1", 0x1234, payload_type=None)),
        (b"\x24" + HEAD[1:] + TEXT,
         SapMessage(TEXT, "10.0.0.1", 0x1234, deletion=True, payload_type=None)),
        (b"\x20\x02" + HEAD[2:] + b"12345678" + TEXT,
         SapMessage(TEXT, "10.0.0.1", 0x1234, payload_type=None, authentication=b"12345678")),
        (bytes.fromhex("30 00 0001 20010db8 00000000 00000000 00000001") + TEXT,
         SapMessage(TEXT, "2001:db8::1", 1, payload_type=None)),
        (HEAD + b"x/y\0", SapMessage(b"", "10.0.0.1", 0x1234, payload_type="x/y")),
    ],
)  # fmt: skip
def test_what_the_rfc_allows_both_ways(data: bytes, message: SapMessage) -> None:
    assert sap.parse(data) == message
    assert message.pack() == data


@pytest.mark.parametrize(
    "body",
    [
        zlib.compress(b"application/sdp\0" + TEXT),
        b"application/sdp\0" + zlib.compress(TEXT),
        zlib.compress(b"application/sdp\0" + TEXT, 9),
        b"application/sdp\0" + zlib.compress(TEXT, 0),
    ],
)
def test_compressed_payloads_of_either_reading(body: bytes) -> None:
    message = sap.parse(b"\x21" + HEAD[1:] + body)
    assert message == SapMessage(TEXT, "10.0.0.1", 0x1234, compressed=True)
    assert sap.parse(message.pack()) == message


def test_a_compressed_payload_without_type() -> None:
    message = sap.parse(b"\x21" + HEAD[1:] + zlib.compress(TEXT))
    assert (message.payload, message.payload_type) == (TEXT, None)


def test_the_reserved_bit_is_ignored() -> None:
    assert sap.parse(b"\x28" + HEAD[1:] + TEXT).payload == TEXT


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "shorter than its header", 0),
        (HEAD[:7], "shorter than its header", 7),
        (b"\x00" + HEAD[1:] + TEXT, "version 0", 0),
        (b"\x40" + HEAD[1:] + TEXT, "version 2", 0),
        (b"\xff" * 8, "version 7", 0),
        (b"\x22" + HEAD[1:] + TEXT, "encrypted", 0),
        (b"\x20\x01" + HEAD[2:], "ends inside its header", 8),
        (b"\x20\xff" + HEAD[2:] + bytes(1019), "ends inside its header", 1027),
        (b"\x30" + HEAD[1:], "ends inside its header", 8),
        (HEAD, "neither a payload type", 8),
        (HEAD + b"application/sdp", "neither a payload type", 8),
        (HEAD + b"\0" + TEXT, "neither a payload type", 8),
        (HEAD + b"\x80\x81\0" + TEXT, "neither a payload type", 8),
        (HEAD + b"a" * 256 + b"\0" + TEXT, "neither a payload type", 8),
        (b"\x21" + HEAD[1:], "zlib stream ends early", 8),
        (b"\x21" + HEAD[1:] + TEXT, "no zlib stream", 8),
        (b"\x21" + HEAD[1:] + zlib.compress(TEXT)[:-1], "ends early", 8 + 35),
        (b"\x21" + HEAD[1:] + b"a/b\0x" + TEXT, "no zlib stream", 12),
        (b"\x21" + HEAD[1:] + zlib.compress(bytes(100_000)), "more than 65536", 8),
        (b"\x21" + HEAD[1:] + zlib.compress(b"nonsense"), "neither a payload type", 8),
    ],
)  # fmt: skip
def test_malformed_messages_say_what(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        sap.parse(data)
    if "early" not in reason:  # where a zlib stream is found short depends on its length
        assert caught.value.offset == offset


def test_a_bomb_is_not_unpacked() -> None:
    bomb = b"\x21" + HEAD[1:] + zlib.compress(bytes(60_000_000), 9)
    assert len(bomb) < 65_536
    with pytest.raises(WireError, match="more than 65536"):
        sap.parse(bomb)


@pytest.mark.parametrize(
    "message",
    [
        SapMessage(TEXT, "my-host", 1), SapMessage(TEXT, "10.0.0.1", 65536),
        SapMessage(TEXT, "10.0.0.1", -1), SapMessage(TEXT, "10.0.0.1", 1, authentication=b"abc"),
        SapMessage(TEXT, "10.0.0.1", 1, authentication=bytes(4 * 256)),
        SapMessage(TEXT, "10.0.0.1", 1, payload_type=""),
        SapMessage(TEXT, "10.0.0.1", 1, payload_type="v=0/x"),
        SapMessage(TEXT, "10.0.0.1", 1, payload_type="a\0b"),
        SapMessage(TEXT, "10.0.0.1", 1, payload_type="x" * 256),
        SapMessage(b"o=-", "10.0.0.1", 1, payload_type=None),
    ],
)  # fmt: skip
def test_values_that_cannot_be_written(message: SapMessage) -> None:
    with pytest.raises(WireError):
        message.pack()


@given(messages)
def test_what_is_packed_is_read_back(message: SapMessage) -> None:
    assert sap.parse(message.pack()) == message


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray((VECTORS / f"{draw(st.sampled_from(NAMES))}.bin").read_bytes())
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, min(40, len(data) - 1)))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.binary(max_size=60) | damaged() | st.binary(max_size=40).map(lambda b: b"\x21\0" + b))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_value_or_a_wire_error(data: bytes) -> None:
    try:
        message = sap.parse(data)
    except WireError:
        return
    assert len(message.payload) <= sap.MAX_PAYLOAD_BYTES
    assert sap.parse(message.pack()) == message


@pytest.mark.peer("tshark")
def test_tshark_reads_our_messages(tmp_path: Path) -> None:
    payload = (VECTORS.parent / "sdp" / "ravenna_dup.sdp").read_bytes()
    ours = [
        SapMessage(payload, "10.0.0.1", 0xBEEF),
        SapMessage(b"o=- 1 2 IN IP4 10.0.0.1\n", "10.0.0.1", 0xBEEF, deletion=True),
        SapMessage(payload, "2001:db8::1", 1, payload_type=None, authentication=bytes(8)),
    ]
    rows = dissect(
        tmp_path,
        udp_datagrams([message.pack() for message in ours], sap.PORT, "239.255.255.255"),
        fields=(
            "sap.flags.v", "sap.flags.a", "sap.flags.t", "sap.auth.len", "sap.originating_source",
            "sap.message_identifier_hash", "sap.payload_type", "sdp.session_name", "_ws.malformed",
        ),
    )  # fmt: skip
    name = "Daemon a8c01101 ALSA Source 0"
    assert rows[0] == ["1", "0", "0", "0", "10.0.0.1", "0xbeef", "application/sdp", name, ""]
    assert rows[1][:7] == ["1", "0", "1", "0", "10.0.0.1", "0xbeef", "application/sdp"]
    assert rows[2][:4] == ["1", "1", "0", "2"]
    assert rows[2][5:] == ["0x0001", "", name, ""]
