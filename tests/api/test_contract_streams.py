"""Contract: sources, sinks, their descriptions and status, to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sim.http_node import SINK, SOURCE, HttpNode, served

FLAGS = [
    "rtp_seq_id_error", "rtp_ssrc_error", "rtp_payload_type_error", "rtp_sac_error",
    "receiving_rtp_packet", "some_muted", "all_muted", "muted",
]  # fmt: skip


async def put_source(node: HttpNode, number: int = 0, **changes: Any) -> None:
    answer = await node.client.put(f"/api/source/{number}", json=SOURCE | changes)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert "content-type" not in answer.headers


async def sdp(node: HttpNode, number: int = 0) -> str:
    return (await node.client.get(f"/api/source/sdp/{number}")).text


async def test_nothing_at_first(node: HttpNode) -> None:
    for path, value in (
        ("sources", {"sources": []}), ("sinks", {"sinks": []}),
        ("streams", {"sources": [], "sinks": []}),
    ):  # fmt: skip
        answer = await node.client.get(f"/api/{path}")
        assert answer.json() == value
        assert answer.headers["content-type"] == "application/json"


async def test_a_source_is_shown_in_the_contracts_order_with_its_effective_address(
    node: HttpNode,
) -> None:
    await put_source(node, 2)
    await put_source(node, 1, name="B", address="239.9.9.9")
    sources = (await node.client.get("/api/sources")).json()["sources"]
    assert [each["id"] for each in sources] == [1, 2]
    assert [each["address"] for each in sources] == ["239.9.9.9", "239.1.0.3"]
    assert list(sources[0]) == [
        "id", "enabled", "name", "io", "max_samples_per_packet", "codec", "address", "ttl",
        "payload_type", "dscp", "refclk_ptp_traceable", "map",
    ]  # fmt: skip


async def test_lists_are_printed_on_one_line(node: HttpNode) -> None:
    await put_source(node)
    assert '"map": [ 0, 1 ]' in (await node.client.get("/api/sources")).text


async def test_the_body_is_read_whatever_its_type_and_however_it_is_quoted(node: HttpNode) -> None:
    loose = {key: json.dumps(value) if not isinstance(value, str | list) else value
             for key, value in SOURCE.items()}  # fmt: skip
    loose |= {"enabled": "1", "map": ["0", 1], "id": 9}
    for kind in ("text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "x/y", ""):
        answer = await node.client.put(
            "/api/source/3", content=json.dumps(loose), headers={"Content-Type": kind}
        )
        assert (answer.status_code, answer.content) == (200, b"")
    (only,) = (await node.client.get("/api/sources")).json()["sources"]
    assert only == SOURCE | {"id": 3, "address": "239.1.0.4"}


async def test_a_description_is_served_with_line_feeds(node: HttpNode) -> None:
    await put_source(node)
    answer = await node.client.get("/api/source/sdp/0")
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.text.startswith("v=0\no=- 8323328 ")
    assert answer.text.endswith("a=recvonly\n")
    assert "\r" not in answer.text


async def test_a_disabled_source_is_described_too(node: HttpNode) -> None:
    await put_source(node, enabled=False)
    assert (await sdp(node)).startswith("v=0")


async def test_a_sink_shows_the_description_in_force(node: HttpNode) -> None:
    await put_source(node)
    text = await sdp(node)
    body = SINK | {"sdp": text, "source": "http://x/", "delay": "960"}
    answer = await node.client.put("/api/sink/4", json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    (only,) = (await node.client.get("/api/sinks")).json()["sinks"]
    assert list(only) == [
        "id", "name", "io", "use_sdp", "source", "sdp", "delay", "ignore_refclk_gmid", "map",
    ]  # fmt: skip
    assert only == SINK | {"id": 4, "sdp": text, "source": "http://x/", "delay": 960}


async def test_a_sink_fetches_from_ourselves_within_its_own_put(node: HttpNode) -> None:
    """The default of the daemon's web UI."""
    await put_source(node)
    async with served(node) as url:
        body = SINK | {"use_sdp": False, "source": f"{url}/api/source/sdp/0"}
        answer = await node.client.put("/api/sink/0", json=body)
        assert (answer.status_code, answer.text) == (200, "")
        (only,) = (await node.client.get("/api/sinks")).json()["sinks"]
        assert only["use_sdp"] is True
        assert only["sdp"] == await sdp(node)
        body = SINK | {"use_sdp": False, "source": f"{url}/api/source/sdp/9"}
        answer = await node.client.put("/api/sink/1", json=body)
    assert answer.status_code == 400
    assert answer.text == (
        "failed to add sink 1 : (daemon) cannot retrieve SDP: the server answers 400"
    )


