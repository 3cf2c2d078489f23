"""/api/v1: typed answers, and errors that name field, value and rule."""

from __future__ import annotations

from typing import Any

import pytest

from sim.http_node import SINK, SOURCE, HttpNode

URL = "/api/v1"


async def test_a_source_from_put_to_delete(node: HttpNode) -> None:
    answer = await node.client.put(f"{URL}/sources/3", json={"name": "A"})
    assert answer.status_code == 200
    made = answer.json()
    assert made["address"] == "239.1.0.4"
    assert (made["id"], made["codec"], made["framing"], made["counters"]) == (3, "L24", "raw", {})
    assert (await node.client.get(f"{URL}/sources/3")).json() == made
    assert (await node.client.get(f"{URL}/sources")).json() == [made]
    answer = await node.client.delete(f"{URL}/sources/3")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await node.client.get(f"{URL}/sources/3")).status_code == 404


async def test_a_sink_says_how_it_is_timed_and_why(node: HttpNode) -> None:
    await node.client.put(f"{URL}/sources/0", json=SOURCE)
    sdp = (await node.client.get("/api/source/sdp/0")).text
    answer = await node.client.put(f"{URL}/sinks/0", json={"name": "K", "sdp": sdp})
    made = answer.json()
    assert (made["timing"], made["channels"], made["rate"]) == ("direct", 2, 48000)
    assert "offset 0" in made["timing_reason"]
    assert made["flags"]["receiving_rtp_packet"] is False
    body = {"name": "K", "sdp": sdp, "timing": "latched"}
    made = (await node.client.put(f"{URL}/sinks/0", json=body)).json()
    assert (made["timing"], made["timing_reason"]) == ("latched", "set by hand")
    assert (await node.client.delete(f"{URL}/sinks/0")).status_code == 204


async def test_status_is_one_snapshot(node: HttpNode) -> None:
    await node.client.put(f"{URL}/sources/0", json=SOURCE)
    status = (await node.client.get(f"{URL}/status")).json()
    assert set(status) == {
        "version", "node_id", "engine", "clock", "network", "sources", "sinks", "pcms",
    }  # fmt: skip
    assert status["engine"]["connected"] is False
    assert status["engine"]["warnings"] == ["the engine is not running"]
    assert status["clock"]["state"] == "unlocked"
    assert [each["name"] for each in status["sources"]] == ["A"]
    assert (await node.client.get(f"{URL}/ptp")).json()["state"] == "unlocked"


async def test_config_is_shown_changed_and_explained(node: HttpNode) -> None:
    config = (await node.client.get(f"{URL}/config")).json()
    assert config["clock_mode"] == "free"
    answer = await node.client.patch(f"{URL}/config", json={"ptp_priority2": 5})
    assert answer.json()["ptp_priority2"] == 5
    assert node.config_file["ptp_priority2"] == 5
    table = (await node.client.get(f"{URL}/config/schema")).json()
    assert {row["key"] for row in table} == set(config)
    (row,) = (row for row in table if row["key"] == "ptp_domain")
    assert (row["default"], row["range"], row["effect"]) == (0, "0 to 127", "clock")


async def test_a_parameter_of_another_type_is_named_with_its_value(node: HttpNode) -> None:
    answer = await node.client.patch(f"{URL}/config", json={"http_port": "80x", "ptp_domain": 1})
    found = answer.json()
    assert (answer.status_code, found["field"], found["value"]) == (400, "http_port", "80x")
    assert (await node.client.get(f"{URL}/config")).json()["ptp_domain"] == 0


BAD: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "/sources/0", {"name": "A", "codec": "L20"}, 400, "codec"),
    ("PUT", "/sources/0", {"name": "A", "ttl": 999}, 400, "ttl"),
    ("PUT", "/sources/0", {"name": "A", "map": list(range(64))}, 400, "max_samples_per_packet"),
    ("PUT", "/sources/0", {"name": "A", "address": "studio"}, 400, "address"),
    ("PUT", "/sources/0", {"name": "A", "address": "239.1.1.300"}, 400, "address"),
    ("PUT", "/sources/0", {}, 400, "name"),
    ("PUT", "/sources/64", {"name": "A"}, 400, "id"),
    ("PUT", "/sources/x", {"name": "A"}, 400, "id"),
    ("DELETE", "/sources/1", None, 404, "id"),
    ("GET", "/sinks/1", None, 404, "id"),
    ("PUT", "/sinks/0", {"name": "A", "sdp": "x"}, 400, "sdp"),
    ("PUT", "/sinks/0", {"name": "A", "use_sdp": False, "source": "ftp://x"}, 400, "source"),
    ("PATCH", "/config", {"ptp_domain": 200}, 400, "ptp_domain"),
    ("PATCH", "/config", {"ptp_domain": "x"}, 400, "ptp_domain"),
    ("PATCH", "/config", {"no_such_key": 1}, 400, "no_such_key"),
    ("PATCH", "/config", {"http_base_dir": "/"}, 400, "http_base_dir"),
]


@pytest.mark.parametrize(("method", "path", "body", "code", "field"), BAD)
async def test_errors_name_field_value_and_rule(
    node: HttpNode, method: str, path: str, body: Any, code: int, field: str
) -> None:
    answer = await node.client.request(method, URL + path, json=body)
    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == code
    assert problem["field"] == field
    assert problem["rule"]
    assert problem["detail"]


async def test_an_address_that_is_none_was_meant(node: HttpNode) -> None:
    url = f"{URL}/sources/0"
    problem = (await node.client.put(url, json={"name": "A", "address": "studio"})).json()
    assert (problem["field"], problem["value"]) == ("address", "studio")
    assert problem["rule"] == "an IPv4 address, or empty: rtp_mcast_base + id"
    assert (await node.client.get(url)).status_code == 404, "nothing has changed"
    for wish, effect in (("", "239.1.0.1"), (" 239.9.9.9 ", "239.9.9.9"), ("10.0.0.7", "10.0.0.7")):
        answer = await node.client.put(url, json={"name": "A", "address": wish})
        assert (answer.status_code, answer.json()["address"]) == (200, effect)
    body = SOURCE | {"address": "studio"}
    assert (await node.client.put("/api/source/0", json=body)).status_code == 200
    assert (await node.client.get(url)).json()["address"] == "239.1.0.1", "as the contract has it"


async def test_unknown_routes_are_problems_too(node: HttpNode) -> None:
    answer = await node.client.get(f"{URL}/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_client_of_the_contract_keeps_what_only_we_know(node: HttpNode) -> None:
    await node.client.put(f"{URL}/sources/0", json=SOURCE | {"codec": "AM824", "framing": "aes3"})
    sdp = (await node.client.get("/api/source/sdp/0")).text
    await node.client.put(f"{URL}/sinks/0", json={"name": "K", "sdp": sdp, "timing": "latched"})
    for kind in ("source", "sink"):
        (shown,) = (await node.client.get(f"/api/{kind}s")).json()[f"{kind}s"]
        assert (await node.client.put(f"/api/{kind}/0", json=shown)).status_code == 200
    assert (await node.client.get(f"{URL}/sources/0")).json()["framing"] == "aes3"
    assert (await node.client.get(f"{URL}/sinks/0")).json()["timing"] == "latched"
    assert SINK["name"] == "B"
