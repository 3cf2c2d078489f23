"""`--from remote:NAME`: one source found two ways is one, two sources of a name are refused."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aes67.cli.origins import remote_sdp
from aes67.client import Client
from aes67.errors import Refused


class Told:
    """A daemon that has found these."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self.rows = [{"id": number, "name": name, "sdp": sdp} for number, name, sdp in rows]

    def get(self, path: str) -> dict[str, Any]:
        assert path == "/api/browse/sources/all"
        return {"remote_sources": self.rows}


def description(session: int, version: int) -> str:
    return f"v=0\r\no=- {session} {version} IN IP4 192.0.2.1\r\ns=Studio\r\n"


def found(wanted: str, *rows: tuple[str, str, str]) -> str:
    return remote_sdp(wanted, cast(Client, Told(*rows)))


def test_a_source_found_two_ways_is_one_and_the_newest_description_counts() -> None:
    rows = (("sap:1", "Studio", description(5, 9)), ("rtsp:a", "Studio", description(5, 10)))
    assert found("Studio", *rows) == description(5, 10)
    assert found("sap:1", *rows) == description(5, 9), "an id means exactly one"


def test_two_sources_of_a_name_are_refused() -> None:
    rows = (("sap:1", "Studio", description(5, 1)), ("sap:2", "Studio", description(6, 1)))
    with pytest.raises(Refused, match="several have this name"):
        found("Studio", *rows)
    assert found("sap:2", *rows) == description(6, 1)
    with pytest.raises(Refused, match="no remote source"):
        found("Elsewhere", *rows)


def test_descriptions_without_an_origin_are_compared_whole() -> None:
    assert found("A", ("1", "A", "v=0"), ("2", "A", "v=0")) == "v=0"
    with pytest.raises(Refused, match="several"):
        found("A", ("1", "A", "v=0"), ("2", "A", "o=odd"))
