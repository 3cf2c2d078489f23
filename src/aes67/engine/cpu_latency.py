"""How long an idle processor may take to wake up: a request to the kernel, held while it is wanted.

Linux PM QoS takes the strictest of all requests, each an open /dev/cpu_dma_latency
(Documentation/power/pm_qos_interface.rst); closing the file, or dying, takes ours back. At 0 idle
processors poll instead of halting. One that halts in a virtual machine is given back by a busy host
10 to 30 ms late; one in a deep C-state takes up to a millisecond to come back by itself.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")
"""Who puts idle processors to sleep; without one the kernel halts them and asks nobody."""
MOST_US = 10_000
CURE = (
    "`aes67 service install` once more, with the options it had, gives it to the service, "
    "`docker run --device` to a container; else run the daemon as root"
)
"""A unit that was installed before the configuration asked for it has a /dev without the file."""
NO_DRIVER = (
    "the kernel has no cpuidle driver here and halts idle processors without asking; "
    "idle=poll on its command line has them poll"
)
_S32 = struct.Struct("=i")


class CpuLatency:
    """The one request of this process. Belongs to an ordinary thread: opening may take a moment."""

    def __init__(self, device: Path = DEVICE, driver: Path = DRIVER) -> None:
        """Nothing is opened yet."""
        self._device, self._driver = device, driver
        self._file = -1
        self._wanted_us: int | None = None
        self.problem = ""
        """Why what is wanted is not in force, and what to do, in a sentence; empty: it is."""

    def request(self, limit_us: int | None) -> None:
        """Ask for a limit instead of the one before; what failed is tried again.

        Args:
            limit_us: 0 (poll) to MOST_US; None: no limit of ours.
        """
        if limit_us == self._wanted_us and not self.problem:
            return
        self._wanted_us, self.problem = limit_us, ""
        if limit_us is None:
            self.close()
            return
        try:
            if self._file < 0:
                self._file = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
            os.write(self._file, _S32.pack(limit_us))
        except OSError as error:
            self.close()
            reason = f"{self._device}: {os.strerror(error.errno or 0)}; {CURE}"
        else:
            if self._is_asked():
                return
            reason = NO_DRIVER
        self.problem = f"cpu_latency_us = {limit_us} is not in force: {reason}"

    def close(self) -> None:
        """Take the request back."""
        self._wanted_us = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _is_asked(self) -> bool:
        """Whether requests are of any effect here; where that cannot be read, they are."""
        try:
            return self._driver.read_text(encoding="ascii").strip() != "none"
        except OSError:
            return True


