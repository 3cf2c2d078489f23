"""Sockets and memberships of the plan in force: new ones open before a swap, old close after it."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field

from aes67.engine.plan import MembershipSpec, Plan, SocketSpec
from aes67.errors import Refused
from aes67.net.udp import Memberships, open_media_socket


@dataclass
class Change:
    """A step from one plan's sockets to the next one's; `commit` or `withdraw` ends it."""

    sockets: dict[SocketSpec, socket.socket]
    opened: list[SocketSpec] = field(default_factory=list)
    joined: list[MembershipSpec] = field(default_factory=list)
    memberships: set[MembershipSpec] = field(default_factory=set)

    def descriptors(self, plan: Plan) -> list[int]:
        """File descriptors in the order of the plan's sockets."""
        return [self.sockets[spec].fileno() for spec in plan.sockets]


class Sockets:
    """What is open now."""

    def __init__(self) -> None:
        self._sockets: dict[SocketSpec, socket.socket] = {}
        self._joined: set[MembershipSpec] = set()
        self._memberships = Memberships()

    def prepare(self, plan: Plan) -> Change:
        """Open and join what the plan needs and is not there yet.

        Raises:
            Refused: something will not open; then all is as before.
        """
        change = Change({}, memberships=set(plan.memberships))
        try:
            for index, spec in enumerate(plan.sockets):
                name, value = f"sockets[{index}]", f"{spec.interface}:{spec.port}"
                if spec in self._sockets:
                    change.sockets[spec] = self._sockets[spec]
                else:
                    change.sockets[spec] = open_media_socket(spec.interface, spec.port)
                    change.opened.append(spec)
            for index, member in enumerate(plan.memberships):
                name, value = f"memberships[{index}]", f"{member.group} on {member.interface}"
                if member not in self._joined:
                    self._memberships.join(member.interface, member.group, member.source)
                    change.joined.append(member)
        except OSError as error:
            self.withdraw(change)
            raise Refused(name, value, os.strerror(error.errno or 0)) from error
        return change

    def withdraw(self, change: Change) -> None:
        """Undo `prepare`."""
        for spec in change.opened:
            with contextlib.suppress(KeyError):
                change.sockets.pop(spec).close()
        for member in change.joined:
            self._memberships.leave(member.interface, member.group, member.source)

    def commit(self, change: Change) -> None:
        """The change's plan is in force: close and leave what it does not name."""
        for spec, media in self._sockets.items():
            if spec not in change.sockets:
                media.close()
        for member in self._joined - change.memberships:
            self._memberships.leave(member.interface, member.group, member.source)
        self._sockets = change.sockets
        self._joined = change.memberships

    def close(self) -> None:
        """Close and leave everything."""
        for media in self._sockets.values():
            media.close()
        self._sockets = {}
        self._joined = set()
        self._memberships.close()
