"""Whether a network card stamps packets, which clock it does so with, and turning that on.

A card stamps nothing until somebody has said so (SIOCSHWTSTAMP). The setting belongs to the whole
machine: what another program has set up is used, and changed only on request.
"""

from __future__ import annotations

import array
import errno
import os
import struct
from dataclasses import dataclass

from aes67.net.ifreq import SIOCETHTOOL, SIOCGHWTSTAMP, SIOCSHWTSTAMP, exchange
from aes67.net.timestamping import RAW_HARDWARE, RX_HARDWARE, TX_HARDWARE

ETHTOOL_GET_TS_INFO = 0x41
TX_ON = 1
FILTER_ALL = 1
FILTER_V2_L4_EVENT = 6
FILTER_V2_L2_EVENT = 9
FILTER_V2_EVENT = 12
"""hwtstamp_rx_filters: event messages of PTPv2 over UDP, on Ethernet, on both."""

_TS_INFO = struct.Struct("=IIiI12xI12x")
"""Up to phc_index; tx_types and rx_filters, each with three reserved words behind it."""
_CONFIG = struct.Struct("=iii")


@dataclass(frozen=True, slots=True)
class Support:
    """What a card can do: its clock /dev/ptp`index` (-1: none), kinds of messages it stamps.

    `filters` is a bit mask of hwtstamp_rx_filters.
    """

    index: int
    stamps: bool
    filters: int

    @property
    def path(self) -> str:
        """Of its clock."""
        return f"/dev/ptp{self.index}"


def support(interface: str) -> Support:
    """ETHTOOL_GET_TS_INFO of an interface; one that does not answer can do nothing."""
    info = array.array("B", bytes(_TS_INFO.size))
    _TS_INFO.pack_into(info, 0, ETHTOOL_GET_TS_INFO, 0, 0, 0, 0)
    try:
        exchange(interface, SIOCETHTOOL, info)
    except OSError:
        return Support(-1, False, 0)
    _, flags, index, sends, filters = _TS_INFO.unpack(info)
    wanted = TX_HARDWARE | RX_HARDWARE | RAW_HARDWARE
    stamps = flags & wanted == wanted and index >= 0 and bool(sends >> TX_ON & 1)
    return Support(index, stamps, filters)


def enabled(interface: str, ethernet: bool) -> bool:
    """Whether the card is set up to stamp our event messages (`ethernet`: not those over UDP)."""
    config = array.array("B", _CONFIG.pack(0, 0, 0))
    try:
        exchange(interface, SIOCGHWTSTAMP, config)
    except OSError:
        return False
    _, transmit, receive = _CONFIG.unpack(config)
    return transmit == TX_ON and receive in _wanted(ethernet)


def enable(interface: str, ethernet: bool, filters: int) -> str:
    """Set the card up to stamp our event messages; why it could not be done, empty: it was."""
    for chosen in _wanted(ethernet):
        if not filters >> chosen & 1:
            continue
        config = array.array("B", _CONFIG.pack(0, TX_ON, chosen))
        try:
            exchange(interface, SIOCSHWTSTAMP, config)
        except PermissionError:
            return "turning the card's timestamps on needs CAP_NET_ADMIN"
        except OSError as error:
            if error.errno == errno.ERANGE:
                continue  # the driver does not do this filter, whatever it said
            return f"turning the card's timestamps on: {os.strerror(error.errno or 0)}"
        return ""
    return "the card cannot stamp these messages"


def _wanted(ethernet: bool) -> tuple[int, ...]:
    """Filters that let our event messages be stamped, the narrowest first."""
    own = FILTER_V2_L2_EVENT if ethernet else FILTER_V2_L4_EVENT
    return (FILTER_V2_EVENT, own, FILTER_ALL)
