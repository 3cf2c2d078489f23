"""Hard limits of the slave's accuracy in deterministic simulation: 8 Sync/s, 1 Delay_Req/s.

Errors are true ones: the published media clock minus the master's law at the same instant.
"""

from __future__ import annotations

import numpy as np
import pytest

from aes67.clock.timebase import NS
from sim.world import (
    Delay,
    Master,
    Oscillator,
    World,
    fixed,
    hardware,
    quiet,
    software,
    spiky,
    wifi,
)

SEEDS = (1, 2, 3)
MANY = range(1, 25)
"""One run says little of the rms of noise that takes half a minute to change."""
EPOCH = 1_700_000_000 * NS
CALM, RESTLESS = 1.0, 100.0


def settled(seed: int, noise: Delay, walk: float, log_sync: int = -3, until: float = 120) -> World:
    """A slave that has followed a drifting master for two minutes."""
    world = World(seed)
    law = Oscillator(ppm=30, walk=walk, seed=seed, start_ns=EPOCH)
    Master(world, law=law, down=noise, up=noise, log_sync=log_sync).start()
    world.slave()
    world.run(until)
    return world


@pytest.mark.parametrize(
    ("noise", "walk", "log_sync", "limit_ns"),
    [
        pytest.param(hardware, CALM, -3, 30, id="hardware-calm"),
        pytest.param(hardware, RESTLESS, -3, 50, id="hardware-restless"),
        pytest.param(software, CALM, -3, 450, id="software-calm"),
        pytest.param(software, RESTLESS, -3, 850, id="software-restless"),
        pytest.param(software, CALM, 0, 633, id="software-1-sync"),
        pytest.param(spiky, CALM, -3, 600, id="spikes"),
        pytest.param(quiet, CALM, -3, 150, id="quiet-link"),
    ],
)
def test_rms_error(noise: Delay, walk: float, log_sync: int, limit_ns: int) -> None:
    worlds = [settled(seed, noise, walk, log_sync) for seed in MANY]
    rms = [world.rms(60) for world in worlds]
    assert np.sqrt(np.mean(np.square(rms))) <= limit_ns, rms
    for world in worlds:
        assert world.clock is not None
        assert [s for _, s in world.states] == ["unlocked", "locking", "locked"]
        assert world.clock.media.session_epoch == 0


def test_a_wireless_link_is_estimated_but_not_called_locked() -> None:
    for seed in SEEDS:
        world = settled(seed, wifi, 10.0)
        assert world.clock is not None
        followed = world.clock.followed
        assert followed is not None
        raw_ns = world.local.at(world.now)
        error = followed.estimator.line.at(raw_ns) - world.masters[0].time(world.now)
        assert abs(error) <= 120_000
        assert abs(error) <= followed.estimator.three_sigma_ns(raw_ns) * 4 / 3
        assert world.first("locked") == float("inf")
        assert "to lock it must be below 5 us" in world.clock.lock.reason


@pytest.mark.parametrize("noise", [hardware, quiet, software, spiky])
def test_three_sigma_is_honest(noise: Delay) -> None:
    covered, total = 0, 0
    for seed in SEEDS:
        world = World(seed)
        law = Oscillator(ppm=-40, walk=10.0, seed=seed, start_ns=EPOCH)
        Master(world, law=law, down=noise, up=noise).start()
        clock = world.slave()
        for second in range(10, 100):
            world.run(second, sample_after_s=1000)
            covered += abs(world.error()) <= clock.mapping.uncertainty_ns
            total += 1
    assert covered >= 0.97 * total


@pytest.mark.parametrize("log_sync", [-4, -3, 0])
@pytest.mark.parametrize("log_announce", [-2, 0, 1])
def test_it_locks_half_a_second_after_the_master_qualifies(
    log_sync: int, log_announce: int
) -> None:
    """... or two seconds after its first Sync, whichever is later."""
    for seed in SEEDS:
        world = World(seed)
        law = Oscillator(ppm=50, seed=seed, start_ns=EPOCH)
        master = Master(world, law=law, log_sync=log_sync, log_announce=log_announce)
        master.first_announce_ns = 100_000_000
        master.start()
        world.slave()
        world.run(6)
        qualified = 0.1 + 2.0**log_announce
        # at 1 Sync/s nothing is settled before the third, 2 s after the first
        third = 0.45 if log_sync == 0 else 0.0
        assert world.first("locked") <= max(qualified + 0.5, 0.06 + 2.0 + third)
        assert np.abs(world.since(world.first("locked"))).max() < 5_000


