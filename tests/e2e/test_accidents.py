"""What applications hear when processes die or stand still while audio runs: never a hang."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from aes67.selftest import child
from aes67.selftest.audio import Outcome, run_case, set_up
from aes67.selftest.carry import Carried, Clients, carry, command
from aes67.selftest.node import Node
from aes67.selftest.plan import case, sink, source
from e2e.machine import undisturbed

pytestmark = [pytest.mark.root, pytest.mark.peer("aplay", "arecord")]

STEREO = case("S24_3LE", 48000, 2, "L24", "1ms")
CLIENTS = Clients(period_frames=480, buffer_frames=1920)
PATIENT = Clients("aes67:GRACE=60000", 480, 1920)
"""Goes on for a minute without an engine, however long its start takes on a busy machine."""
ENGINE, CONTROL = "aes67.engine.main", "aes67_api.main"


def child_of(node: Node, module: str) -> int:
    """Process id of the daemon's child that runs `module`."""
    assert node.process is not None
    parent = node.process.pid
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if module in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0"):
            return int(pid)
    raise AssertionError(f"no child runs {module}")


def carry_while(
    node: Node,
    accident: Callable[[], None],
    seconds: float,
    clients: Clients = CLIENTS,
    after_s: float | None = None,
) -> Carried:
    """Carry the signal; the accident happens in the middle of it, or `after_s`."""
    timer = threading.Timer(seconds / 2 if after_s is None else after_s, accident)
    timer.start()
    try:
        return carry(STEREO, seconds, clients, node.environment)
    finally:
        timer.cancel()
        timer.join()


def test_kill_9_of_control_changes_no_sample(node: Node) -> None:
    set_up(node, STEREO, STEREO.relaxed_delay())
    for _ in range(3):
        before = node.status()["engine"]["counters"]["skipped_ticks"]
        victim = child_of(node, CONTROL)
        carried = carry_while(node, lambda pid=victim: os.kill(pid, signal.SIGKILL), 2.0)
        node.wait("control again", lambda: node.status()["engine"]["connected"])
        if carried.ok or node.status()["engine"]["counters"]["skipped_ticks"] - before < 20:
            break
    assert carried.ok, (carried.verdict, carried.complaints)
    assert child_of(node, CONTROL) != victim
    rows = node.status()
    assert [row["id"] for row in rows["sources"]] == [row["id"] for row in rows["sinks"]] == [0]


def test_applications_run_through_an_engine_that_dies_and_comes_back(node: Node) -> None:
    """Silence for as long as it takes, then the signal goes on where it would have been."""
    set_up(node, STEREO, STEREO.relaxed_delay())
    for seconds in (12, 45):  # the second for a machine on which the engine's start takes so long
        victim = child_of(node, ENGINE)
        kill = partial(os.kill, victim, signal.SIGKILL)
        carried = carry_while(node, kill, seconds, PATIENT, after_s=2.0)
        assert carried.complaints == ()
        verdict = carried.verdict
        assert verdict.frames == seconds * 48000, "the recording went on to the end"
        most = (seconds - 4) * 48000
        if verdict.differing_frames < most:
            break
        node.wait("the engine again", lambda: node.status()["engine"]["connected"])
        node.wait_receiving(1)
    assert verdict.difference is not None
    assert 0 < verdict.differing_frames < most, verdict
    assert verdict.difference.got == 0, "what is missing is silence"
    assert child_of(node, ENGINE) != victim


