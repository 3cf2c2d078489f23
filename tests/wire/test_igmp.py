"""IGMP queries: by hand from the RFCs, any octets, and what is no query."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.wire.igmp import Query, checksum, pack_query, parse_query

V2_GENERAL = bytes.fromhex("1164ee9b00000000")
"""As a switch sends it (RFC 2236, 2): 10 s to answer, for all groups."""
V3_GENERAL = bytes.fromhex("1164ec1e00000000027d0000")
"""RFC 3376, 4.1: robustness 2, every 125 s, no source."""


@pytest.mark.parametrize(
    ("data", "query"),
    [
        (V2_GENERAL, Query(2, "0.0.0.0")),
        (V3_GENERAL, Query(3, "0.0.0.0")),
        (bytes.fromhex("1100eeff00000000"), Query(1, "0.0.0.0")),
        (bytes.fromhex("1164ff98ef010001"), Query(2, "239.1.0.1")),
    ],
)
def test_queries_of_every_version(data: bytes, query: Query) -> None:
    assert parse_query(data) == query
    assert query.general == (query.group == "0.0.0.0")


def test_the_written_query_is_the_one_switches_send() -> None:
    assert pack_query(Query(2, "0.0.0.0")) == V2_GENERAL
    assert pack_query(Query(3, "0.0.0.0")) == V3_GENERAL


def test_a_report_is_no_query() -> None:
    report = bytes.fromhex("1600") + b"\0\0" + bytes((239, 1, 0, 1))
    report = report[:2] + checksum(report).to_bytes(2, "big") + report[4:]
    assert parse_query(report) is None


@given(st.binary(max_size=64))
@example(V2_GENERAL[:7])
@example(V3_GENERAL[:-1] + b"\1")
def test_any_octets_are_a_query_or_an_error(data: bytes) -> None:
    try:
        found = parse_query(data)
    except WireError:
        return
    assert found is None or found.version in (1, 2, 3)


@given(
    st.sampled_from((1, 2, 3)),
    st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: ".".join(map(str, parts))),
)
def test_what_is_written_is_read_again(version: int, group: str) -> None:
    assert parse_query(pack_query(Query(version, group))) == Query(version, group)


@pytest.mark.parametrize("query", [Query(4, "0.0.0.0"), Query(2, "nowhere"), Query(2, "1.2.3.256")])
def test_what_cannot_be_written_is_refused(query: Query) -> None:
    with pytest.raises(WireError):
        pack_query(query)
