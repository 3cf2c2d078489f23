"""An engine process without its tick: both sockets around a stand-in, a real timekeeper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes67.engine.alsa import AlsaServer, Hooks
from aes67.engine.link import LinkServer
from aes67.engine.timekeeper import Timekeeper
from sim.stand_in_engine import StandInEngine


@dataclass
class House:
    engine: StandInEngine
    alsa: AlsaServer
    link: LinkServer
    path: Path


async def build(directory: str, **engine_facts: Any) -> House:
    """An engine's sockets around a stand-in engine and a real timekeeper."""
    engine = StandInEngine(**engine_facts)
    house: list[House] = []
    timekeeper = Timekeeper(lambda record: None, lambda shot: house[0].link.snapshot_changed(shot))
    hooks = Hooks(
        request_rate=lambda rate: house[0].link.request_rate(rate),
        pcms_changed=lambda: house[0].link.pcms_changed(),
        controls_changed=lambda: house[0].link.controls_changed(),
    )
    alsa = AlsaServer(engine, hooks)  # type: ignore[arg-type]
    link = LinkServer(engine, timekeeper, alsa)  # type: ignore[arg-type]
    path = Path(directory) / "engine.sock"
    house.append(House(engine, alsa, link, path))
    link.start(path)
    return house[0]


async def tear_down(house: House) -> None:
    await house.link.close()
    await house.link._timekeeper.close()
    await house.alsa.close()
    house.engine.close()
