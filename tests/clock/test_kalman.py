"""The filter's kernels: equal to a naive twin, the same bits with and without the compiler."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from aes67.clock import bank
from aes67.clock import filter_state as fs
from aes67.clock import kalman as k
from aes67.clock.estimator import Estimator
from aes67.clock.measurement import DELAY, DIRECT, SYNC, Measurement
from reference.kalman import Twin

BASE = 1_700_000_000_000_000_000
NS = 1_000_000_000


def stream(
    seed: int, count: int, noise_ns: float = 2_000.0, ppm: float = 30.0, delay_ns: int = 5_000
) -> list[Measurement]:
    """Syncs and Delay_Resps of a master with a constant rate, some of them late by a spike."""
    rng = np.random.default_rng(seed)
    raw, made = 77 * NS, []
    for _ in range(count):
        raw += int(rng.uniform(5e6, 2.5e8))
        direction = DELAY if rng.random() < 0.3 else SYNC
        noise = rng.gamma(2, noise_ns) + (1e5 if rng.random() < 0.02 else 0)
        # a Delay_Resp is used after the Sync that followed its request
        at = raw - int(rng.uniform(0, 3e6)) if direction == DELAY else raw
        master = BASE + at + round(at * ppm * 1e-6) + direction * round(delay_ns + noise)
        made.append(Measurement(direction, at, master))
    return made


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("walk", [1.0, 10.0, 100.0])
def test_the_filter_is_its_naive_twin(seed: int, walk: float) -> None:
    ints = np.zeros(fs.INTS, np.int64)
    floats = np.zeros(fs.FLOATS, np.float64)
    floats[fs.WALK] = walk
    twin = Twin(walk)
    for m in stream(seed, 300):
        assert k.update(ints, floats, m.direction, m.raw_ns, m.master_ns, 0.0) == k.USED
        twin.add(m.direction, m.raw_ns, m.master_ns)
        ours = (int(ints[fs.TIME]) - int(ints[fs.RAW]) - twin.base) + float(floats[fs.OFFSET])
        assert ours == pytest.approx(twin.x[0], abs=0.05)
        assert floats[fs.FREQUENCY] == pytest.approx(twin.x[1], abs=0.01)
        assert floats[fs.PATH_DELAY] == pytest.approx(twin.x[2], abs=0.05)
        assert floats[fs.P00] == pytest.approx(twin.p[0, 0], rel=1e-3, abs=1.0)
        assert floats[fs.SIGMA_SYNC] == pytest.approx(twin.sigma[-1], rel=1e-6)


PROGRAM = """
import hashlib
from test_kalman_stream import stream
from aes67.clock.estimator import Estimator
e = Estimator()
for m in stream(9, 120):
    e.add(m)
