"""Which messages a port listens to at all, and what it counts of the others."""

from __future__ import annotations

from aes67.errors import WireError
from aes67.ptp.heard import Heard
from aes67.ptp.port_types import PortConfig
from aes67.wire import ptp_header as h
from aes67.wire.ptp_messages import Message, parse

FROM_MASTERS = (h.ANNOUNCE, h.SYNC, h.FOLLOW_UP)


class Intake:
    """What every kind of port begins with."""

    def __init__(self, config: PortConfig) -> None:
        self.config = config
        self.heard = Heard()
        self.received = dict.fromkeys(h.MESSAGE_NAMES, 0)
        self.malformed = 0
        self.last_malformed = ""
        self.other_domain = 0
        self.other_sdo = 0
        self.not_allowed = 0

    def admit(self, data: bytes, source: str, now_ns: int) -> Message | None:
        """A message of our profile and domain, or one of our own clock; None: not to be used."""
        try:
            message = parse(data)
        except WireError as error:
            self.malformed += 1
            self.last_malformed = str(error)
            return None
        header = message.header
        if header.source.clock == self.config.identity.clock:
            return message
        self.heard.note(message, source, now_ns)
        if header.major_sdo != self.config.major_sdo:
            self.other_sdo += 1
        elif header.domain != self.config.domain:
            self.other_domain += 1
        elif not self.allows(header.source.clock) and header.message_type in FROM_MASTERS:
            self.not_allowed += 1
        else:
            self.received[header.message_type] += 1
            return message
        return None

    def allows(self, clock: bytes) -> bool:
        """Whether the configuration lets this clock be a master of ours."""
        return not self.config.allowed_masters or clock in self.config.allowed_masters
