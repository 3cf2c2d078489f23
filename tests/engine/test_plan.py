"""Plans from JSON: a plan, or a refusal that names the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.engine.plan import MembershipSpec, Plan, SocketSpec
from aes67.errors import Refused
from sim.plans import FREE_CLOCK, plan_message

EXAMPLE = """
{"type": "plan", "serial": 7, "rate": 48000, "tick_frames": 12,
 "device_channels": 512, "rate_follows_app": false, "playback_delay_frames": 0,
 "sockets": [{"interface": "eth0", "port": 5004}],
 "memberships": [{"interface": "eth0", "group": "239.1.0.1", "source": null}],
 "clock": {"mode": "ptp-slave", "interface": "eth0", "domain": 0, "dscp": 46, "priority1": 250,
           "priority2": 128, "sync_interval": -3, "announce_interval": 1}}
"""


def test_the_documented_plan_is_read() -> None:
    plan = Plan.from_json(json.loads(EXAMPLE))
    assert (plan.serial, plan.rate, plan.tick_frames, plan.device_channels) == (7, 48_000, 12, 512)
    assert plan.sockets == (SocketSpec("eth0", 5004),)
    assert plan.memberships == (MembershipSpec("eth0", "239.1.0.1", None),)
    assert plan.clock.mode == "ptp-slave"
    assert (plan.clock.sync_interval, plan.clock.announce_interval) == (-3, 1)


@pytest.mark.parametrize("mode", ["ptp", "gptp", "system", "phc:/dev/ptp0", "phc:/dev/ptp_kvm"])
def test_every_mode_is_read_and_intervals_may_be_the_profile_s(mode: str) -> None:
    clock = FREE_CLOCK | {"mode": mode, "sync_interval": None, "announce_interval": None}
    clock |= {"ports": [PORT, {"interface": "eth1", "profile": "aes67"}]}
    spec = Plan.from_json(plan_message(clock=clock)).clock
    assert (spec.mode, spec.sync_interval, spec.announce_interval) == (mode, None, None)
    assert spec.ports == (("lo", "gptp"), ("eth1", "aes67"))


def test_unknown_fields_are_ignored() -> None:
    assert Plan.from_json(plan_message(colour="blue")) == Plan.from_json(plan_message())


LO = {"interface": "lo", "port": 5004}
PORT = {"interface": "lo", "profile": "gptp"}
GROUP = {"interface": "lo", "group": "239.1.1.1", "source": None}


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("serial", {"serial": 0}),
        ("serial", {"serial": True}),
        ("rate", {"rate": 48_001}),
        ("rate", {"rate": "48000"}),
        ("tick_frames", {"tick_frames": 5}),
        ("tick_frames", {"tick_frames": 193}),
        ("device_channels", {"device_channels": 0}),
        ("device_channels", {"device_channels": 1025}),
        ("rate_follows_app", {"rate_follows_app": 0}),
        ("playback_delay_frames", {"playback_delay_frames": -1}),
        ("cpu_latency_us", {"cpu_latency_us": -1}),
        ("cpu_latency_us", {"cpu_latency_us": 10_001}),
        ("cpu_latency_us", {"cpu_latency_us": False}),
        ("cpu_latency_us", {"cpu_latency_us": "0"}),
        ("sockets", {"sockets": None}),
        ("sockets", {"sockets": [LO] * 17}),
        ("sockets", {"sockets": [LO, LO]}),
        ("sockets[0]", {"sockets": ["lo"]}),
        ("sockets[1].port", {"sockets": [LO, {"interface": "lo", "port": 0}]}),
        ("sockets[0].interface", {"sockets": [{"interface": "a" * 16, "port": 1}]}),
        ("sockets[0].interface", {"sockets": [{"interface": "", "port": 1}]}),
        ("sockets[0].interface", {"sockets": [{"interface": "a/b", "port": 1}]}),
        ("memberships[0].group", {"memberships": [GROUP | {"group": "10.0.0.1"}]}),
        ("memberships[0].group", {"memberships": [GROUP | {"group": "239.1.1"}]}),
        ("memberships[0].source", {"memberships": [GROUP | {"source": "nobody"}]}),
        ("clock", {"clock": None}),
        ("clock.mode", {"clock": FREE_CLOCK | {"mode": "master"}}),
        ("clock.domain", {"clock": FREE_CLOCK | {"domain": 256}}),
        ("clock.dscp", {"clock": FREE_CLOCK | {"dscp": -1}}),
        ("clock.sync_interval", {"clock": FREE_CLOCK | {"sync_interval": 5}}),
        ("clock.mode", {"clock": FREE_CLOCK | {"mode": "phc:"}}),
        ("clock.mode", {"clock": FREE_CLOCK | {"mode": "phc:/etc/shadow"}}),
        ("clock.mode", {"clock": FREE_CLOCK | {"mode": "phc"}}),
        ("clock.ports", {"clock": FREE_CLOCK | {"ports": None}}),
        ("clock.ports", {"clock": FREE_CLOCK | {"ports": [PORT] * 3}}),
        ("clock.ports", {"clock": FREE_CLOCK | {"ports": [PORT] * 2}}),
        ("clock.ports[0].profile", {"clock": FREE_CLOCK | {"ports": [PORT | {"profile": "x"}]}}),
        ("clock.ports[0].interface", {"clock": FREE_CLOCK | {"ports": [{"profile": "gptp"}]}}),
    ],
)
def test_a_fault_is_named(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refusal:
        Plan.from_json(plan_message(**changes))
    assert refusal.value.field == field


def test_a_group_named_twice_is_joined_once() -> None:
    assert len(Plan.from_json(plan_message(memberships=[GROUP, GROUP])).memberships) == 1


wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["lo", "239.1.1.1", 48000, 5004, 12]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["interface", "port", "group", "source", "mode", "domain"]), inner
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(list(plan_message())), wild), st.booleans())
def test_any_json_is_a_plan_or_refused(changes: dict[str, Any], whole: bool) -> None:
    try:
        plan = Plan.from_json(plan_message(**changes) if whole else changes)
    except Refused:
        return
    assert isinstance(plan, Plan)
    assert hash(plan) == hash(plan)


@pytest.mark.parametrize("value", [None, [], 3, "plan"])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        Plan.from_json(value)
