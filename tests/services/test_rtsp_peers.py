"""Judges of our RTSP server: a bare socket, octet by octet, and ffmpeg's client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aes67.services.rtsp import RtspService

TEXT = (Path(__file__).parents[1] / "vectors/sdp/ravenna_aes67daemon.sdp").read_text()
NAMES = {"/by-name/Box Küche 1": 1, "/by-id/1": 1}


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RtspService]:
    made = RtspService(lambda path: (NAMES[path], TEXT) if path in NAMES else None)
    await made.configure("127.0.0.1", 0)
    yield made
    await made.close()


async def said(server: RtspService, *pieces: bytes, octets: int = 65536) -> bytes:
    """What comes back on a connection of its own within a moment of the last piece."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    found = b""
    while len(found) < octets:
        try:
            data = await asyncio.wait_for(reader.read(65536), 0.3)
        except TimeoutError:
            break
        if not data:
            break
        found += data
    writer.close()
    return found


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("path", ["by-id/1", "by-name/Box%20K%c3%bcche%201"])
async def test_describe_octet_by_octet(server: RtspService, path: str, end: bytes) -> None:
    url = f"rtsp://127.0.0.1:{server.port}/{path}".encode()
    request = end.join([b"DESCRIBE " + url + b" RTSP/1.0", b"CSeq: 312", b"", b""])
    body = TEXT.encode()
    answer = await said(server, request)
    assert answer == (
        b"RTSP/1.0 200 OK\r\nCSeq: 312\r\n"
        + f"Content-Length: {len(body)}\r\nContent-Type: application/sdp\r\n\r\n".encode()
        + body
    )
    assert await said(server, *(request[at : at + 1] for at in range(len(request)))) == answer
    assert await said(server, request * 3) == answer * 3, "three at once, in one piece"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"DESCRIBE rtsp://h/by-id/2 RTSP/1.0\r\nCSeq: 1", "404 Not found"),
        (b"DESCRIBE rtsp://h/by-name/Box RTSP/1.0\r\nCSeq: 1", "404 Not found"),
        (b"DESCRIBE rtsp://h/by-id/1 RTSP/1.0", "400 Bad Request"),
        (b"DESCRIBE nonsense RTSP/1.0\r\nCSeq: 1", "400 Bad Request"),
        (b"SETUP rtsp://h/by-id/1 RTSP/1.0\r\nCSeq: 1", "400 Bad Request"),
        (b"PLAY rtsp://h/by-id/1 RTSP/1.0\r\nCSeq: 1", "454 Session Not Found"),
        (b"RECORD rtsp://h/by-id/1 RTSP/1.0\r\nCSeq: 1", "405 Method Not Allowed"),
        (b"OPTIONS * RTSP/1.0\r\nCSeq: 1", "200 OK"),
    ],
)
async def test_other_requests(server: RtspService, request_line: bytes, status: str) -> None:
    answer = (await said(server, request_line + b"\r\n\r\n")).decode()
    assert answer.startswith(f"RTSP/1.0 {status}\r\n")
    assert answer.endswith("\r\n\r\n")
    if "CSeq" in request_line.decode() and "nonsense" not in request_line.decode():
        assert "\r\nCSeq: 1\r\n" in answer


@pytest.mark.peer("ffprobe")
async def test_ffmpeg_describes_what_we_serve(server: RtspService) -> None:
    """It then asks for a session of its own, which we do not send to."""
    url = f"rtsp://127.0.0.1:{server.port}/by-name/Box%20K%C3%BCche%201"
    judge = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "debug", "-rtsp_transport", "udp", url, stderr=asyncio.subprocess.PIPE
    )
    assert judge.stderr is not None
    log = (await asyncio.wait_for(judge.stderr.read(), 20)).decode()
    await judge.wait()
    found = re.search(r"SDP:\n(v=0\n.*?a=recvonly)\n", log, re.DOTALL)
    assert found, log
    assert found[1] == TEXT.strip()
    assert "method SETUP failed: 461" in log


async def test_a_player_that_asks_everything_at_once_in_any_order(server: RtspService) -> None:
    url = b"rtsp://h/by-id/1 RTSP/1.0\r\nCSeq: 1\r\n"
    setup = b"SETUP " + url + b"Transport: RTP/AVP;multicast\r\n\r\n"
    play = b"PLAY " + url + b"Session: 00000001\r\n\r\n"
    down = b"TEARDOWN " + url + b"Session: 00000001\r\n\r\n"
    huge = b"SETUP " + url + b"Transport: " + b"RTP/AVP/TCP;a=b," * 400 + b"RTP/AVP\r\n\r\n"
    odd = b"SETUP " + url + b"Transport: \x00\xff;multicast\r\nSession: \xff\r\n\r\n"
    last = b"OPTIONS * RTSP/1.0\r\nCSeq: 999\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
    writer.write(play + setup * 500 + play + down * 2 + huge + odd + last)
    async with asyncio.timeout(60):
        answer = (await reader.readuntil(b"CSeq: 999\r\n")).decode()
    writer.close()
    found = re.findall(r"RTSP/1.0 (\d{3}) ", answer)
    assert found == ["454", *["200"] * 500, "200", "200", "454", "400", "454", "200"]
    assert answer.count("destination=") == 500