async def test_sink_status_has_the_contracts_shape(node: HttpNode) -> None:
    await put_source(node)
    await node.client.put("/api/sink/0", json=SINK | {"sdp": await sdp(node)})
    answer = await node.client.get("/api/sink/status/0")
    status = answer.json()
    assert list(status) == ["sink_flags", "sink_min_time"]
    assert list(status["sink_flags"]) == FLAGS
    assert status["sink_flags"]["receiving_rtp_packet"] is False
    assert status["sink_flags"]["muted"] is True
    assert status["sink_min_time"] == 0


async def test_streams_are_removed(node: HttpNode) -> None:
    await put_source(node)
    await node.client.put("/api/sink/0", json=SINK | {"sdp": await sdp(node)})
    assert node.status_file["sinks"]
    for path in ("source", "sink"):
        answer = await node.client.delete(f"/api/{path}/0")
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await node.client.get("/api/streams")).json() == {"sources": [], "sinks": []}
    assert node.status_file == {"sources": [], "sinks": []}


ERRORS = [
    ("GET", "/api/source/sdp/7", 400, "get source 7 failed : (daemon) stream not in use"),
    ("GET", "/api/source/sdp/64", 400, "get source 64 failed : (daemon) stream not in use"),
    ("GET", "/api/source/sdp/256", 400, "get source 256 failed : (daemon) stream not in use"),
    ("DELETE", "/api/source/7", 400, "failed to remove source 7 : (daemon) stream not in use"),
    ("DELETE", "/api/source/64", 400, "failed to remove source 64 : (daemon) invalid stream id"),
    ("DELETE", "/api/sink/7", 400, "failed to remove sink 7 : (daemon) stream not in use"),
    ("DELETE", "/api/sink/64", 400, "failed to remove sink 64 : (daemon) invalid stream id"),
    ("GET", "/api/sink/status/7", 400,
     "failed to get sink 7 status : (daemon) stream not in use"),
    ("GET", "/api/sink/status/64", 400,
     "failed to get sink 64 status : (daemon) invalid stream id"),
    ("GET", "/api/source/sdp/2147483648", 400, "failed to convert id"),
    ("DELETE", "/api/sink/" + "9" * 6000, 400, "failed to convert id"),
    ("PUT", "/api/source/2147483648", 400,
     "error parsing JSON: number conversion out of range"),
    ("PUT", "/api/source/64", 400, "failed to add source 64 : (daemon) invalid stream id"),
    ("PUT", "/api/source/256", 400, "failed to add source 256 : (daemon) invalid stream id"),
    ("GET", "/api/source/0", 404, ""), ("GET", "/api/source/-1", 404, ""),
    ("PUT", "/api/source/-1", 404, ""), ("DELETE", "/api/source/x", 404, ""),
    ("GET", "/api/sink/status/%D9%A3", 404, ""), ("DELETE", "/api/config", 404, ""),
    ("GET", "/api/sources/", 404, ""), ("GET", "/api", 404, ""), ("GET", "/nothing", 404, ""),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "code", "text"), ERRORS)
async def test_errors_are_the_contracts(
    node: HttpNode, method: str, path: str, code: int, text: str
) -> None:
    body = json.dumps(SOURCE) if method == "PUT" else None
    answer = await node.client.request(method, path, content=body)
    assert (answer.status_code, answer.text) == (code, text)
    if code == 404:
        assert "access-control-allow-origin" not in answer.headers
    else:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "text/plain"


async def test_leading_zeros_are_no_part_of_an_id(node: HttpNode) -> None:
    answer = await node.client.put("/api/source/000", json=SOURCE)
    assert answer.status_code == 200
    assert (await node.client.get("/api/source/sdp/0000000000000")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"codec": "L20"}, "(driver) command failed: codec = L20: one of L16, L24, AM824"),
        ({"name": ""}, "(driver) command failed: name = : not empty"),
        ({"payload_type": 128}, "(driver) command failed: payload_type = 128: 0 to 127"),
        ({"dscp": 64}, "(driver) command failed: dscp = 64: 0 to 63"),
        ({"map": []}, "(driver) command failed: map = []: 1 to 64 entries"),
        ({"map": [64]},
         "(driver) command failed: map = 64: 0 to 63 (device_channels of the configuration, "
         "less one)"),
    ],
)  # fmt: skip
async def test_refusals_of_a_source_say_why(
    node: HttpNode, changes: dict[str, Any], text: str
) -> None:
    answer = await node.client.put("/api/source/0", json=SOURCE | changes)
    assert (answer.status_code, answer.text) == (400, f"failed to add source 0 : {text}")
    assert (await node.client.get("/api/sources")).json() == {"sources": []}


