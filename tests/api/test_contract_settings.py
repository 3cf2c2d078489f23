"""Contract: version, configuration and PTP, to the byte."""

from __future__ import annotations

import json

import pytest

from aes67.config.model import CONTRACT_KEYS
from sim.http_node import HttpNode, http_node

CORS = {
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "x-user-id",
}


async def test_version(node: HttpNode) -> None:
    answer = await node.client.get("/api/version")
    assert answer.text == '{ "version": "bondagit-4.0.0" }'
    assert answer.headers["content-type"] == "application/json"
    assert CORS.items() <= dict(answer.headers).items()


async def test_config_shows_all_keys_in_order_and_what_is_computed(node: HttpNode) -> None:
    answer = await node.client.get("/api/config")
    config = answer.json()
    assert list(config) == list(CONTRACT_KEYS)
    assert config["node_id"] == "Daemon 007f0100"
    assert config["mac_addr"] == "00:00:00:00:00:00"
    assert config["ip_addr"] == "127.0.0.1"
    assert CORS.items() <= dict(answer.headers).items()


async def test_a_post_merges_and_rewrites_the_file_before_it_answers(node: HttpNode) -> None:
    body = '{"ptp_domain": "7", "sap_interval": 30, "mdns_enabled": 0, "node_id": "no"}'
    answer = await node.client.post(
        "/api/config", content=body, headers={"Content-Type": "text/plain;charset=UTF-8"}
    )
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers
    assert answer.headers["content-length"] == "0"
    saved = node.config_file
    assert (saved["ptp_domain"], saved["sap_interval"], saved["mdns_enabled"]) == (7, 30, False)
    assert saved["node_id"] == "Daemon 007f0100"
    assert list(saved)[:37] == list(CONTRACT_KEYS)
    assert (await node.client.get("/api/config")).json()["ptp_domain"] == 7


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "error parsing JSON at line 1 :expected value"),
        ("{", "error parsing JSON at line 1 :expected property name enclosed in double quotes"),
        ('{"http_port": "x"}', 'error parsing JSON: conversion of data to type "i" failed'),
        ('{"rtp_port": []}', 'error parsing JSON: conversion of data to type "t" failed'),
        ('{"mdns_enabled": 2}', 'error parsing JSON: conversion of data to type "b" failed'),
        (
            '{"ptp_domain": 200}',
            "failed to set config : (daemon) ptp_domain = 200: 0 to 127",
        ),
    ],
)
async def test_errors_of_config_are_plain_text(node: HttpNode, body: str, text: str) -> None:
    answer = await node.client.post("/api/config", content=body)
    assert (answer.status_code, answer.text) == (400, text)
    assert answer.headers["content-type"] == "text/plain"
    assert CORS.items() <= dict(answer.headers).items()


async def test_a_file_that_cannot_be_written_is_a_500(node: HttpNode) -> None:
    (node.directory / "daemon.conf").unlink()
    (node.directory / "daemon.conf").mkdir()
    answer = await node.client.post("/api/config", content='{"ptp_domain": 9}')
    assert answer.status_code == 500
    assert answer.text.startswith("failed to save config")
    assert (await node.client.get("/api/ptp/config")).json()["domain"] == 0


async def test_ptp_config(node: HttpNode) -> None:
    answer = await node.client.get("/api/ptp/config")
    assert answer.text == '{ "domain": 0, "dscp": 46 }\n'
    answer = await node.client.post("/api/ptp/config", content='{"domain": 3, "dscp": "48"}')
    assert (answer.status_code, answer.content) == (200, b"")
    assert (node.config_file["ptp_domain"], node.config_file["ptp_dscp"]) == (3, 48)
    answer = await node.client.get("/api/ptp/config")
    assert answer.text == '{ "domain": 3, "dscp": 48 }\n'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"domain": 3}', "No such node (dscp)"),
        ("{}", "No such node (domain)"),
        ('{"domain": "x", "dscp": 1}', 'conversion of data to type "h" failed'),
        ("", "error parsing JSON at line 1 :expected value"),
    ],
)
async def test_errors_of_ptp_config_lack_the_prefix(node: HttpNode, body: str, text: str) -> None:
    answer = await node.client.post("/api/ptp/config", content=body)
    assert (answer.status_code, answer.text) == (400, text)


async def test_values_do_not_wrap(node: HttpNode) -> None:
    answer = await node.client.post("/api/ptp/config", content='{"domain": 300, "dscp": 46}')
    assert answer.status_code == 400
    assert (await node.client.get("/api/ptp/config")).json() == {"domain": 0, "dscp": 46}


async def test_ptp_status_before_an_engine_was_there(node: HttpNode) -> None:
    answer = await node.client.get("/api/ptp/status")
    assert answer.text == '{ "status": "", "gmid": "", "jitter": 0 }\n'


async def test_our_own_keys_may_be_set_and_unknown_ones_are_ignored(node: HttpNode) -> None:
    body = {"clock_mode": "gm", "nothing_known": {"a": 1}}
    assert (await node.client.post("/api/config", json=body)).status_code == 200
    assert node.config_file["clock_mode"] == "gm"
    assert "nothing_known" not in node.config_file


async def test_paths_and_commands_are_not_to_be_had_over_http(node: HttpNode) -> None:
    for key, value in (
        ("http_base_dir", "/"), ("ptp_status_script", "/bin/sh"), ("status_file", "/etc/passwd"),
        ("paths_by_api", "true"),
    ):  # fmt: skip
        answer = await node.client.post("/api/config", json={key: value})
        assert answer.status_code == 400, key
        assert key in answer.text
    assert (await node.client.get("/etc/passwd")).status_code == 404


async def test_a_restart_finds_configuration_and_streams_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from sim.http_node import SINK, SOURCE

    async with http_node(tmp_path) as first:
        await first.client.put("/api/source/5", json=SOURCE)
        sdp = (await first.client.get("/api/source/sdp/5")).text
        await first.client.put("/api/sink/6", json=SINK | {"sdp": sdp})
        await first.client.post("/api/config", json={"custom_node_id": "Studio"})
        streams = (await first.client.get("/api/streams")).json()
    async with http_node(tmp_path) as second:
        assert (await second.client.get("/api/streams")).json() == streams
        assert (await second.client.get("/api/config")).json()["node_id"] == "Studio"
        newer = (await second.client.get("/api/source/sdp/5")).text
        assert newer.splitlines()[2] == "s=Studio A"
    assert json.loads((tmp_path / "status.json").read_text())["sources"][0]["id"] == 5
