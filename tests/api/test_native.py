"""/api/v1: typed answers, and errors that name field, value and rule."""

from __future__ import annotations

from typing import Any

import pytest

from sim.http_node import SINK, SOURCE, HttpNode
from sim.session_samples import sdp_of

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


STRICT: list[tuple[str, Any, str]] = [
    ("/sources/0?ttl", "15", "a whole number, 0 to 255: without quotes"),
    ("/sources/0?ttl", True, "a whole number, 0 to 255"),
    ("/sources/0?ttl", 15.0, "a whole number, 0 to 255"),
    ("/sources/0?ttl", None, "a whole number, 0 to 255"),
    ("/sources/0?enabled", 1, "true or false"),
    ("/sources/0?enabled", "true", "true or false: without quotes"),
    ("/sources/0?name", 5, "text, in quotes"),
    ("/sources/0?map", "0,1", "a list in brackets, 1 to 64 entries"),
    ("/sources/0?map.0", ["0", 1], "a whole number, 0 to 1023: without quotes"),
    ("/sources/0?map.1", [0, True], "a whole number, 0 to 1023"),
    ("/sources/0?tll", 15, "no such key; there are id, enabled, name, io, "),
    ("/sinks/0?delay", "576", "a whole number, 0 to 192000: without quotes"),
    ("/sinks/0?use_sdp", 1, "true or false"),
    ("/sinks/0?sdp", ["v=0"], "text, in quotes, at most 65536 characters"),
    ("/sinks/0?counters", {}, "no such key; there are id, name, io, use_sdp, "),
    ("/config?http_port", "8080", "a whole number, 1 to 65535: without quotes"),
    ("/config?http_port", 8080.0, "a whole number, 1 to 65535"),
    ("/config?http_port", None, "a whole number, 1 to 65535"),
    ("/config?http_port", [8080], "a whole number, 1 to 65535"),
    ("/config?sample_rate", "48k", "a whole number, one of 44100, "),
    ("/config?ptp_priority1", "5", "a whole number, 0 to 255, or null: without quotes"),
    ("/config?mdns_enabled", 1, "true or false"),
    ("/config?mdns_enabled", "false", "true or false: without quotes"),
    ("/config?custom_node_id", 5, "text, at most 64 characters: JSON text in quotes"),
    ("/config?custom_node_id", None, "text, at most 64 characters: JSON text in quotes"),
    ("/config?syslog_proto", False, "text, one of '', udp, none: JSON text in quotes"),
    ("/config?custom_nodeid", "A", "no such parameter"),
]


@pytest.mark.parametrize(("place", "value", "rule"), STRICT)
async def test_types_are_meant(node: HttpNode, place: str, value: Any, rule: str) -> None:
    """The contract's interface reads the same bodies loosely."""
    path, _, field = place.partition("?")
    key = field.partition(".")[0]
    begin = {"/sources/0": {"name": "A"}, "/sinks/0": {"name": "A", "sdp": sdp_of()}}.get(path, {})
    before = (await node.client.get(f"{URL}/config")).json()
    method = "PATCH" if path == "/config" else "PUT"
    answer = await node.client.request(method, URL + path, json=begin | {key: value})
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (400, field)
    assert problem["rule"].startswith(rule)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await node.client.get(f"{URL}/config")).json() == before
    assert (await node.client.get(f"{URL}/status")).json()["sources"] == []
    document = (await node.client.get(f"{URL}/openapi.json")).json()
    (operation,) = (
        each[method.lower()] for name, each in document["paths"].items()
        if name.startswith(f"{URL}{path.removesuffix('0')}") and method.lower() in each
    )  # fmt: skip
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    body = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert body["additionalProperties"] is False


async def test_what_is_shown_of_the_settings_may_be_sent_back(node: HttpNode) -> None:
    shown = (await node.client.get(f"{URL}/config")).json()
    answer = await node.client.patch(f"{URL}/config", json=shown)
    assert (answer.status_code, answer.json()) == (200, shown)


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
