"""The state of a node: all a plan depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aes67.config.model import Config
from aes67.session.model import Sink, Source
from aes67.session.network import Network


@dataclass(frozen=True)
class State:
    """Configuration, circumstances and streams.

    Attributes:
        rate: the device's, in force.
        sender_name: what the SSRCs of the sources are made of, see `session.sender_name`; while
            it is not settled, empty, it is the node's name.
    """

    config: Config
    rate: int
    network: Network
    sources: Mapping[int, Source] = field(default_factory=dict)
    sinks: Mapping[int, Sink] = field(default_factory=dict)
    sender_name: str = ""
