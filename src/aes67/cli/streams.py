"""`aes67 source`, `aes67 sink`, `aes67 browse`: what we send, receive, and could receive."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from aes67.cli.node import Commands, sinks_text, sources_text
from aes67.cli.origins import origin, sdp_channels
from aes67.cli.output import columns_shown, facts, print_json, table, visible
from aes67.cli.stream_words import MAX_STREAMS, address, channel_map, sdp_form, stream_id
from aes67.client import Client
from aes67.errors import Refused


def add_commands(commands: Commands, options: argparse.ArgumentParser) -> None:
    """Add the commands of this file."""
    _add_source(commands.add_parser("source", help="streams we send"), options)
    _add_sink(commands.add_parser("sink", help="streams we receive"), options)
    words = "remote sources that are announced on the network"
    _add_browse(commands.add_parser("browse", parents=[options], help=words))


def _add_browse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind",
        nargs="?",
        choices=("all", "sap", "mdns"),
        default="all",
        help="how they were found (default all)",
    )
    parser.set_defaults(run=browse)


def _add_source(parser: argparse.ArgumentParser, options: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _simple(actions, options, "list", "all sources", list_sources)
    add = actions.add_parser("add", parents=[options], help="send a stream")
    add.add_argument("id", type=stream_id, nargs="?", help="0 to 63; default: the first free one")
    add.add_argument("--name", help='name of the stream (default: "Source ID")')
    _channels(add, "playback")
    add.add_argument("--codec", choices=("L16", "L24", "AM824"), default="L24")
    add.add_argument(
        "--frames", type=int, default=48, help="frames in a packet (default 48: 1 ms at 48 kHz)"
    )
    add.add_argument(
        "--address", type=address, default="", help="destination (default: the next multicast one)"
    )
    add.add_argument("--ttl", type=int, default=15)
    add.add_argument("--dscp", type=int, default=34)
    add.add_argument("--payload-type", type=int, default=98)
    add.add_argument("--disabled", action="store_true", help="store it, do not send yet")
    _framing(add)
    add.add_argument(
        "--sdp", action="append", default=[], type=sdp_form, metavar="WAY=FORM",
        help="form of its description: http, sap or rtsp = contract, st2110 or dante",
    )  # fmt: skip
    add.set_defaults(run=add_source)
    _by_id(actions, options, "remove", "stop sending", remove_source)
    _by_id(actions, options, "sdp", "the SDP a receiver needs", source_sdp)


def _add_sink(parser: argparse.ArgumentParser, options: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _simple(actions, options, "list", "all sinks", list_sinks)
    add = actions.add_parser("add", parents=[options], help="receive a stream")
    add.add_argument("id", type=stream_id, nargs="?", help="0 to 63; default: the first free one")
    add.add_argument("--name", help='name of the sink (default: "Sink ID")')
    add.add_argument(
        "--from",
        dest="origin",
        required=True,
        metavar="SDP",
        help="an SDP file, - for standard input, http:// or rtsp:// of one, source:N for ours, "
        "or remote:ID for one that browse lists",
    )
    _channels(add, "capture")
    add.add_argument(
        "--delay", type=int, default=576, help="frames from timestamp to audio (default 576)"
    )
    add.add_argument(
        "--ignore-refclk-gmid",
        action="store_true",
        help="receive although the stream names another grandmaster",
    )
    add.add_argument(
        "--timing",
        choices=("auto", "direct", "latched", "async"),
        default="auto",
        help="how the sender's clock meets ours (default auto: chosen from the SDP)",
    )
    _framing(add)
    add.set_defaults(run=add_sink)
    _by_id(actions, options, "remove", "stop receiving", remove_sink)
    _by_id(actions, options, "status", "counters and flags of one sink", sink_status)


def _simple(actions: Commands, options: argparse.ArgumentParser, *row: Any) -> Any:
    name, words, run = row
    parser = actions.add_parser(name, parents=[options], help=words)
    parser.set_defaults(run=run)
    return parser


def _by_id(actions: Commands, options: argparse.ArgumentParser, *row: Any) -> None:
    _simple(actions, options, *row).add_argument("id", type=stream_id, help="0 to 63")


def _channels(parser: argparse.ArgumentParser, direction: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--channels", type=int, help="how many, from --first on (default 2)")
    group.add_argument(
        "--map",
        type=channel_map,
        metavar="N,N,...",
        help=f"device {direction} channel of each stream channel, such as 0,1 or 8-15",
    )
    parser.add_argument("--first", type=int, default=0, help="first device channel (default 0)")


def _framing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--framing", choices=("raw", "aes3"), default="raw", help="AM824: 32 bits, or ST 2110-31"
    )


def _map(arguments: argparse.Namespace, default: int = 2) -> list[int]:
    if arguments.map:
        return list(arguments.map)
    count = default if arguments.channels is None else arguments.channels
    if not 1 <= count <= MAX_STREAMS:
        raise Refused("channels", count, "1 to 64")
    return list(range(arguments.first, arguments.first + count))


def _free(rows: list[dict[str, Any]]) -> int:
    used = {row["id"] for row in rows}
    free = [number for number in range(MAX_STREAMS) if number not in used]
    if not free:
        raise Refused("id", "-", "all 64 are in use; remove one first")
    return free[0]


def list_sources(arguments: argparse.Namespace, client: Client) -> int:
    """Print all sources."""
    rows = client.get("/api/v1/status")["sources"]
    if arguments.json:
        print_json(rows)
    else:
        print(sources_text(rows))
    return 0


def list_sinks(arguments: argparse.Namespace, client: Client) -> int:
    """Print all sinks."""
    rows = client.get("/api/v1/status")["sinks"]
    if arguments.json:
        print_json(rows)
    else:
        print(sinks_text(rows))
    return 0


def add_source(arguments: argparse.Namespace, client: Client) -> int:
    """Create or replace a source."""
    number = arguments.id
    if number is None:
        number = _free(client.get("/api/v1/status")["sources"])
    source = {
        "enabled": not arguments.disabled,
        "name": arguments.name or f"Source {number}",
        "io": "Audio Device",
        "map": _map(arguments),
        "max_samples_per_packet": arguments.frames,
        "codec": arguments.codec,
        "address": arguments.address,
        "ttl": arguments.ttl,
        "payload_type": arguments.payload_type,
        "dscp": arguments.dscp,
        "refclk_ptp_traceable": False,
        "framing": arguments.framing,
        **dict(arguments.sdp),
    }
    client.put(f"/api/v1/sources/{number}", source)
    return _report(arguments, client, f"/api/v1/sources/{number}", f"source {number} is set")


def add_sink(arguments: argparse.Namespace, client: Client) -> int:
    """Create or replace a sink."""
    url, sdp = origin(arguments.origin, client)
    number = arguments.id
    if number is None:
        number = _free(client.get("/api/v1/status")["sinks"])
    channels = sdp_channels(sdp) if sdp else 2
    sink = {
        "name": arguments.name or f"Sink {number}",
        "io": "Audio Device",
        "use_sdp": bool(sdp),
        "source": url,
        "sdp": sdp,
        "delay": arguments.delay,
        "ignore_refclk_gmid": arguments.ignore_refclk_gmid,
        "timing": arguments.timing,
        "framing": arguments.framing,
        "map": _map(arguments, default=channels),
    }
    before = {row["id"]: row.get("note") for row in client.get("/api/v1/sinks")}
    client.put(f"/api/v1/sinks/{number}", sink)
    done = _report(arguments, client, f"/api/v1/sinks/{number}", f"sink {number} is set")
    for row in client.get("/api/v1/sinks"):
        if row.get("note") and (row["id"] == number or row["note"] != before.get(row["id"])):
            words = f"! sink {row['id']} ({row['name']}): {row['note']}"
            print(visible(words), file=sys.stderr)
    return done


def browse(arguments: argparse.Namespace, client: Client) -> int:
    """Print the remote sources."""
    rows = client.get(f"/api/browse/sources/{arguments.kind}")["remote_sources"]
    if arguments.json:
        print_json(rows)
        return 0
    head = ("id", "name", "found by", "address", "channels", "seen s ago")
    lines = [
        (row["id"], row["name"], row["source"], row["address"], sdp_channels(row["sdp"]),
         row["last_seen"])
        for row in rows
    ]  # fmt: skip
    if lines:
        print(table(head, lines, columns_shown()))
    else:
        print("nobody announces a stream")
    return 0


def _report(arguments: argparse.Namespace, client: Client, path: str, words: str) -> int:
    if arguments.json:
        print_json(client.get(path))
    else:
        print(words)
        _tell_what_is_not_kept(client)
    return 0


def _tell_what_is_not_kept(client: Client) -> None:
    """A change that is in force, but not in a file, is lost at the next start: say so."""
    for warning in client.get("/api/v1/status")["engine"].get("warnings") or []:
        if "could not be written" in warning:
            print(f"! {visible(warning)}", file=sys.stderr)


def remove_source(arguments: argparse.Namespace, client: Client) -> int:
    """Remove a source."""
    client.delete(f"/api/v1/sources/{arguments.id}")
    _tell_what_is_not_kept(client)
    return 0


def remove_sink(arguments: argparse.Namespace, client: Client) -> int:
    """Remove a sink."""
    client.delete(f"/api/v1/sinks/{arguments.id}")
    _tell_what_is_not_kept(client)
    return 0


def source_sdp(arguments: argparse.Namespace, client: Client) -> int:
    """Print a source's SDP."""
    sdp = client.get(f"/api/source/sdp/{arguments.id}")
    if arguments.json:
        print_json({"id": arguments.id, "sdp": sdp})
    else:
        print(sdp, end="")
    return 0


def sink_status(arguments: argparse.Namespace, client: Client) -> int:
    """Print one sink with its flags and counters."""
    sink = client.get(f"/api/v1/sinks/{arguments.id}")
    if arguments.json:
        print_json(sink)
        return 0
    rows: list[tuple[str, object]] = [("sink", f"{sink['id']} {sink['name']}")]
    rows += [(key, sink.get(key)) for key in ("timing", "delay", "note")]
    rows.append(("flags", ", ".join(key for key, on in (sink.get("flags") or {}).items() if on)))
    rows += list((sink.get("counters") or {}).items())
    print(facts(rows, columns_shown()))
    return 0
