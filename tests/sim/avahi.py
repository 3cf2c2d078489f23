"""avahi-daemon in a namespace, on a D-Bus of its own; and its tools, which ask that one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sim.netns import Namespace

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
SETTINGS = """[server]
host-name=peer
use-ipv4=yes
use-ipv6=no
allow-interfaces={interface}
enable-dbus=yes
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
[rlimits]
"""


class Avahi:
    """A running avahi-daemon; `address` is its bus."""

    def __init__(self, where: Namespace, folder: Path, interface: str) -> None:
        self._where, self._folder = where, folder
        self.address = f"unix:path={folder / 'bus'}"
        (folder / "bus.conf").write_text(BUS.format(socket=folder / "bus"))
        (folder / "avahi.conf").write_text(SETTINGS.format(interface=interface))
        bus = ["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork", "--nopidfile"]
        self._bus = where.spawn(*bus, log=folder / "bus.log")
        _wait(lambda: (folder / "bus").exists(), folder / "bus.log")
        self._daemon: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start avahi-daemon (again); /run is its own, so that it meets no other one."""
        script = (
            "mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && "
            f"exec env DBUS_SYSTEM_BUS_ADDRESS={self.address} avahi-daemon "
            f"-f {self._folder / 'avahi.conf'} --no-drop-root --no-chroot --no-rlimits"
        )
        log = self._folder / "avahi.log"
        self._daemon = self._where.spawn("sh", "-c", script, log=log)
        _wait(lambda: "Server startup complete" in log.read_text(), log)

    def stop(self) -> None:
        """End avahi-daemon as if it were restarted."""
        if self._daemon is not None:
            self._where.stop(self._daemon)

    def browse(self, kind: str) -> dict[str, tuple[str, int]]:
        """Instances of a type or subtype: name to (address, port), as avahi resolves them."""
        command = ["avahi-browse", "--resolve", "--parsable", "--terminate", "--no-db-lookup", kind]
        done = subprocess.run(command, env=self._environment(), capture_output=True, timeout=30)
        found = {}
        for line in done.stdout.decode().splitlines():
            fields = line.split(";")
            if fields[0] == "=":
                found[_unescaped(fields[3])] = (fields[7], int(fields[8]))
        return found

    @contextlib.contextmanager
    def published(self, name: str, kind: str, port: int, subtype: str) -> Iterator[None]:
        """A service of avahi's, for as long as the block runs."""
        command = ["avahi-publish", "-s", f"--subtype={subtype}", name, kind, str(port)]
        process = subprocess.Popen(command, env=self._environment(), stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def _environment(self) -> dict[str, str]:
        return os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "LC_ALL": "C.UTF-8"}


@contextlib.contextmanager
def avahi(where: Namespace, interface: str) -> Iterator[Avahi]:
    """avahi-daemon on an interface of a namespace; the namespace ends it."""
    with tempfile.TemporaryDirectory(prefix=f"avahi{os.getpid()}-") as folder:
        made = Avahi(where, Path(folder), interface)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def _wait(condition: object, log: Path) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def _unescaped(text: str) -> str:
    """avahi writes \\DDD for octets that are no letters or digits."""
    octets, at, data = bytearray(), 0, text.encode()
    while at < len(data):
        if data[at] == 0x5C and data[at + 1 : at + 4].isdigit():
            octets.append(int(data[at + 1 : at + 4]))
            at += 4
        elif data[at] == 0x5C:
            octets.append(data[at + 1])
            at += 2
        else:
            octets.append(data[at])
            at += 1
    return octets.decode()
