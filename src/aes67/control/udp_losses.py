"""What the kernel dropped of this host's UDP since the start, and whether that goes on."""

from __future__ import annotations

from aes67.net.udp_counters import UdpCounters

LATELY_S = 600.0
"""So long a loss is worth a warning: one of a busy start shall not be warned of for weeks."""


class UdpLosses:
    """Counters since the start, and which of them have risen lately.

    Args:
        before: the counters at the start, which count since the machine's.
    """

    def __init__(self, before: UdpCounters) -> None:
        self._before = before
        self._seen = UdpCounters()
        self._checksum_s: float | None = None
        self._buffer_s: float | None = None

    def take(self, counters: UdpCounters, now_s: float) -> tuple[UdpCounters, UdpCounters]:
        """The counters since the start, and those of them that rose less than 10 minutes ago.

        Args:
            counters: as the kernel has them now.
            now_s: a clock that never goes back, s.
        """
        total = counters.since(self._before)
        if total.checksum_errors > self._seen.checksum_errors:
            self._checksum_s = now_s
        if total.buffer_errors > self._seen.buffer_errors:
            self._buffer_s = now_s
        self._seen = total
        lately = UdpCounters(
            total.checksum_errors if _is_recent(self._checksum_s, now_s) else 0,
            total.buffer_errors if _is_recent(self._buffer_s, now_s) else 0,
        )
        return total, lately


def _is_recent(risen_s: float | None, now_s: float) -> bool:
    return risen_s is not None and now_s - risen_s < LATELY_S
