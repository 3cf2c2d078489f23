"""What the kernel says of this host's UDP: datagrams it dropped and will not tell a socket of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SNMP = Path("/proc/net/snmp")


@dataclass(frozen=True)
class UdpCounters:
    """Since the machine was started, of this network namespace.

    Attributes:
        checksum_errors: `UdpInCsumErrors`, datagrams dropped for a wrong checksum.
        buffer_errors: `UdpRcvbufErrors`, datagrams a full socket had no room for.
    """

    checksum_errors: int = 0
    buffer_errors: int = 0

    def since(self, before: UdpCounters) -> UdpCounters:
        """What has come since; 0 for one that has gone back."""
        return UdpCounters(
            max(0, self.checksum_errors - before.checksum_errors),
            max(0, self.buffer_errors - before.buffer_errors),
        )


def read_udp_counters(path: Path = SNMP) -> UdpCounters:
    """The counters now; zeros where the kernel does not count."""
    try:
        return parse_snmp(path.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return UdpCounters()


def parse_snmp(text: str) -> UdpCounters:
    """The UDP counters out of /proc/net/snmp: a line of names, then a line of numbers."""
    rows = [line.split()[1:] for line in text.splitlines() if line.startswith("Udp:")]
    if len(rows) < 2:
        return UdpCounters()
    values = dict(zip(rows[0], rows[1], strict=False))
    return UdpCounters(_number(values.get("InCsumErrors")), _number(values.get("RcvbufErrors")))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0
