"""Other people's programs: GStreamer and ffmpeg as RTP peers, tshark as judge, ptp4l as master."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from aes67.selftest import child
from aes67.selftest.audio import run_case
from aes67.selftest.carry import Clients, carry, command
from aes67.selftest.compare import Comparator, Verdict
from aes67.selftest.master import Master
from aes67.selftest.node import Node, Settings
from aes67.selftest.plan import Case, case, sink, source
from aes67.selftest.samples import FORMATS
from aes67.selftest.signal import Signal, chunks
from e2e.conftest import clear
from e2e.machine import undisturbed, without_stall
from e2e.places import Namespace

pytestmark = [pytest.mark.root, pytest.mark.peer("aplay", "arecord")]

STEREO = case("S24_3LE", 48000, 2, "L24", "1ms")
S24 = FORMATS["S24_3LE"]
CLIENTS = Clients(period_frames=480, buffer_frames=1920)
SECONDS = 2.0
FOREIGN_DELAY = 4000
"""83 ms for senders that do not pace their packets well."""


def big_endian(data: bytes, octets: int = 3) -> bytes:
    """S24_3LE bytes as S24BE, and back; or those of samples of other lengths."""
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, octets)[:, ::-1].tobytes()


def signal_file(folder: Path, seconds: float) -> tuple[Path, Signal]:
    """The test signal between stretches of silence as raw S24BE."""
    signal = Signal(frames=round(seconds * 48000), channels=2)
    path = folder / "signal.raw"
    path.write_bytes(big_endian(b"".join(chunks(signal, S24, 24000, 24000))))
    return path, signal


def judge(data: bytes, signal: Signal, wanted: Case = STEREO) -> Verdict:
    comparator = Comparator(signal, wanted.form, wanted.wire_bits)
    frame = 2 * wanted.form.sample_bytes
    comparator.feed(data[: len(data) // frame * frame])
    return comparator.verdict()


def foreign_sdp(group: str, payload_type: int) -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=foreign\r\nt=0 0\r\n"
        f"m=audio 5004 RTP/AVP {payload_type}\r\nc=IN IP4 {group}/15\r\n"
        f"a=rtpmap:{payload_type} L24/48000/2\r\na=ptime:1\r\n"
    )


def judged(attempt: Callable[[], Verdict]) -> Verdict:
    """The verdict of an attempt during which the machine did not stand still."""
    return without_stall(attempt, lambda verdict: verdict.ok)


def record_while(node: Node, player: Sequence[str], recorded: Path, seconds: float) -> bytes:
    """What arecord hears while another program plays into the network."""
    wanted = int(seconds * 48000) * 6
    with recorded.open("wb") as file:
        recorder = subprocess.Popen(
            command("arecord", STEREO, CLIENTS), stdout=file, env=node.environment
        )
    sender = None
    try:
        sender = subprocess.Popen(player, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while recorded.stat().st_size < wanted and time.monotonic() < deadline:
            assert recorder.poll() is None, "arecord ended"
            assert sender.poll() in (None, 0), f"{player[0]} ended with {sender.returncode}"
            time.sleep(0.05)
    finally:
        child.kill(recorder)
        if sender is not None:
            child.kill(sender)
    return recorded.read_bytes()


def test_gstreamer_sends_and_we_record_every_sample(node: Node, tmp_path: Path) -> None:
    path, signal = signal_file(tmp_path, SECONDS)
    body = sink(STEREO, 0, foreign_sdp("239.67.0.9", 96), FOREIGN_DELAY)
    node.client.put("/api/v1/sinks/0", body | {"timing": "latched"})
    pipeline = [
        "gst-launch-1.0", "-q", "filesrc", f"location={path}", "blocksize=288",
        "!", "rawaudioparse", "use-sink-caps=false", "format=pcm", "pcm-format=s24be",
        "sample-rate=48000", "num-channels=2",
        "!", "rtpL24pay", "pt=96", "min-ptime=1000000", "max-ptime=1000000",
        "!", "udpsink", "host=239.67.0.9", "port=5004", "multicast-iface=lo", "auto-multicast=true",
    ]  # fmt: skip
    heard = tmp_path / "heard.raw"
    verdict = judged(lambda: judge(record_while(node, pipeline, heard, SECONDS + 3), signal))
    assert verdict.ok, (verdict, node.client.get("/api/v1/sinks/0"))


def test_we_send_and_gstreamer_records_every_sample(node: Node, tmp_path: Path) -> None:
    node.client.put("/api/v1/sources/0", source(STEREO, 0))
    group = node.status()["sources"][0]["address"]
    recorded = tmp_path / "recorded.raw"
    caps = "application/x-rtp,media=audio,clock-rate=48000,encoding-name=L24,channels=2,payload=98"
    pipeline = [
        "gst-launch-1.0", "-q", "udpsrc", f"address={group}", "port=5004", "multicast-iface=lo",
        f"caps={caps}", "!", "rtpL24depay", "!", "filesink", f"location={recorded}", "sync=false",
    ]  # fmt: skip
    verdict = judged(lambda: play_into(node, pipeline, recorded))
    assert verdict.ok, verdict


def test_our_sdp_is_all_that_ffmpeg_needs_to_record_every_sample(
    node: Node, tmp_path: Path
) -> None:
    node.client.put("/api/v1/sources/0", source(STEREO, 0))
    description = tmp_path / "source.sdp"
    description.write_text(node.client.get("/api/source/sdp/0"), encoding="utf-8")
    recorded = tmp_path / "recorded.raw"
    pipeline = [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-protocol_whitelist", "file,udp,rtp",
        "-fflags", "nobuffer", "-probesize", "2000", "-analyzeduration", "0",
        "-i", str(description), "-map", "0:a", "-c:a", "copy", "-flush_packets", "1",
        "-f", "s24be", str(recorded),
    ]  # fmt: skip
    verdict = judged(lambda: play_into(node, pipeline, recorded))
    assert verdict.ok, verdict


@pytest.mark.parametrize(
    "wanted", [STEREO, case("S16_LE", 48000, 2, "L16", "1ms")], ids=lambda each: each.codec
)
def test_our_sdp_is_all_that_gstreamers_sdpdemux_needs_to_record_every_sample(
    node: Node, tmp_path: Path, wanted: Case
) -> None:
    if subprocess.run(["gst-inspect-1.0", "--exists", "sdpdemux"]).returncode:
        pytest.skip("GStreamer has no sdpdemux (gstreamer1.0-plugins-bad)")
    node.client.put("/api/v1/sources/0", source(wanted, 0))
    description = tmp_path / "source.sdp"
    description.write_text(node.client.get("/api/source/sdp/0"), encoding="utf-8")
    recorded = tmp_path / "recorded.raw"
    pipeline = [
        "gst-launch-1.0", "-q", "filesrc", f"location={description}", "!", "sdpdemux", "!",
        f"rtp{wanted.codec}depay", "!",
        "filesink", f"location={recorded}", "sync=false", "buffer-mode=unbuffered",
    ]  # fmt: skip
    clients = Clients(period_frames=480, buffer_frames=9600)
    verdict = judged(lambda: play_into(node, pipeline, recorded, wanted, clients))
    assert verdict.ok, verdict


def play_into(
    node: Node,
    receiver: Sequence[str],
    recorded: Path,
    wanted: Case = STEREO,
    clients: Clients = CLIENTS,
) -> Verdict:
    """Play the signal with aplay while a foreign program records our stream into a file."""
    recorded.unlink(missing_ok=True)
    signal = Signal(frames=round(SECONDS * 48000), channels=2)
    program = subprocess.Popen(receiver, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (recorded.exists() and recorded.stat().st_size) and time.monotonic() < deadline:
            assert program.poll() is None, f"{receiver[0]} ended with {program.returncode}"
            time.sleep(0.05)
        data = b"".join(chunks(signal, wanted.form, 24000, 48000))
        subprocess.run(
            command("aplay", wanted, clients), input=data, env=node.environment, check=True,
            timeout=60, capture_output=True,
        )  # fmt: skip
        time.sleep(0.5)  # the receiver writes its last block
    finally:
        child.stop(program)
    octets = wanted.form.sample_bytes
    heard = recorded.read_bytes()
    heard = heard[: len(heard) // (2 * octets) * 2 * octets]
    return judge(big_endian(heard, octets), signal, wanted)


def test_ffmpeg_sends_and_we_hear_it(node: Node, tmp_path: Path) -> None:
    """ffmpeg paces by its reading, so this asks for its samples, not for a gapless stream."""
    path, signal = signal_file(tmp_path, SECONDS)
    body = sink(STEREO, 0, foreign_sdp("239.67.0.10", 97), FOREIGN_DELAY)
    node.client.put("/api/v1/sinks/0", body | {"timing": "latched"})
    player = [
        "ffmpeg", "-nostdin", "-loglevel", "error", "-re",
        "-f", "s24be", "-ar", "48000", "-ac", "2",
        "-i", str(path), "-c:a", "pcm_s24be", "-f", "rtp", "-payload_type", "97",
        "rtp://239.67.0.10:5004?pkt_size=300&localaddr=127.0.0.1",
    ]  # fmt: skip
    heard = tmp_path / "heard.raw"
    verdict = judged(lambda: judge(record_while(node, player, heard, SECONDS + 3), signal))
    assert verdict.frames == signal.frames, (verdict, node.client.get("/api/v1/sinks/0"))
    assert verdict.differing_frames == 0, verdict


FIELDS = (
    "ip.ttl", "ip.dsfield.dscp", "udp.srcport", "udp.dstport", "rtp.version", "rtp.p_type",
    "rtp.marker", "rtp.seq", "rtp.timestamp", "rtp.ssrc", "udp.length",
)  # fmt: skip


CAPTURE_MIB = 64
"""Of tshark's buffer: its own 2 are full when it does not run for a moment."""