print(hashlib.sha256(e._ints.tobytes() + e._floats.tobytes() + e._mixed.tobytes()).hexdigest())
"""


def digest(tmp_path: object, **environment: str) -> str:
    """State of an estimator after 120 measurements, in a process of its own."""
    program = PROGRAM.replace("from test_kalman_stream import stream", _stream_source())
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def _stream_source() -> str:
    import inspect

    head = "import numpy as np\nfrom aes67.clock.measurement import DELAY, SYNC, Measurement\n"
    return f"{head}BASE = {BASE}\nNS = {NS}\n{inspect.getsource(stream)}"


def test_the_same_bits_come_out_with_and_without_the_compiler(tmp_path: object) -> None:
    estimator = Estimator()
    for m in stream(9, 120):
        estimator.add(m)
    compiled = digest(tmp_path)
    assert compiled == digest(tmp_path)
    assert compiled == digest(tmp_path, NUMBA_DISABLE_JIT="1")


def fed(measurements: list[Measurement]) -> Estimator:
    estimator = Estimator()
    for each in measurements:
        estimator.add(each)
    return estimator


def test_one_sync_and_one_delay_response_give_the_offset() -> None:
    estimator = fed([Measurement(SYNC, 100, BASE + 100 - 3_000)])
    assert not estimator.usable
    estimator.add(Measurement(DELAY, 5_000_100, BASE + 5_000_100 + 3_000))
    assert estimator.usable
    assert abs(estimator.line.at(5_000_100) - BASE - 5_000_100) < 100
    assert estimator.path_delay_ns == pytest.approx(3_000, abs=100)


@pytest.mark.parametrize("first", [SYNC, DELAY])
def test_syncs_alone_never_claim_to_know_the_offset(first: int) -> None:
    estimator = fed([m for m in stream(1, 100) if m.direction == first])
    assert not estimator.usable
    assert estimator.three_sigma_ns(80 * NS) == 2**63 - 1


def test_a_step_of_the_master_is_made_out_and_the_rate_kept() -> None:
    before = stream(3, 400, noise_ns=300.0)
    estimator = fed(before)
    rate = estimator.rate_ppm
    start = before[-1].raw_ns
    stepped = [
        Measurement(m.direction, m.raw_ns, m.master_ns + 300_000)
        for m in stream(3, 460, noise_ns=300.0)[400:]
    ]
    results = [estimator.add(m) for m in stepped]
    assert results.index(True) < 12
    assert results.count(True) == 1
    assert estimator.steps == 1
    assert estimator.last_step_ns == pytest.approx(300_000, rel=0.02)
    assert estimator.rate_ppm == pytest.approx(rate, abs=0.05)
    end = stepped[-1].raw_ns
    truth = BASE + end + round(end * 30e-6) + 300_000
    assert abs(estimator.line.at(end) - truth) < 2_000
    assert start < end


def test_a_longer_path_is_told_from_a_step_of_the_master() -> None:
    estimator = fed(stream(3, 400, noise_ns=300.0))
    longer = stream(3, 500, noise_ns=300.0, delay_ns=305_000)[400:]
    for m in longer:
        estimator.add(m)
    end = longer[-1].raw_ns
    assert abs(estimator.line.at(end) - (BASE + end + round(end * 30e-6))) < 5_000
    assert estimator.path_delay_ns == pytest.approx(305_600, abs=2_000)


def test_a_spike_is_weighed_down_not_believed() -> None:
    measurements = stream(5, 300, noise_ns=300.0)
    estimator = fed(measurements)
    before = estimator.line
    last = measurements[-1].raw_ns
    spike = last + 125_000_000
    estimator.add(Measurement(SYNC, spike, BASE + spike + round(spike * 30e-6) - 5_000_000))
    assert abs(estimator.line.at(spike) - before.at(spike)) < 1_000
    assert estimator.inflated > 0


def test_measurements_of_the_distant_past_are_ignored() -> None:
    estimator = fed(stream(6, 50))
    line = estimator.line
    estimator.add(Measurement(SYNC, line.raw_ns - 3 * NS, BASE))
    assert estimator.line == line


def test_prediction_grows_more_uncertain() -> None:
    estimator = fed(stream(7, 400, noise_ns=300.0))
    now = estimator.line.raw_ns
    sigmas = [estimator.three_sigma_ns(now + s * NS) for s in (0, 1, 10, 60, 600)]
    assert sigmas == sorted(sigmas)
    assert sigmas[3] < 20_000 < sigmas[4]


@pytest.mark.parametrize("nonsense", [0, 2**61, 2**62 - 1])
def test_absurd_times_leave_finite_numbers(nonsense: int) -> None:
    estimator = fed(stream(8, 60))
    now = estimator.line.raw_ns
    for i in range(60):
        estimator.add(Measurement(SYNC if i % 2 else DELAY, now + i * NS // 8, nonsense))
    assert np.isfinite(estimator.rate_ppm)
    assert isinstance(estimator.three_sigma_ns(now + 10 * NS), int)


def test_the_bank_finds_out_how_restless_the_oscillator_is() -> None:
    rng = np.random.default_rng(4)
    found = {}
    for walk in (0.5, 300.0, 50_000.0):
        estimator = Estimator()
        rate, phase = 0.0, 0.0
        for i in range(4_000):
            rate += rng.normal(0, np.sqrt(walk * 0.125))
            phase += rate * 0.125
            raw = (i + 1) * NS // 8
            direction = DELAY if i % 8 == 3 else SYNC
            noise = rng.normal(0, 40)
            master = BASE + raw + round(phase + direction * (1_000 + noise))
            estimator.add(Measurement(direction, raw, master))
        found[walk] = estimator.restlessness
    assert found == {0.5: 0, 300.0: 2, 50_000.0: bank.FILTERS - 1}


@pytest.mark.parametrize("seed", range(3))
def test_with_the_path_known_a_sync_alone_gives_the_offset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    estimator = Estimator()
    raw, truth = 77 * NS, BASE
    for _ in range(400):
        raw += int(rng.uniform(1.2e8, 1.3e8))
        truth = BASE + raw + round(raw * 21e-6)
        estimator.add(Measurement(DIRECT, raw, truth + round(rng.normal(0, 500))))
    assert estimator.usable
    assert estimator.delays == 0
    assert abs(estimator.line.at(raw) - truth) < 400
    assert estimator.rate_ppm == pytest.approx(21, abs=0.05)
    assert 0 < estimator.three_sigma_ns(raw) < 1_500
    before = estimator.three_sigma_ns(raw)
    estimator.path_ns = (700.0, 400.0)
    assert estimator.path_delay_ns == 700.0
    assert estimator.three_sigma_ns(raw) == pytest.approx((before**2 + 1_200**2) ** 0.5, abs=2)


def test_a_step_with_the_path_known_is_the_clock_s_own() -> None:
    estimator = Estimator()
    for i in range(200):
        jump = 300_000 if i >= 150 else 0
        estimator.add(Measurement(DIRECT, i * NS // 8, BASE + i * NS // 8 + jump))
    assert estimator.steps == 1
    assert estimator.last_step_ns == pytest.approx(300_000, abs=100)
    assert not estimator.suspects_step
    assert abs(estimator.line.at(25 * NS) - BASE - 25 * NS - 300_000) < 100
