"""An unmodified ptp4l that speaks 802.1AS, with the kernel's stamps, measuring only."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sim.netns import Namespace

_numbers = itertools.count()

GPTP = """[global]
gmCapable 1
priority1 {priority1}
priority2 248
logAnnounceInterval 0
logSyncInterval -3
syncReceiptTimeout 3
neighborPropDelayThresh {limit}
min_neighbor_prop_delay -20000000
assume_two_step 1
path_trace_enabled 1
follow_up_info 1
transportSpecific 0x1
ptp_dst_mac 01:80:C2:00:00:0E
network_transport L2
delay_mechanism P2P
time_stamping {stamps}
free_running 1
tx_timestamp_timeout 10
freq_est_interval 0
summary_interval -3
uds_address {socket}
[{interface}]
"""


def gptp4l(
    where: Namespace,
    interface: str,
    folder: Path,
    *,
    priority1: int,
    limit: int = 1_000_000,
    stamps: str = "software",
    environment: Sequence[str] = (),
) -> tuple[subprocess.Popen[str], Path]:
    """The process and its log. Software stamps exceed the 800 ns of the standard: see `limit`.

    `environment`: `NAME=value` of the process.
    """
    number = next(_numbers)
    settings = folder / f"gptp4l-{number}.cfg"
    settings.write_text(
        GPTP.format(
            priority1=priority1,
            limit=limit,
            stamps=stamps,
            socket=folder / f"gptp-uds-{number}",
            interface=interface,
        )
    )
    log = folder / f"gptp4l-{number}.log"
    command = ["env", *environment, "ptp4l", "-f", str(settings), "-m"]
    return where.spawn(*command, log=log), log
