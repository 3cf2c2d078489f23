"""`--cpu-latency` of both tests: into the configuration of their daemon, or refused by name."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

import pytest

from aes67.errors import Refused
from aes67.selftest import audio, latency
from aes67.selftest.audio import Outcome, settings_for, wanted_case
from aes67.selftest.carry import Carried
from aes67.selftest.compare import Verdict

Parser = Callable[[], ArgumentParser]
PARSERS = [audio.parser, latency.parser]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("given", "extra"),
    [([], {}), (["--cpu-latency", "0"], {"cpu_latency_us": 0}),
     (["--cpu-latency=10000"], {"cpu_latency_us": 10_000})],
)  # fmt: skip
def test_the_daemon_gets_it(parser: Parser, given: list[str], extra: dict[str, int]) -> None:
    arguments = parser().parse_args(given)
    settings = settings_for(wanted_case(arguments), False, arguments.cpu_latency)
    assert dict(settings.extra) == extra


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("value", ["-1", "10001"])
def test_another_is_refused(parser: Parser, value: str) -> None:
    with pytest.raises(Refused, match="cpu-latency = .*: 0 to 10000 us"):
        wanted_case(parser().parse_args([f"--cpu-latency={value}"]))


@pytest.mark.parametrize("awake", [False, True])
def test_a_machine_that_held_the_engine_up_is_named_and_the_option_unless_it_was_given(
    awake: bool,
) -> None:
    lost = Carried(Verdict("48 frames differ", 2880, 48, 0, 0, 1), ())
    wanted = wanted_case(audio.parser().parse_args([]))
    outcome = Outcome(wanted, 1.0, 960, 0.1, {}, lost, skipped_ticks=9, late_ns=9, awake=awake)
    *_, last = outcome.problems()
    assert "did 9 ticks together with later ones" in last
    assert ("--cpu-latency 0" in last) is not awake
