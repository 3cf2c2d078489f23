"""The OpenAPI documents: valid, apart from each other, and kept by the application under fire."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from sim.http_node import SINK, SOURCE, HttpNode, http_node, served

NATIVE, CONTRACT = "/api/v1/openapi.json", "/api/openapi.json"
ALWAYS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "response_headers_conformance",
]  # fmt: skip
SECONDS = 40
"""At most: a slow machine asks less, and no less strictly."""
CHECKS = {
    CONTRACT: ALWAYS,
    NATIVE: [
        *ALWAYS, "negative_data_rejection", "missing_required_header", "unsupported_method",
        "allow_header_conformance", "use_after_free", "ensure_resource_availability",
    ],
}  # fmt: skip
"""The contract reads bodies loosely and knows no 405, so less is asked of it."""


async def document(node: HttpNode, url: str) -> dict[str, Any]:
    found: dict[str, Any] = (await node.client.get(url)).json()
    return found


@pytest.mark.parametrize("url", [NATIVE, CONTRACT, "/openapi.json"])
async def test_a_document_is_valid_and_whole(node: HttpNode, url: str) -> None:
    found = await document(node, url)
    assert found["openapi"].startswith("3.1")
    assert [error.message for error in OpenAPIV31SpecValidator(found).iter_errors()] == []
    names = set(found["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found))) == names
    operations = [each for path in found["paths"].values() for each in path.values()]
    ids = [each["operationId"] for each in operations]
    assert len(ids) == len(set(ids))
    assert all(each.get("summary") and each.get("description") for each in operations)


async def test_each_interface_has_its_own(node: HttpNode) -> None:
    native, contract = await document(node, NATIVE), await document(node, CONTRACT)
    assert all(path.startswith("/api/v1/") for path in native["paths"])
    assert not any(path.startswith("/api/v1/") for path in contract["paths"])
    assert {"/api/v1/status", "/api/v1/sinks/{id}/listen.{format}"} <= set(native["paths"])
    assert {"/api/version", "/api/streamer/stream/{id}/{file}"} <= set(contract["paths"])
    body = contract["paths"]["/api/source/{id}"]["put"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["$ref"].endswith("/ContractSource")
    assert await document(node, "/openapi.json") == native


async def test_both_can_be_tried(node: HttpNode) -> None:
    for page, url in (("/docs", NATIVE), ("/docs/contract", CONTRACT)):
        assert url in (await node.client.get(page)).text


async def test_a_wrong_method_is_told_the_right_ones(node: HttpNode) -> None:
    answer = await node.client.post("/api/v1/sources/3")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_what_stands_before_our_routes_speaks_in_problems_too(node: HttpNode) -> None:
    headers = {"Origin": "http://elsewhere.example"}
    answer = await node.client.put("/api/v1/sources/0", json=SOURCE, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")
    assert answer.json()["status"] == 403
    answer = await node.client.put("/api/v1/sources/0", content=bytes((1 << 20) + 1))
    assert (answer.status_code, answer.json()["title"][:3]) == (413, "Req")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("url", [NATIVE, CONTRACT], ids=["v1", "contract"])
async def test_thousands_of_requests_find_nothing(tmp_path: Path, url: str) -> None:
    async with http_node(tmp_path, streamer_enabled=True) as node:
        for number in range(4):
            body = SOURCE | {"name": f"S{number}"}
            await node.client.put(f"/api/v1/sources/{number}", json=body)
            sdp = (await node.client.get(f"/api/source/sdp/{number}")).text
            body = SINK | {"name": f"S{number}", "sdp": sdp}
            await node.client.put(f"/api/v1/sinks/{number}", json=body)
        async with served(node) as base:
            child = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("schemathesis")),
                *("run", base + url, "--checks", ",".join(CHECKS[url])),
                *("--phases", "coverage,fuzzing", "--max-examples", "12", "--seed", "67"),
                *("--max-time", str(SECONDS), "--continue-on-failure", "--no-color"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=tmp_path,
            )
            try:
                output, _ = await child.communicate()
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
    text = output.decode()
    assert child.returncode == 0, text[-8000:]
    tested = re.search(r"Tested: (\d+)\n", text)
    assert tested, text[-2000:]
    assert int(tested[1]) > 0, text[-2000:]