def capture(seconds: float, port_filter: str, folder: Path) -> Path:
    """Packets of the loopback for a while; again when tshark says that it has missed some."""
    path = folder / "capture.pcap"
    for _ in range(5):
        done = subprocess.run(
            [
                "tshark", "-q", "-i", "lo", "-f", port_filter, "-B", str(CAPTURE_MIB),
                "-a", f"duration:{seconds:g}", "-w", path,
            ],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if "dropped" not in done.stderr:
            break
    return path


def dissect(path: Path, fields: Sequence[str], *options: str) -> list[list[str]]:
    done = subprocess.run(
        ["tshark", "-r", path, *options, "-T", "fields", *(f"-e{name}" for name in fields)],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


def steps(rows: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """Differences of sequence number and timestamp from packet to packet."""
    numbers = [(int(row[7]), int(row[8])) for row in rows]
    return {
        ((after[0] - before[0]) % 2**16, (after[1] - before[1]) % 2**32)
        for before, after in itertools.pairwise(numbers)
    }


@pytest.mark.peer("tshark")
@pytest.mark.parametrize(
    ("channels", "codec", "packet", "dscp"), [(2, "L24", "1ms", 34), (8, "L16", "125us", 46)]
)
def test_tshark_finds_a_contiguous_rtp_stream(
    node: Node, tmp_path: Path, channels: int, codec: str, packet: str, dscp: int
) -> None:
    wanted = case("S24_3LE", 48000, channels, codec, packet)
    node.client.put("/api/v1/sources/3", source(wanted, 0) | {"dscp": dscp, "ttl": 7})
    node.wait("packets", lambda: node.status()["sources"][0]["counters"]["packets"] > 0)
    before = node.status()["sources"][0]["counters"]
    rows = without_stall(
        lambda: dissect(capture(2, "udp port 5004", tmp_path), FIELDS, "-d", "udp.port==5004,rtp"),
        lambda found: steps(found) == {(1, wanted.frames_per_packet)},
    )
    assert len(rows) > 1.5 / (wanted.packet_ns / 1e9)
    payload = wanted.channels * wanted.frames_per_packet * wanted.wire_bits // 8
    constant = {tuple(row[:7]) + tuple(row[9:]) for row in rows}
    assert len(constant) == 1, constant
    ttl, found_dscp, sport, dport, version, kind, marker, ssrc, length = constant.pop()
    assert (ttl, int(found_dscp), sport, dport) == ("7", dscp, "5004", "5004")
    assert (version, kind, marker.lower()) in {("2", "98", "0"), ("2", "98", "false")}
    assert int(ssrc, 0) != 0
    assert int(length) == 8 + 12 + payload
    counted = before, node.status()["sources"][0]["counters"]
    assert steps(rows) == {(1, wanted.frames_per_packet)}, counted


@pytest.mark.peer("tshark")
def test_tshark_agrees_with_our_ptp(node: Node, tmp_path: Path) -> None:
    rows = dissect(
        capture(5, "udp port 319 or udp port 320", tmp_path),
        ("ptp.v2.messagetype", "ptp.v2.domainnumber", "ptp.v2.sequenceid", "ip.ttl",
         "ip.dsfield.dscp", "udp.dstport", "_ws.expert"),
    )  # fmt: skip
    kinds = {int(row[0], 0): [] for row in rows}
    for row in rows:
        kinds[int(row[0], 0)].append(row)
        assert row[6] == ""
    assert {0x0, 0x8, 0xB} <= kinds.keys(), "Sync, Follow_Up, Announce"
    assert {row[5] for row in kinds[0x0]} == {"319"}
    assert {row[5] for row in kinds[0xB]} == {"320"}
    assert {int(row[4]) for row in kinds[0x0]} == {46}
    sequence = [int(row[2]) for row in kinds[0x0]]
    assert sequence == [(sequence[0] + k) % 2**16 for k in range(len(sequence))]


@pytest.mark.peer("tshark")
def test_tshark_reads_our_sdp(node: Node, tmp_path: Path) -> None:
    """SAP is how tshark gets to see an SDP: one announcement, dissected without a complaint."""
    node.client.put("/api/v1/sources/0", source(STEREO, 0))
    text = node.client.get("/api/source/sdp/0").replace("\n", "\r\n")
    packet = bytes.fromhex("20000001 7f000001") + b"application/sdp\0" + text.encode()
    dump = tmp_path / "sap.txt"
    lines = [f"{i:06x} " + " ".join(f"{b:02x}" for b in packet[i : i + 16])
             for i in range(0, len(packet), 16)]  # fmt: skip
    dump.write_text("\n".join(lines) + "\n", encoding="ascii")
    pcap = tmp_path / "sap.pcap"
    subprocess.run(["text2pcap", "-q", "-u", "9875,9875", dump, pcap], check=True, timeout=30)
    fields = ("sdp.media", "sdp.connection_info.address", "sdp.fmtp.parameter", "_ws.malformed")
    rows = dissect(pcap, fields)
    assert rows[0][0] == "audio 5004 RTP/AVP 98"
    assert rows[0][1].startswith("239.1.0.1")
    assert rows[0][3] == ""


@pytest.fixture
def followed() -> Iterator[Node]:
    """A daemon that follows a real ptp4l on loopback."""
    with Namespace(), Master("lo"), Node(Settings(clock_mode="ptp-slave")) as node:
        yield node


@pytest.mark.peer("ptp4l")
def test_every_sample_is_identical_on_ptp4ls_time(followed: Node) -> None:
    followed.wait_locked(20.0)
    outcome = undisturbed(
        lambda: run_case(followed, STEREO, SECONDS, CLIENTS, STEREO.relaxed_delay(), False)
    )
    assert outcome.ok, outcome.problems()
    assert outcome.clock["mode"] == "ptp-slave"
    assert outcome.clock["gmid"] not in ("", None)


def test_several_programs_play_and_record_at_once(node: Node) -> None:
    """Two stereo pairs on different channels, each with its own player and recorder."""
    quad = case("S24_3LE", 48000, 4, "L24", "1ms")
    node.client.put("/api/v1/sources/0", source(quad, 0))
    sdp = node.client.get("/api/source/sdp/0")
    node.client.put("/api/v1/sinks/0", sink(quad, 0, sdp, quad.relaxed_delay()))
    node.wait_receiving(1)

    def pair(first: int) -> Verdict:
        clients = Clients(f"aes67:CHANNELS=2,FIRST={first}", 480, 1920)
        return carry(STEREO, SECONDS, clients, node.environment).verdict

    def attempt() -> list[Verdict]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(pair, (0, 2)))

    verdicts = without_stall(attempt, lambda found: all(each.ok for each in found))
    assert all(verdict.ok for verdict in verdicts), verdicts
    clear(node)
