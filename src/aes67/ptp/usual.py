"""The usual messages, without building a `Message` of each.

Of the packets a slave gets, nearly all are Sync, Follow_Up and Delay_Resp of masters it knows, and
what other slaves ask and are answered. They are told by their first 44 octets; whatever is unusual
in one (a TLV, a flag, another domain, a clock never heard, an error) leaves it to `wire.parse` and
`Port`, which say of these what is said here too. That saves much of a message's processor time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aes67.clock.timebase import NS
from aes67.ptp.bmca import PortState
from aes67.ptp.foreign import CAPACITY, ForeignMaster
from aes67.wire import ptp_header as h
from aes67.wire.ptp_header import PortIdentity

if TYPE_CHECKING:
    from aes67.ptp.port import Port

_TIMED = struct.Struct(">BBHBBHqI8sHHBbHII")
"""Header (table 35) and one timestamp: all of a Sync, Follow_Up or Delay_Req without TLVs."""
_REQUESTER = struct.Struct(">8sH")
_ANSWER_BYTES = _TIMED.size + _REQUESTER.size
_LENGTHS = {
    h.SYNC: _TIMED.size,
    h.FOLLOW_UP: _TIMED.size,
    h.DELAY_REQ: _TIMED.size,
    h.DELAY_RESP: _ANSWER_BYTES,
}


class Usual:
    """The usual messages of one port."""

    def __init__(self, port: Port) -> None:
        identity = port.config.identity
        self._port = port
        self._own = identity.clock
        self._requester = _REQUESTER.pack(identity.clock, identity.port)
        self._domain = port.config.domain
        self._major_sdo = port.config.major_sdo
        self._masters: dict[tuple[bytes, int], ForeignMaster] = {}

    def take(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> bool:
        """Do all there is to do for a packet, see `Port.receive`; False: nothing was done."""
        if len(data) < _TIMED.size:
            return False
        (
            sdo_type, version, length, domain, _, flags, correction, _, clock, number,
            sequence, _, log_interval, high, low, nanoseconds,
        ) = _TIMED.unpack_from(data)  # fmt: skip
        kind = sdo_type & 0x0F
        if (
            version & 0x0F != 2
            or length != _LENGTHS.get(kind)
            or length > len(data)
            or sdo_type >> 4 != self._major_sdo
            or domain != self._domain
            or nanoseconds >= NS
            or clock == self._own
        ):
            return False
        port = self._port
        if kind == h.DELAY_REQ:
            if port.state is PortState.MASTER:
                return False
            port.received[kind] += 1
            return True
        if kind == h.DELAY_RESP and data[_TIMED.size : _ANSWER_BYTES] != self._requester:
            port.received[kind] += 1
            return True
        master = self._known(clock, number)
        if master is None:
            return False
        time_ns = (high << 32 | low) * NS + nanoseconds
        if kind == h.DELAY_RESP:
            port.received[kind] += 1
            port.slave.answered(master, sequence, (time_ns, correction), log_interval, now_ns)
            return True
        if flags & h.ALTERNATE_MASTER or not port.heard.again(
            (self._major_sdo, domain, clock), source, now_ns
        ):
            return False
        port.received[kind] += 1
        if kind == h.FOLLOW_UP:
            port.slave.completed(master, sequence, time_ns, correction, now_ns)
            return True
        if port.state is not PortState.MASTER:
            port.requests.start(now_ns)
        master.sync_log = log_interval
        origin = (time_ns, correction, bool(flags & h.TWO_STEP))
        port.slave.synced(master, sequence, origin, now_ns, stamp_ns)
        return True

    def _known(self, clock: bytes, number: int) -> ForeignMaster | None:
        """The record of a master, if there is one."""
        masters = self._port.table.masters
        master = self._masters.get((clock, number))
        if master is None or masters.get(master.identity) is not master:
            master = masters.get(PortIdentity(clock, number))
            if master is not None:
                if len(self._masters) >= CAPACITY:
                    self._masters.clear()
                self._masters[(clock, number)] = master
        return master