def test_below_ten_and_one_microsecond_soon_after_the_first_sync() -> None:
    for seed in SEEDS:
        world = World(seed)
        law = Oscillator(ppm=30, walk=10.0, seed=seed, start_ns=EPOCH)
        noise = software
        Master(world, law=law, down=noise, up=noise, log_delay=-3, log_announce=-2).start()
        world.slave()
        world.run(40)
        locked = world.first("locked")
        assert locked <= 2.5
        assert np.abs(world.since(locked)).max() < 10_000
        assert np.abs(world.since(20)).max() < 2_000
        assert world.rms(20) < 1_000


def test_a_sine_of_half_a_microsecond_is_followed() -> None:
    """A filter that does not follow it at all shows 354 ns rms."""
    for seed in SEEDS:
        world = World(seed)
        law = Oscillator(ppm=30, sine=(500.0, 50.0), seed=seed, start_ns=EPOCH)
        Master(world, law=law).start()
        world.slave()
        world.run(150)
        assert world.rms(60) < 200


class Pulled(Oscillator):
    """From the 60th second on 5 ppm faster: a master that finds its own reference."""

    def at(self, true_ns: int) -> int:
        return super().at(true_ns) + max(0, true_ns - 60 * NS) * 5 // 1_000_000


@pytest.mark.parametrize(
    ("noise", "rms_ns", "worst_ns"), [(quiet, 600, 20_000), (software, 2_000, 25_000)]
)
def test_a_rate_that_changes_by_5_ppm_at_once_is_followed(
    noise: Delay, rms_ns: int, worst_ns: int
) -> None:
    rms, worst = [], []
    for seed in MANY:
        world = World(seed)
        Master(world, law=Pulled(ppm=30, walk=1.0, start_ns=EPOCH), down=noise, up=noise).start()
        world.slave()
        world.run(100)
        worst.append(np.abs(world.since(60)).max())
        rms.append(world.rms(70))
        assert [s for _, s in world.states] == ["unlocked", "locking", "locked"]
    assert np.sqrt(np.mean(np.square(rms))) < rms_ns, rms
    assert np.median(worst) < 20_000
    assert max(worst) < worst_ns, worst


def test_a_crystal_whose_temperature_changes_is_followed_and_3_sigma_says_so() -> None:
    """2 ppm to and fro in ten minutes."""
    rms = []
    for seed in MANY:
        world = World(seed)
        Master(world, law=Oscillator(ppm=30, sine=(2e5, 600.0), start_ns=EPOCH)).start()
        clock = world.slave()
        world.run(200)
        rms.append(world.rms(60))
        assert abs(world.error()) < clock.mapping.uncertainty_ns < 5_000
    assert np.sqrt(np.mean(np.square(rms))) < 250, rms
    assert max(rms) < 350, rms


def test_a_step_of_300_us_is_estimated_in_2_s_and_slewed_without_a_new_epoch() -> None:
    for seed in SEEDS:
        world = World(seed)
        master = Master(world, law=Oscillator(ppm=30, start_ns=EPOCH), log_delay=-3).start()
        clock = world.slave()
        world.run(30)
        epoch = clock.media.epoch
        master.step_ns = 300_000
        world.run(32)
        assert clock.followed is not None
        raw_ns = world.local.at(world.now)
        assert abs(clock.followed.estimator.line.at(raw_ns) - master.time(world.now)) < 2_000
        world.run(50)
        assert abs(world.error()) < 1_000
        assert clock.media.epoch == epoch
        assert [s for _, s in world.states].count("locked") == 1
        slew = np.diff(world.since(31)) / 0.02
        assert np.abs(slew).max() < 51_000 + 5_000


def test_sixty_seconds_without_a_master_stay_within_5_us() -> None:
    for seed in SEEDS:
        world = World(seed)
        law = Oscillator(ppm=30, walk=3.0, seed=seed, start_ns=EPOCH)
        master = Master(world, law=law).start()
        clock = world.slave()
        world.run(80)
        master.alive = False
        world.run(140)
        assert np.abs(world.since(80)).max() <= 5_000
        assert clock.lock.state.name == "HOLDOVER"
        assert clock.lock.reason.startswith("no Announce from 00-1D-C1-FF-FE-00-00-01")
        assert "unlocked" not in [s for t, s in world.states if t > 10 * NS]