async def test_a_payload_too_large_is_refused_with_the_arithmetic(node: HttpNode) -> None:
    answer = await node.client.put("/api/source/0", json=SOURCE | {"map": list(range(64))})
    assert "48 samples x 64 channels x 3 bytes = 9216 bytes" in answer.text


@pytest.mark.parametrize("count", [65, 20_000])
async def test_a_map_without_end_kills_nobody(node: HttpNode, count: int) -> None:
    for path, body in (("source", SOURCE), ("sink", SINK)):
        answer = await node.client.put(f"/api/{path}/0", json=body | {"map": [0] * count})
        assert answer.status_code == 400
        assert "1 to 64 entries" in answer.text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "(daemon) cannot parse SDP: "),
        ({"sdp": "nonsense"}, "(daemon) cannot parse SDP: line 1: "),
        ({"use_sdp": False}, "(daemon) invalid URL"),
        ({"use_sdp": False, "source": "https://x/"}, "(daemon) invalid URL"),
        ({"use_sdp": False, "source": "http:///x"}, "(daemon) invalid URL"),
        ({"use_sdp": False, "source": "http://[::1"}, "(daemon) invalid URL"),
        ({"use_sdp": False, "source": "rtsp://127.0.0.1:1/x"}, "(daemon) cannot retrieve SDP: "),
        ({"use_sdp": False, "source": "http://127.0.0.1:1/"}, "(daemon) cannot retrieve SDP: "),
    ],
)
async def test_refusals_of_a_sink_say_why(
    node: HttpNode, changes: dict[str, Any], text: str
) -> None:
    answer = await node.client.put("/api/sink/0", json=SINK | changes)
    assert answer.status_code == 400
    assert answer.text.startswith(f"failed to add sink 0 : {text}")


async def test_names_in_use(node: HttpNode) -> None:
    await put_source(node, 0)
    answer = await node.client.put("/api/source/1", json=SOURCE)
    assert answer.text == "failed to add source 1 : (daemon) stream name is in use"
    assert answer.status_code == 400


@pytest.mark.parametrize("missing", list(SOURCE))
async def test_a_missing_key_of_a_source_is_named(node: HttpNode, missing: str) -> None:
    body = {key: value for key, value in SOURCE.items() if key != missing}
    answer = await node.client.put("/api/source/0", json=body)
    assert (answer.status_code, answer.text) == (
        400, f"error parsing JSON: No such node ({missing})",
    )  # fmt: skip


async def test_what_does_not_exist_yet_is_empty_or_says_so(node: HttpNode) -> None:
    for kind in ("all", "mdns", "sap"):
        answer = await node.client.get(f"/api/browse/sources/{kind}")
        assert answer.json() == {"remote_sources": []}
    assert (await node.client.get("/api/browse/sources/other")).status_code == 404
    info = await node.client.get("/api/streamer/info/0")
    assert info.json() == {
        "status": 4, "file_duration": 0, "files_num": 0, "player_buffer_files_num": 0,
        "start_file_id": 0, "current_file_id": 0, "channels": 0, "format": "", "rate": 0,
    }  # fmt: skip
    for path in ("0", "0/1"):
        answer = await node.client.get(f"/api/streamer/stream/{path}")
        assert (answer.status_code, answer.text) == (400, "streamer not enabled")


async def test_64_of_each_in_seconds(node: HttpNode) -> None:
    for number in range(64):
        await put_source(node, number, name=f"S{number}", map=[number])
    for number in range(64):
        body = SINK | {"name": f"K{number}", "sdp": await sdp(node, number), "map": [number]}
        assert (await node.client.put(f"/api/sink/{number}", json=body)).status_code == 200
    streams = (await node.client.get("/api/streams")).json()
    assert [len(streams[key]) for key in ("sources", "sinks")] == [64, 64]
