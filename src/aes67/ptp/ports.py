"""Which class serves a port: a row for each kind, by what the profile says of it.

The seam for another kind of port: derive from `ptp.port.Port`, add a row here, and a row for its
transport in `engine.port_kinds`.
"""

from __future__ import annotations

from collections.abc import Callable

from aes67.clock.timebase import Line
from aes67.ptp.decision import StateDecision
from aes67.ptp.gptp_port import GptpPort
from aes67.ptp.port import Port
from aes67.ptp.port_types import PortConfig
from aes67.ptp.profiles import PROFILES, DelayMechanism

MakePort = Callable[[PortConfig, Callable[[], float], int, Line, StateDecision], Port]

KINDS: dict[DelayMechanism, MakePort] = {
    DelayMechanism.E2E: Port,
    DelayMechanism.P2P: GptpPort,
}


def make_port(
    config: PortConfig,
    random: Callable[[], float],
    now_ns: int,
    clock: Line,
    decision: StateDecision,
) -> Port:
    """The port `config` asks for; see `Port` for the arguments."""
    kind = KINDS[PROFILES[config.profile].delay_mechanism]
    return kind(config, random, now_ns, clock, decision)
