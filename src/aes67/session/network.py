"""What a session needs to know of the machine's network: facts given from outside, never asked."""

from __future__ import annotations

from dataclasses import dataclass

from aes67.config.model import Config
from aes67.config.reading import Computed
from aes67.session import identity


@dataclass(frozen=True)
class Interface:
    """One network interface.

    Attributes:
        mac: as `aa:bb:..`.
        addresses: IPv4, the first one first.
        running: whether it has a link.
        index, links: the kernel's number of it, and how often its link has come up: another pair
            is another interface, or one whose neighbour has to be told anew who we are.
    """

    name: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    running: bool = True
    index: int = 0
    links: int = 0


@dataclass(frozen=True)
class Network:
    """The interfaces there are."""

    interfaces: tuple[Interface, ...] = ()

    def find(self, name: str) -> Interface | None:
        """The interface of this name, None when there is none."""
        return next((each for each in self.interfaces if each.name == name), None)

    def primary(self, config: Config) -> Interface | None:
        """The configuration's first interface, None when it does not exist."""
        return self.find(config.interfaces[0])

    def address(self, config: Config) -> str:
        """Our IPv4 address: the configured one if the interface has it, else its first, else ''."""
        primary = self.primary(config)
        if primary is None or not primary.addresses:
            return ""
        return config.ip_addr if config.ip_addr in primary.addresses else primary.addresses[0]

    def node_id(self, config: Config) -> str:
        """The node's name in effect."""
        return identity.node_id(config.custom_node_id, self.address(config))

    def computed(self, config: Config) -> Computed:
        """The read-only values of the configuration."""
        primary = self.primary(config)
        return Computed(
            node_id=self.node_id(config),
            mac_addr=primary.mac if primary else "",
            ip_addr=self.address(config),
        )