def test_ten_minutes_with_every_fifth_message_lost_and_spikes_never_unlock() -> None:
    world = World(7)
    law = Oscillator(ppm=30, walk=10.0, seed=7, start_ns=EPOCH)
    Master(world, law=law, down=spiky, up=spiky, loss=0.2).start()
    clock = world.slave()
    world.run(600)
    after = [s for t, s in world.states if t > 10 * NS]
    assert "unlocked" not in after
    assert clock.media.session_epoch == 0
    assert world.rms(60) < 800


def test_asymmetry_is_a_bias_nobody_can_see() -> None:
    """Half the difference of the two directions, as for every end-to-end slave."""
    world = World(1)
    law = Oscillator(ppm=30, start_ns=EPOCH)
    Master(world, law=law, down=fixed(21_000.0), up=fixed(1_000.0)).start()
    world.slave()
    world.run(60)
    assert np.mean(world.since(30)) == pytest.approx(-10_000, abs=200)


def test_a_transparent_clock_s_correction_is_taken_out() -> None:
    world = World(1)
    law = Oscillator(ppm=30, start_ns=EPOCH)
    Master(world, law=law, residence_ns=250_000.0).start()
    world.slave()
    world.run(60)
    assert np.abs(world.since(30)).max() < 500


def test_the_same_seed_gives_the_same_nanoseconds() -> None:
    runs = [settled(5, spiky, 10.0, until=20).errors for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("log_sync", "log_announce"),
    [(0, -2), (0, 0), (-3, -2), (-3, 1)],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_lock_comes_with_the_master_or_two_seconds_after_its_first_sync(
    seed: int, log_sync: int, log_announce: int
) -> None:
    """0.5 s after the second Announce or 2 s after the first Sync, whichever is later."""
    world = World(seed)
    law = Oscillator(ppm=30, walk=CALM, seed=seed, start_ns=EPOCH, horizon_s=20)
    master = Master(
        world, law=law, down=quiet, up=quiet, log_sync=log_sync, log_announce=log_announce
    ).start()
    clock = world.slave()
    first_sync = qualified = 0.0
    while world.first("locked") == float("inf"):
        assert world.now < 8 * NS
        world.run(world.now / NS + 0.01)
        assert clock.port is not None
        known = clock.port.table.find(master.identity)
        if known is not None:
            first_sync = first_sync or (known.syncs.count and world.now / NS)
            qualified = qualified or (known.announces.count >= 2 and world.now / NS)
    assert world.first("locked") <= max(first_sync + 2, qualified + 0.5) + 0.02


def one_microsecond(rng: np.random.Generator) -> float:
    """Stamps that scatter by 1 us: the kernel's on a link without a queue."""
    return 1_000.0 + rng.gamma(4, 500)


@pytest.mark.parametrize(
    ("noise", "log_sync", "limits_s"),
    [
        pytest.param(one_microsecond, 0, (2.6, 2.6), id="1-us-1-sync"),
        # the best that can be known of five measurements that scatter by 3.5 us is 3 sigma = 9 us
        pytest.param(software, 0, (5.0, 12.0), id="software-1-sync"),
        pytest.param(software, -3, (2.6, 2.6), id="software-8-sync"),
    ],
)
def test_it_locks_as_soon_as_the_noise_lets_anybody_know_the_time(
    noise: Delay, log_sync: int, limits_s: tuple[float, float]
) -> None:
    """Median and latest lock of six runs, and the estimate is then as good as it says."""
    locks, honest, looks, seeds = [], 0, 10, range(1, 7)
    for seed in seeds:
        world = World(seed)
        law = Oscillator(ppm=30, walk=3.0, seed=seed, start_ns=EPOCH, horizon_s=40)
        Master(
            world, law=law, down=noise, up=noise, log_sync=log_sync, log_delay=log_sync,
            log_announce=0,
        ).start()  # fmt: skip
        world.slave()
        locks.append(world.until_locked(15))
        honest += world.honest(looks)
    median_s, latest_s = limits_s
    assert np.median(locks) <= median_s, locks
    assert max(locks) <= latest_s, locks
    assert honest >= 0.9 * looks * len(seeds)