def test_an_engine_that_stays_away_ends_applications_with_an_error(node: Node) -> None:
    """Without grace, aplay and arecord are told within a moment that the device has gone.

    And nobody is told that it sends.
    """
    set_up(node, STEREO, STEREO.relaxed_delay())
    impatient = Clients("aes67:GRACE=0", 480, 1920)
    recorder = subprocess.Popen(
        command("arecord", STEREO, impatient),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=node.environment, text=True,
    )  # fmt: skip
    player = subprocess.Popen(
        [*command("aplay", STEREO, impatient), "/dev/zero"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=node.environment, text=True,
    )  # fmt: skip
    try:
        node.wait("both applications", lambda: len(node.status()["pcms"]) == 2)
        seen = [node.status()]
        assert all(source["sending"] for source in seen[0]["sources"])
        os.kill(child_of(node, ENGINE), signal.SIGKILL)
        begun = time.monotonic()

        def gone() -> bool:
            seen.append(node.status())
            return not seen[-1]["engine"]["connected"]

        node.wait("its absence to be seen", gone)
        assert not any(source["sending"] for source in seen[-1]["sources"])
        for program in (recorder, player):
            _, said = program.communicate(timeout=20)
            assert program.returncode != 0
            assert "No such device" in said
        assert time.monotonic() - begun < 10
    finally:
        for program in (recorder, player):
            child.kill(program)
    node.wait("the engine again", lambda: node.status()["engine"]["connected"])
    node.wait_locked()


def test_an_engine_that_stands_still_for_a_moment_costs_that_moment(node: Node) -> None:
    set_up(node, STEREO, STEREO.relaxed_delay())
    victim = child_of(node, ENGINE)

    def pause() -> None:
        os.kill(victim, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(victim, signal.SIGCONT)

    carried = carry_while(node, pause, 4.0)
    verdict = carried.verdict
    assert verdict.frames >= 3 * 48000, verdict
    assert not verdict.ok
    assert child_of(node, ENGINE) == victim
    outcome = undisturbed(
        lambda: run_case(node, STEREO, 1.0, CLIENTS, STEREO.relaxed_delay(), False)
    )
    assert outcome.ok, outcome.problems()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_an_application_that_dies_or_stands_still_disturbs_no_other(
    node: Node, number: signal.Signals
) -> None:
    quad = case("S24_3LE", 48000, 4, "L24", "1ms")
    node.client.put("/api/v1/sources/0", source(quad, 0))
    sdp = node.client.get("/api/source/sdp/0")
    node.client.put("/api/v1/sinks/0", sink(quad, 0, sdp, quad.relaxed_delay()))
    node.wait_receiving(1)
    near, far = Clients("aes67:2", 480, 1920), Clients("aes67:2,2", 480, 1920)

    def attempt() -> Outcome:
        victim = subprocess.Popen(
            [*command("aplay", STEREO, far), "/dev/urandom"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=node.environment,
        )  # fmt: skip
        try:
            node.wait("the other application", lambda: len(node.status()["pcms"]) == 1)
            before = node.status()["engine"]["counters"]["skipped_ticks"]
            carried = carry_while(node, lambda: os.kill(victim.pid, number), 2.0, near)
        finally:
            child.kill(victim)
        node.wait("nobody", lambda: not node.status()["pcms"])
        status = node.status()
        skipped = status["engine"]["counters"]["skipped_ticks"] - before
        return Outcome(quad, 2.0, 0, 0.0, status["clock"], carried, {}, (), skipped)

    outcome = undisturbed(attempt)
    assert outcome.ok, outcome.problems()


def test_two_players_on_one_channel_are_added_and_a_recorder_hears_both(node: Node) -> None:
    """Silence added to the signal is the signal: bit for bit, with two PCMs in the sum."""
    set_up(node, STEREO, STEREO.relaxed_delay())

    def attempt() -> Outcome:
        other = subprocess.Popen(
            [*command("aplay", STEREO, CLIENTS), "/dev/zero"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=node.environment,
        )  # fmt: skip
        try:
            node.wait("the other player", lambda: len(node.status()["pcms"]) == 1)
            return run_case(node, STEREO, 1.0, CLIENTS, STEREO.relaxed_delay(), False)
        finally:
            child.kill(other)

    outcome = undisturbed(attempt)
    assert outcome.ok, outcome.problems()
    assert node.status()["engine"]["counters"]["saturated"] == 0


def test_sigterm_of_the_daemon_ends_it_with_0_while_audio_runs(node: Node) -> None:
    set_up(node, STEREO, STEREO.relaxed_delay())
    player = subprocess.Popen(
        [*command("aplay", STEREO, Clients("aes67:GRACE=500", 480, 1920)), "/dev/zero"],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=node.environment,
    )  # fmt: skip
    try:
        node.wait("the player", lambda: len(node.status()["pcms"]) == 1)
        assert node.stop() == 0
        assert player.wait(10) != 0
    finally:
        child.kill(player)
        node.start()
    node.wait_locked()
    node.wait_receiving(1)
    assert node.status()["sources"][0]["name"] == "selftest 0", "the status file brought it back"
