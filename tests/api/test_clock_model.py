"""What the clock says in each of its modes is what the interface promises, and is quick to say."""

from __future__ import annotations

import time

import pytest

from aes67.clock.timebase import NS, Line
from aes67.ptp.bmca import Role
from aes67.ptp.history import SPANS, History
from aes67.ptp.ordinary_clock import Mode, OrdinaryClock
from aes67.ptp.port_types import PortConfig
from aes67.ptp.snapshot import render
from aes67.wire.ptp_header import PortIdentity
from aes67_api.v1.clock import Clock, ClockHistory
from sim.world import Master, Oscillator, World

OURS = PortIdentity(bytes.fromhex("020000ae67000002"), 1)
GPTP = {"profile": "gptp", "major_sdo": 1, "path_trace": True}


@pytest.mark.parametrize(
    ("mode", "role", "changes"),
    [
        (Mode.FREE, None, {}),
        (Mode.GRANDMASTER, Role.MASTER_ONLY, {}),
        (Mode.PTP, Role.ORDINARY, {}),
        (Mode.PTP_SLAVE, Role.SLAVE_ONLY, {}),
        (Mode.PTP, Role.ORDINARY, GPTP),
    ],
)
def test_every_mode_fits_the_model(
    mode: Mode, role: Role | None, changes: dict[str, object]
) -> None:
    config = None if role is None else PortConfig(OURS, role, **changes)  # type: ignore[arg-type]
    clock = OrdinaryClock(mode, config, lambda: 0.5, 0, Line(0, NS))
    for second in range(20):
        clock.handle_timer(second * NS)
        snapshot = render(clock, second * NS)
        assert Clock.model_validate(snapshot).model_dump(exclude_unset=True).keys() == (
            snapshot.keys()
        )


def test_every_state_fits_the_model() -> None:
    world = World()
    master = Master(world, law=Oscillator(ppm=30, start_ns=1_700_000_000 * NS)).start()
    clock = world.slave()
    seen = set()
    for second in range(1, 40):
        master.alive = second < 20
        world.run(second / 2)
        told = Clock.model_validate(render(clock, world.local.at(world.now)))
        seen.add(told.state)
    assert seen >= {"unlocked", "locked", "holdover"}
    for few in (
        {"state": "unlocked", "reason": "the engine is not running"},
        {"mode": None, "state": "unlocked", "reason": "not configured", "gmid": ""},
    ):
        Clock.model_validate(few)


def test_a_day_of_history_is_said_in_little_time() -> None:
    history = History()
    snapshot = {"state": "locked", "offset_ns": 3, "uncertainty_ns": 9, "rate_ppm": 1.5}
    for second in range(0, 86_400, 60):
        history.add(snapshot, second * NS)
    times = []
    for _ in range(5):
        begin = time.process_time()
        for span in SPANS:
            ClockHistory.model_validate(history.read(span, 86_400 * NS)).model_dump_json()
        times.append(time.process_time() - begin)
    assert min(times) < 0.1, "it runs on the loop of the control process"
