"""Messages between control and the worker: there and back, and nothing else is believed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.errors import WireError
from aes67.streamer import protocol
from aes67.streamer.protocol import Request, Settings

rows = st.lists(st.integers(-1, 1023), max_size=64).map(tuple)


@given(
    st.builds(
        Settings,
        running=st.booleans(),
        channels=st.integers(2, 16),
        files_num=st.integers(4, 16),
        file_seconds=st.integers(1, 4),
        player_files=st.integers(1, 2),
        sinks=st.dictionaries(st.integers(0, 63), rows, max_size=64),
    )
)
def test_settings_there_and_back(settings: Settings) -> None:
    message = protocol.settings_message(settings)
    assert len(message) < protocol.MESSAGE_BYTES_MAX
    assert protocol.read_message(message) == ("settings", settings)


@given(
    st.builds(
        Request,
        kind=st.sampled_from(protocol.KINDS),
        sink=st.integers(0, 63),
        file=st.integers(0, 2**31),
        format=st.sampled_from(sorted(protocol.FORMATS)),
        channels=rows,
    )
)
def test_a_request_there_and_back(request: Request) -> None:
    assert protocol.read_message(protocol.request_message(request)) == ("open", request)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        protocol.read_message(data)


@given(
    kind=st.sampled_from(["open", "settings"]),
    fields=st.dictionaries(
        st.sampled_from(["kind", "sink", "file", "format", "channels", "sinks", "running"]), JSON
    ),
)
def test_a_message_with_wrong_fields_is_a_message_or_refused(
    kind: str, fields: dict[str, object]
) -> None:
    try:
        found, content = protocol.read_message(json.dumps({"type": kind} | fields).encode())
    except WireError:
        return
    assert found == kind
    assert isinstance(content, Settings | Request)


def test_deep_nesting_is_no_program_error() -> None:
    with pytest.raises(WireError):
        protocol.read_message(b"[" * 100_000)
