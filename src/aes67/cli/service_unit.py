"""The systemd unit of the daemon as text: which rights, which sandbox, and why. No effects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

NAME = "aes67.service"
USER, GROUP = "aes67", "audio"
OWN_LINE = "# written by `aes67 service install`; `aes67 service remove` deletes it"
USER_LINE = "# user made by install: "

TEMPLATE = """\
{own_line}
{user_line}[Unit]
Description=AES67 audio over the network
Wants=network-online.target
After=network-online.target
# the daemon this one stands in for: same ports, same files
Conflicts=aes67-daemon.service
# no limit of starts: what is in the way (a busy port, a file) may go away by itself
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
{prepared}ExecStart={daemon} -c {config} --runtime-dir /run/aes67 --alsa-group {group}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=3
# the first start compiles, which takes a minute or two
TimeoutStartSec=10min
WatchdogSec=30
# only the parent is asked to end: it ends control first, then the engine
KillMode=mixed
TimeoutStopSec=15

User={user}
Group={group}
UMask=0022
# /run/aes67: sockets; /var/cache/aes67: compiled code; /var/lib/aes67: status file
RuntimeDirectory=aes67
RuntimeDirectoryMode=0755
CacheDirectory=aes67
CacheDirectoryMode=0700
StateDirectory=aes67
StateDirectoryMode=0755
WorkingDirectory=/var/lib/aes67

# CAP_NET_BIND_SERVICE: PTP's ports 319 and 320; CAP_SYS_NICE: real-time scheduling{why}
# The parent hands them to the engine only; the control process, which speaks HTTP, has none.
AmbientCapabilities={capabilities}
CapabilityBoundingSet={capabilities}
LimitRTPRIO=95
LimitMEMLOCK=infinity
LimitNOFILE=65536

NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp=yes
{devices}
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK{families}
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
# not MemoryDenyWriteExecute: the engine is compiled for this processor when it starts

[Install]
WantedBy=multi-user.target
"""

NO_DEVICES = "PrivateDevices=yes"
PTP_DEVICES = "char-ptp"
CPU_LATENCY_DEVICE = "/dev/cpu_dma_latency"
CPU_LATENCY = f"""\
# cpu_latency_us: the file is the user's own while the service runs, and no group's. A rule of udev
# would be one more file to take away, in force from the next boot on. +: as root, outside of the
# sandbox; -: a kernel need not have the file
ExecStartPre=-+/bin/chown {{user}} {CPU_LATENCY_DEVICE}
ExecStopPost=-+/bin/chown root {CPU_LATENCY_DEVICE}
"""


@dataclass(frozen=True)
class Unit:
    """What differs between installations.

    `daemon` and `config` are absolute paths; `writable` are files and directories the service
    may write besides its own; `made_user`: install made the user, so remove takes it away.
    """

    daemon: PurePath
    config: PurePath
    writable: tuple[PurePath, ...] = ()
    user: str = USER
    made_user: bool = False
    is_in_home: bool = False
    """The program lies in somebody's home, which the sandbox else hides."""
    raw_packets: bool = False
    """gPTP and AVTP: packets below IP."""
    hardware_timestamps: bool = False
    cpu_latency: bool = False
    """`cpu_latency_us`: processors that wake up in time."""

    def text(self) -> str:
        """The unit file."""
        capabilities, why, families = ["CAP_NET_BIND_SERVICE", "CAP_SYS_NICE"], "", ""
        if self.raw_packets:
            capabilities.append("CAP_NET_RAW")
            why += "; CAP_NET_RAW: gPTP, AVTP"
            families = " AF_PACKET"
        if self.hardware_timestamps:
            capabilities.append("CAP_NET_ADMIN")
            why += "; CAP_NET_ADMIN: timestamps of the network card"
        return TEMPLATE.format(
            own_line=OWN_LINE,
            user_line=f"{USER_LINE}{self.user}\n" if self.made_user else "",
            daemon=quoted(self.daemon),
            config=quoted(self.config),
            group=GROUP,
            user=self.user,
            why=why,
            capabilities=" ".join(capabilities),
            writable=" ".join(quoted(path, optional=True) for path in self.writable),
            home="read-only" if self.is_in_home else "yes",
            devices=self._devices(),
            families=families,
            prepared=CPU_LATENCY.format(user=self.user.replace("$", "$$"))
            if self.cpu_latency else "",
        )  # fmt: skip

    def _devices(self) -> str:
        """The devices it may open, none but the usual ones unless it needs them."""
        wanted = {PTP_DEVICES: self.hardware_timestamps, CPU_LATENCY_DEVICE: self.cpu_latency}
        allowed = [f"DeviceAllow={each} rw" for each, wants in wanted.items() if wants]
        return "\n".join(["DevicePolicy=closed", *allowed]) if allowed else NO_DEVICES


def quoted(path: PurePath, *, optional: bool = False) -> str:
    """A path as systemd.syntax(7) reads it; optional: need not exist."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    text = text.replace("$", "$$") if not optional else "-" + text
    return f'"{text}"' if any(each in text for each in " \t'\"\\;") else text


def unquoted(text: str) -> str:
    """The path that `quoted` wrote into a command."""
    if text.startswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return text.replace("%%", "%").replace("$$", "$")


def made_user(unit: str) -> str:
    """The user that install made, as its unit says; empty: none."""
    for line in unit.splitlines():
        if line.startswith(USER_LINE):
            return line.removeprefix(USER_LINE).strip()
    return ""


NAMES = "aes67-names"
NAMES_PATH = f"""\
{OWN_LINE}
[Unit]
Description=Names of AES67 streams for aplay -L

[Path]
PathChanged=/run/aes67/streams

[Install]
WantedBy=multi-user.target
"""
NAMES_SERVICE = f"""\
{OWN_LINE}
# alsa-lib of every program reads the list, so root writes it and not the daemon's own user
[Unit]
Description=Names of AES67 streams for aplay -L
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={{program}} alsa names --write
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateDevices=yes
PrivateNetwork=yes
PrivateTmp=yes
ProtectHome={{home}}
ProtectSystem=strict
ReadWritePaths=/var/lib
RestrictAddressFamilies=none
"""


def names_service(program: PurePath, is_in_home: bool) -> str:
    """The unit that `NAMES_PATH` starts at each change of a stream's name."""
    return NAMES_SERVICE.format(program=quoted(program), home="read-only" if is_in_home else "yes")
