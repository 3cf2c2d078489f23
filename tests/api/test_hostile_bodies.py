"""Whatever is sent: an answer that says yes or why not, never a 500, and the node goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aes67.config.model import KEYS
from sim.http_node import SINK, SOURCE, HttpNode, http_node
from sim.session_samples import sdp_of

CALM = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["", "0", "1e9", "\ud800", "a\nb", "239.1.0.1", "lo"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
LINES = st.sampled_from([
    "v=0", "o=- 1 2 IN IP4 1.2.3.4", "s=x", "t=0 0", "c=IN IP4 239.1.1.1/32", "c=IN IP6 ff02::1",
    "m=audio 5004 RTP/AVP 98", "m=audio 0 RTP/AVP 98 99", "m=video 1 RTP/AVP 96", "a=ptime:1",
    "a=rtpmap:98 L24/48000/2", "a=rtpmap:98 L24/48000", "a=rtpmap:98 L24/0/0", "a=ptime:0",
    "a=rtpmap:98 L16/44100/64", "a=ptime:1e9", "a=framecount:0-9", "a=mediaclk:direct=-1",
    "a=group:DUP 1 2", "a=mid:1", "a=mid:2", "a=source-filter: incl IN IP4 * 1.2.3.4 5.6.7.8",
    "a=ts-refclk:ptp=IEEE1588-2008:00-00-00-00-00-00-00-00:0", "a=", "", "x", "a=maxptime:NaN",
])  # fmt: skip
SDP = (
    st.lists(LINES | st.text(max_size=20), max_size=14).map("\n".join)
    | st.builds(sdp_of, rate=st.integers(0, 10**7), channels=st.integers(0, 70),
                port=st.integers(0, 70000), ptime=st.text("0123456789.e-", max_size=5))
)  # fmt: skip


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[HttpNode]:
    async with http_node(tmp_path) as made:
        yield made


def altered(body: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A good body with some values replaced or keys taken away."""
    return st.builds(
        lambda changes, without: {k: v for k, v in (body | changes).items() if k not in without},
        st.dictionaries(st.sampled_from([*body, "framing", "timing", "id"]), VALUES, max_size=3),
        st.sets(st.sampled_from(list(body)), max_size=1),
    )


async def send(node: HttpNode, method: str, path: str, content: bytes) -> None:
    answer = await node.client.request(method, path, content=content)
    assert answer.status_code in (200, 204, 400, 404, 405), (path, content, answer.text)
    for path in ("/api/streams", "/api/v1/status", "/api/config"):
        assert (await node.client.get(path)).status_code == 200
    json.loads((await node.client.get("/api/streams")).text)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@CALM
@given(body=altered(SOURCE), number=st.integers(0, 70))
async def test_sources(node: HttpNode, body: Any, number: int) -> None:
    await send(node, "PUT", f"/api/source/{number}", encoded(body))
    await send(node, "PUT", f"/api/v1/sources/{number}", encoded(body))


@CALM
@given(body=altered(SINK), text=SDP)
async def test_sinks(node: HttpNode, body: Any, text: str) -> None:
    body = ({"sdp": text} | body) if body.get("sdp") == "" else body
    body["use_sdp"] = True
    await send(node, "PUT", "/api/sink/0", encoded(body | {"sdp": text}))
    await send(node, "PUT", "/api/v1/sinks/0", encoded(body | {"sdp": text}))


@CALM
@given(text=SDP)
async def test_descriptions(node: HttpNode, text: str) -> None:
    await send(node, "PUT", "/api/sink/0", encoded(SINK | {"sdp": text}))


@CALM
@given(url=st.text(max_size=30) | st.builds("http://{}".format, st.text("[]:@/%.a0", max_size=9)))
async def test_urls_that_are_none(node: HttpNode, url: str) -> None:
    if "127" not in url and "localhost" not in url:
        body = SINK | {"use_sdp": False, "source": url}
        await send(node, "PUT", "/api/sink/0", encoded(body))


@CALM
@given(body=st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
async def test_configurations(node: HttpNode, body: Any) -> None:
    await send(node, "POST", "/api/config", encoded(body))
    await send(node, "PATCH", "/api/v1/config", encoded(body))


@CALM
@given(
    method=st.sampled_from(["PUT", "POST", "PATCH"]),
    path=st.sampled_from([
        "/api/source/0", "/api/sink/0", "/api/config", "/api/ptp/config", "/api/v1/sources/0",
        "/api/v1/sinks/0", "/api/v1/config",
    ]),
    body=st.binary(max_size=60) | VALUES.map(encoded),
)  # fmt: skip
async def test_any_bytes(node: HttpNode, method: str, path: str, body: bytes) -> None:
    await send(node, method, path, body)


@CALM
@given(path=st.text("/.%0aAé?#:", max_size=20), prefix=st.sampled_from(["", "/api", "/api/v1"]))
async def test_any_path(node: HttpNode, path: str, prefix: str) -> None:
    answer = await node.client.get(f"http://localhost{prefix}/{path}")
    assert answer.status_code in (200, 400, 404)
