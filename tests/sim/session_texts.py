"""Session descriptions for tests: the collected samples, and hostile ones made out of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

VECTORS = Path(__file__).parent.parent / "vectors" / "sdp"

_VALUES = (
    "", "0", "-1", "1", "1.5", "1e3", "99999999999999999999999", "0.000000000000000001", "direct=",
    "direct=0", "direct=-1", "direct=0 rate=48000/0", "sender", "ptp=", "ptp=:",
    "ptp=IEEE1588-2008",
    "ptp=IEEE1588-2008:traceable:0", "ptp=IEEE1588-2008:00-11-22-33-44-55-66-77:256", "ntp=",
    "localmac=", "DUP", "DUP 1", "DUP 1 1", "DUP 1 2 3", "DUP 2 1", "98", "98 L24", "98 L24/",
    "98 L24/0/2", "98 L24/48000/0", "98 /48000", "98 L24/48000/2/3", "128 L24/48000", "IN IP4",
    "incl IN IP4 * 10.0.0.1", "incl IN IP4 239.0.0.1", "excl IN IP6 ff02::1 ::1", "PTPv2",
    "98 channel-order=SMPTE2110.(ST)", "98 ;;=;x", "1-2", "\u0661", "\udcff",
)  # fmt: skip
_NAMES = (
    "rtpmap", "ptime", "maxptime", "framecount", "sync-time", "mediaclk", "ts-refclk", "group",
    "mid", "source-filter", "fmtp", "clock-domain", "recvonly",
)  # fmt: skip
_ATTRIBUTES = st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)).map(
    lambda pair: f"a={pair[0]}:{pair[1]}".encode("utf-8", "surrogateescape")
)
_LINES = (
    _ATTRIBUTES
    | st.sampled_from([b"m=audio 5004 RTP/AVP 98 10", b"m=audio 0 RTP/AVP x", b"c=IN IP4 1.2.3"])
    | st.binary(max_size=20)
)


def samples() -> dict[str, bytes]:
    """The collected descriptions by name, see tests/vectors/sdp/README.md."""
    return {file.stem: file.read_bytes() for file in sorted(VECTORS.glob("*.sdp"))}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample with a few lines dropped, doubled, moved, replaced or cut."""
    lines = draw(st.sampled_from(sorted(samples().values()))).split(b"\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(("drop", "double", "move", "insert", "replace", "cut"))):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "insert":
                lines.insert(at, draw(_LINES))
            case "replace":
                lines[at] = draw(_LINES)
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return b"\n".join(lines)
