"""A real ptp4l as grandmaster for the self-tests, without the right to touch the system clock."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager
from types import TracebackType

from aes67.selftest import child
from aes67.selftest.folder import Folder
from aes67.selftest.node import SetupFailed
from aes67.selftest.place import tied_prefix

CONFIGURATION = """\
[global]
network_transport UDPv4
domainNumber {domain}
time_stamping software
delay_mechanism E2E
free_running 1
{only_master} 1
priority1 127
clockClass 248
logAnnounceInterval 0
logSyncInterval -3
logMinDelayReqInterval -3
announceReceiptTimeout 3
dscp_event 46
dscp_general 34
tx_timestamp_timeout 50
uds_address {directory}/uds
{read_only_socket}
[{interface}]
"""


class Master(AbstractContextManager["Master"]):
    """`with Master("lo"):` runs ptp4l as grandmaster; SetupFailed when it is not installed."""

    def __init__(self, interface: str, domain: int = 0) -> None:
        self._program = shutil.which("ptp4l") or shutil.which("/usr/sbin/ptp4l")
        if self._program is None:
            raise SetupFailed("ptp4l is not installed; the package is called linuxptp")
        self._interface = interface
        self._domain = domain
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary = Folder("ptp4l")

    def __enter__(self) -> Master:
        assert self._program is not None
        directory = self._temporary.path
        modern = self._version_is_4_or_later()
        text = CONFIGURATION.format(
            domain=self._domain,
            directory=directory,
            interface=self._interface,
            only_master="serverOnly" if modern else "masterOnly",
            read_only_socket=f"uds_ro_address {directory}/uds-ro" if modern else "",
        )
        (directory / "ptp4l.conf").write_text(text, encoding="ascii")
        with (directory / "ptp4l.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *tied_prefix(), *_without_clock_rights(), self._program,
                    "-f", str(directory / "ptp4l.conf"), "-m",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def _version_is_4_or_later(self) -> bool:
        assert self._program is not None
        done = subprocess.run([self._program, "-v"], capture_output=True, text=True, check=False)
        major = (done.stdout + done.stderr).strip().lstrip("v").split(".")[0]
        return major.isdecimal() and int(major) >= 4

    def log(self) -> str:
        """What ptp4l has said so far."""
        path = self._temporary.path / "ptp4l.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            child.stop(self._process)
        self._temporary.cleanup()


def _without_clock_rights() -> list[str]:
    """Prefix that takes away the capability to set the system clock."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    return [setpriv, "--bounding-set=-sys_time", "--inh-caps=-sys_time"]
