"""Sockets and memberships of the plan in force: new ones open before a swap, old close after it.

An interface is known by its index, not by its name: one that was taken away and has come back is
another one, whose sockets are opened anew.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from aes67.engine.plan import MembershipSpec, Plan
from aes67.errors import Refused
from aes67.net.udp import Memberships, interface_address, open_media_socket, send_from

_Place = tuple[int, int]
"""Interface index and port."""
_Member = tuple[int, str, str | None]
"""Interface index, group and sender."""


@dataclass
class Change:
    """A step from one plan's sockets to the next one's; `commit` or `withdraw` ends it."""

    sockets: dict[_Place, socket.socket] = field(default_factory=dict)
    opened: list[socket.socket] = field(default_factory=list)
    members: set[_Member] = field(default_factory=set)
    joined: list[_Member] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    """In the order of the plan's sockets."""


class Sockets:
    """What is open now."""

    def __init__(self) -> None:
        self._sockets: dict[_Place, socket.socket] = {}
        self._members: set[_Member] = set()
        self._memberships = Memberships()
        self._addresses: dict[str, bytes] = {}
        """First address of each interface of the plan when it was last looked at."""

    def prepare(self, plan: Plan) -> Change:
        """Open and join what the plan needs and is not there yet.

        Raises:
            Refused: something will not open; then all is as before.
        """
        change = Change()
        try:
            for number, spec in enumerate(plan.sockets):
                name, value = f"sockets[{number}]", f"{spec.interface}:{spec.port}"
                self._open(change, spec.interface, spec.port)
            for number, member in enumerate(plan.memberships):
                name, value = f"memberships[{number}]", f"{member.group} on {member.interface}"
                self._join(change, member)
        except OSError as error:
            self.withdraw(change)
            rule = os.strerror(error.errno) if error.errno else "there is no such interface"
            raise Refused(name, value, rule) from error
        return change

    def _open(self, change: Change, interface: str, port: int) -> None:
        place = (socket.if_nametoindex(interface), port)
        self._addresses.setdefault(interface, interface_address(interface))
        media = self._sockets.get(place)
        if media is None:
            media = open_media_socket(interface, port)
            change.opened.append(media)
        change.sockets[place] = media
        change.descriptors.append(media.fileno())

    def _join(self, change: Change, spec: MembershipSpec) -> None:
        member = (socket.if_nametoindex(spec.interface), spec.group, spec.source)
        if member not in self._members:
            self._memberships.join(*member)
            change.joined.append(member)
        change.members.add(member)

    def withdraw(self, change: Change) -> None:
        """Undo `prepare`."""
        for media in change.opened:
            media.close()
        for member in change.joined:
            self._memberships.leave(*member)

    def commit(self, change: Change) -> None:
        """The change's plan is in force: close and leave what it does not name."""
        for place, media in self._sockets.items():
            if place not in change.sockets:
                media.close()
        for member in self._members - change.members:
            self._memberships.leave(*member)
        self._sockets = change.sockets
        self._members = change.members

    def stale(self, plan: Plan) -> bool:
        """Whether an interface of the plan is another one than when its sockets were opened.

        One that is missing is not stale: there is nothing to open.
        """
        for spec in plan.sockets:
            try:
                index = socket.if_nametoindex(spec.interface)
            except OSError:
                continue
            if (index, spec.port) not in self._sockets:
                return True
        return False

    def readdress(self, plan: Plan) -> None:
        """Send from the address each interface has now; streams go on, from another sender."""
        for name in {spec.interface for spec in plan.sockets}:
            address = interface_address(name)
            if self._addresses.get(name) == address:
                continue
            for spec in plan.sockets:
                if spec.interface == name:
                    media = self._sockets.get((socket.if_nametoindex(name), spec.port))
                    if media is not None:
                        send_from(media, name)
            self._addresses[name] = address

    def rejoin(self, index: int) -> int:
        """The link of an interface is back: see `Memberships.rejoin`."""
        return self._memberships.rejoin(index)

    def close(self) -> None:
        """Close and leave everything."""
        for media in self._sockets.values():
            media.close()
        self._sockets = {}
        self._members = set()
        self._memberships.close()
