"""The node: a change goes whole or not at all, and everybody hears of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from aes67.config.model import Config
from aes67.config.tree import TreeError, parse
from aes67.errors import Refused
from aes67.session.contract import read_status_object
from aes67.session.describe import Clock
from aes67.session.events import (
    ClockChanged,
    ConfigChanged,
    Event,
    SinkRemoved,
    SourceChanged,
    SourceRemoved,
)
from aes67.session.network import Interface, Network
from aes67.session.node import Node
from aes67.shm.layout import MAX_SOURCES, SOURCE_ROW
from sim.session_samples import NETWORK, sdp_of, sink, source

START_S = 1_700_000_000
FULL = OSError(28, "No space left on device")


class Engine:
    """Takes plans, or fails the way an engine can."""

    def __init__(self) -> None:
        self.connected = True
        self.applied: list[tuple[Mapping[str, Any], bytes]] = []
        self.failure: Exception | None = None

    async def apply(self, plan: Mapping[str, Any], tables: bytes) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.applied.append((plan, tables))


class Store:
    """Keeps texts, or a disk that is full."""

    def __init__(self) -> None:
        self.config = ""
        self.status: dict[str, str] = {}
        self.failure: OSError | None = None

    async def save_config(self, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.config = text

    async def save_status(self, path: str, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.status[path] = text


class Bench:
    """A node with everything around it in reach."""

    def __init__(self, config: Config | None = None) -> None:
        self.engine, self.store = Engine(), Store()
        self.node = Node(
            config or Config(), NETWORK, self.engine, self.store, asyncio.Lock(), START_S
        )
        self.events: list[Event] = []
        self.node.subscribe(self.events.append)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def version_of(description: str) -> int:
    return int(description.splitlines()[1].split()[2])


async def test_a_source_is_planned_applied_saved_and_told(bench: Bench) -> None:
    await bench.node.put_source(source(3))
    assert list(bench.node.sources) == [3]
    assert bench.engine.applied[-1][0]["sockets"] == [{"interface": "eth0", "port": 5004}]
    saved = read_status_object(parse(bench.store.status["./status.json"]), Config())
    assert saved == ([source(3)], [], [])
    assert bench.events == [SourceChanged(3)]


@pytest.mark.parametrize(
    "failure", [Refused("sockets", "eth0:5004", "permission denied"), TimeoutError()]
)
async def test_a_refused_update_leaves_the_old_stream(bench: Bench, failure: Exception) -> None:
    await bench.node.put_source(source(0, dscp=34))
    await bench.node.put_sink(sink(0))
    sources, sinks, plan = bench.node.sources, bench.node.sinks, bench.node.plan
    described, saved = bench.node.description(0), dict(bench.store.status)
    bench.engine.failure = failure
    with pytest.raises(Refused):
        await bench.node.put_source(source(0, dscp=46))
    with pytest.raises(Refused):
        await bench.node.put_sink(sink(0, delay=960))
    with pytest.raises(Refused):
        await bench.node.delete_sink(0)
    assert (bench.node.sources, bench.node.sinks, bench.node.plan) == (sources, sinks, plan)
    assert bench.node.description(0) == described
    assert bench.store.status == saved
    assert len(bench.events) == 2


async def test_a_plan_that_did_not_change_is_not_sent(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    count = len(bench.engine.applied)
    await bench.node.put_source(source(0, name="Another", io="text"))
    assert len(bench.engine.applied) == count
    assert bench.node.sources[0].name == "Another"


async def test_without_an_engine_changes_are_kept_for_the_next_one(bench: Bench) -> None:
    bench.engine.connected = False
    await bench.node.put_source(source(0))
    assert bench.engine.applied == []
    bench.engine.connected = True
    await bench.node.engine_connected()
    assert len(bench.engine.applied) == 1
    bench.engine.failure = ConnectionError("gone")
    await bench.node.put_source(source(1))
    assert list(bench.node.sources) == [0, 1]


async def test_an_engine_that_refuses_the_state_is_tried_again(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    bench.engine.failure = Refused("clock", "eth0", "address in use")
    await bench.node.engine_connected()
    assert bench.node.in_force.refusal is bench.engine.failure
    assert list(bench.node.sources) == [0]
    bench.engine.failure = None
    await bench.node.engine_connected()
    assert bench.node.in_force.refusal is None
    assert len(bench.engine.applied) == 2


async def test_names_are_unique_on_creation_and_on_update(bench: Bench) -> None:
    await bench.node.put_source(source(0, name="A"))
    await bench.node.put_source(source(1, name="B"))
    await bench.node.put_sink(sink(0, name="A"))
    for wrong in (source(2, name="A"), source(1, name="A")):
        with pytest.raises(Refused, match="stream name is in use"):
            await bench.node.put_source(wrong)
    with pytest.raises(Refused, match="stream name is in use"):
        await bench.node.put_sink(sink(1, name="A"))
    await bench.node.put_source(source(0, name="A", enabled=False))
    await bench.node.put_source(source(1, name="A"))
    long = "x" * 70
    await bench.node.put_source(source(5, name=long))
    await bench.node.delete_source(5)
    await bench.node.put_source(source(6, name=long))


async def test_removing_tells_the_last_description(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    await bench.node.put_sink(sink(0))
    described = bench.node.description(0)
    await bench.node.delete_source(0)
    await bench.node.delete_sink(0)
    assert bench.events[-2:] == [SourceRemoved(0, described), SinkRemoved(0)]
    for missing in (bench.node.delete_source(0), bench.node.delete_sink(0)):
        with pytest.raises(Refused, match="stream not in use"):
            await missing
    with pytest.raises(Refused, match="stream not in use"):
        bench.node.description(0)


async def test_session_versions_grow_with_each_change_and_grandmaster(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    await bench.node.put_source(source(1))
    first, second = (bench.node.description(n) for n in (0, 1))
    assert version_of(first) == (655617 + START_S + 1) % 2**32
    assert version_of(second) == (655618 + START_S + 2) % 2**32
    await bench.node.put_source(source(0, dscp=46))
    assert version_of(bench.node.description(0)) == (655617 + START_S + 3) % 2**32
    assert bench.node.description(1) == second
    await bench.node.change_clock(Clock("locked", "AA-BB-CC-DD-EE-FF-00-11"))
    assert version_of(bench.node.description(1)) > version_of(second)
    assert "AA-BB-CC-DD-EE-FF-00-11:0" in bench.node.description(1)
    assert bench.events[-3:] == [
        ClockChanged("locked", "AA-BB-CC-DD-EE-FF-00-11"), SourceChanged(0), SourceChanged(1),
    ]  # fmt: skip
    count = len(bench.events)
    await bench.node.change_clock(Clock("locked", "AA-BB-CC-DD-EE-FF-00-11"))
    assert len(bench.events) == count


async def test_the_reference_clock_is_checked_on_request_but_not_at_start(bench: Bench) -> None:
    foreign = sink(0, sdp_of(clock="a=ts-refclk:ptp=IEEE1588-2008:01-02-03-04-05-06-07-08:0\n"))
    with pytest.raises(Refused, match="grandmaster"):
        await bench.node.put_sink(foreign)
    assert await bench.node.restore([], [foreign]) == []
    assert list(bench.node.sinks) == [0]


async def test_restore_leaves_out_what_a_request_would_be_refused(bench: Bench) -> None:
    problems = await bench.node.restore(
        [source(0, name="A"), source(1, name="A"), source(2, map=(600,)), source(3)],
        [sink(0), sink(1, "nonsense"), sink(2, name="Sink 0")],
    )
    assert list(bench.node.sources) == [0, 3]
    assert list(bench.node.sinks) == [0]
    assert len(problems) == 4
    assert len(bench.engine.applied) == 1
    assert bench.store.status == {}, "reading the file does not rewrite it"


async def test_a_configuration_is_merged_saved_and_applied(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    await bench.node.change_config(parse('{"rtp_mcast_base": "239.7.0.1", "ptp_domain": "3"}'))
    assert bench.node.config.ptp_domain == 3
    assert json.loads(bench.store.config)["rtp_mcast_base"] == "239.7.0.1"
    assert bench.engine.applied[-1][0]["clock"]["domain"] == 3
    assert "c=IN IP4 239.7.0.1/15" in bench.node.description(0), "the base moves its sources"
    assert bench.events[-2:] == [
        ConfigChanged(frozenset({"rtp_mcast_base", "ptp_domain"})), SourceChanged(0),
    ]  # fmt: skip


async def test_a_full_disk_changes_nothing(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    bench.store.failure = FULL
    with pytest.raises(OSError, match="No space left"):
        await bench.node.change_config(parse('{"ptp_domain": 3}'))
    assert bench.node.config.ptp_domain == 0
    assert bench.engine.applied[-1][0]["clock"]["domain"] == 0
    assert bench.store.config == ""
    await bench.node.put_source(source(1))
    assert list(bench.node.sources) == [0, 1], "a stream is worth more than its file"
    assert "No space left" in bench.node.warnings["status_file"]
    bench.store.failure = None
    await bench.node.put_source(source(2))
    assert bench.node.warnings == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"device_channels": 1}', Refused), ('{"interface_name": "eth7"}', Refused),
        ('{"ptp_interfaces": "eth7"}', Refused), ('{"ptp_interfaces": "eth0,eth1,lo"}', Refused),
        ('{"ptp_domain": 200}', Refused), ('{"ptp_domain": "x"}', TreeError),
    ],
)  # fmt: skip
async def test_a_configuration_that_cannot_be_changes_nothing(
    bench: Bench, text: str, error: type[Exception]
) -> None:
    await bench.node.put_source(source(0))
    before = bench.node.state
    with pytest.raises(error):
        await bench.node.change_config(parse(text))
    assert bench.node.state == before
    assert bench.store.config == ""


async def test_the_rate_of_the_configuration_becomes_the_devices(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    await bench.node.put_sink(sink(0))
    await bench.node.change_config(parse('{"sample_rate": 96000}'))
    assert bench.engine.applied[-1][0]["rate"] == 96000
    assert "a=rtpmap:98 L24/96000/2" in bench.node.description(0)
    assert "silent" in bench.node.plan.sink_notes[0][0]
    await bench.node.change_rate(44100)
    assert bench.node.config.sample_rate == 96000, "an application's wish is not configuration"
    assert "a=rtpmap:98 L24/44100/2" in bench.node.description(0)


async def test_another_address_moves_descriptions_and_rows(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    before = bench.node.description(0)
    await bench.node.change_network(Network((Interface("eth0", "", ("10.0.9.9",)),)))
    after = bench.node.description(0)
    assert "10.0.9.9" in after
    assert version_of(after) != version_of(before)
    assert bench.events[-1] == SourceChanged(0)
    await bench.node.change_network(Network((Interface("eth0"),)))
    assert bench.engine.applied[-1][0]["sockets"] == []
    await bench.node.change_network(NETWORK)
    assert bench.engine.applied[-1][0]["sockets"] == [{"interface": "eth0", "port": 5004}]


def senders(bench: Bench) -> list[int]:
    """SSRCs of the engine's plan, by id."""
    tables = bench.node.plan.tables[: MAX_SOURCES * SOURCE_ROW.size]
    table = np.frombuffer(tables, SOURCE_ROW.dtype)
    assert bench.engine.applied[-1] == (bench.node.plan.message, bench.node.plan.tables)
    return [int(row["ssrc"]) for row in table if row["enabled"]]


async def test_a_node_that_is_renamed_stays_the_sender_it_was(bench: Bench) -> None:
    await bench.node.change_config(parse('{"custom_node_id": "A"}'))
    await bench.node.put_source(source(0))
    before, tables = senders(bench), bench.engine.applied[-1][1]
    await bench.node.change_config(parse('{"custom_node_id": "B"}'))
    assert "s=B Source 0" in bench.node.description(0), "who looks for it finds the new name"
    assert bench.engine.applied[-1][1] == tables
    await bench.node.put_source(source(1))
    twin = Bench(Config(custom_node_id="A"))
    await twin.node.restore([source(0), source(1)], [])
    assert senders(bench) == senders(twin), "all sources of a node are of one sender"
    renamed = Bench(Config(custom_node_id="B"))
    await renamed.node.restore([source(0)], [])
    assert senders(renamed) != before, "the next start takes the name of then"


async def test_without_sources_the_name_of_the_senders_is_free(bench: Bench) -> None:
    """Nobody would lose a packet, so two that get one name before their sources are twins."""
    await bench.node.put_source(source(0))
    await bench.node.put_source(source(0, enabled=False))
    await bench.node.change_config(parse('{"custom_node_id": "A"}'))
    await bench.node.put_source(source(0))
    twin = Bench(Config(custom_node_id="A"))
    await twin.node.put_source(source(0))
    assert senders(bench) == senders(twin)


async def test_another_address_is_no_other_sender(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    before = senders(bench)
    for addresses in (("10.0.9.9",), (), ("10.0.9.10",)):
        await bench.node.change_network(Network((Interface("eth0", "", addresses),)))
        assert senders(bench) == (before if addresses else [])
    assert bench.node.computed.node_id == "Daemon 000a0a09"


async def test_a_sender_without_an_address_at_the_start_has_the_name_it_gets() -> None:
    bench, later = Bench(), Bench()
    for each in (bench, later):
        await each.node.change_network(Network((Interface("eth0"),)))
    for each, number in ((bench, 8), (later, 9)):
        await each.node.restore([source(0)], [])
        await each.node.change_network(Network((Interface("eth0", "", (f"10.0.9.{number}",)),)))
    assert senders(bench) != senders(later), "not the name of all that have no address"


async def test_a_control_that_is_started_anew_goes_on_as_the_sender_that_runs(bench: Bench) -> None:
    await bench.node.put_source(source(0))
    before = bench.engine.applied[-1]
    anew = Bench(Config(custom_node_id="renamed meanwhile"))
    anew.engine.connected = False
    await anew.node.restore([source(0)], [])
    anew.engine.connected = True
    anew.node.in_force.goes_on(before[0]["sender_name"])
    await anew.node.put_source(source(0, name="first, before the greeting"))
    await anew.node.engine_connected()
    assert anew.engine.applied == [before] * 2


async def test_volumes_are_kept_in_the_status_file(bench: Bench) -> None:
    await bench.node.change_controls({"playback_db": -20, "playback_on": True})
    saved = json.loads(bench.store.status["./status.json"])
    assert saved["controls"] == {"playback_db": -20, "playback_on": True}


async def test_no_status_file_is_written_where_none_is_configured() -> None:
    bench = Bench(Config(status_file=""))
    await bench.node.put_source(source(0))
    assert bench.store.status == {}


async def test_changes_at_once_come_one_after_the_other(bench: Bench) -> None:
    await asyncio.gather(*(bench.node.put_source(source(n)) for n in range(64)))
    await asyncio.gather(
        *(bench.node.delete_source(n) for n in range(32)),
        *(bench.node.put_sink(sink(n, map=(n,))) for n in range(64)),
        bench.node.change_config(parse('{"ptp_domain": 1}')),
        bench.node.change_clock(Clock("locked", "AA-BB-CC-DD-EE-FF-00-11")),
    )
    assert list(bench.node.sources) == list(range(32, 64))
    assert sorted(bench.node.sinks) == list(range(64))
    last, tables = bench.engine.applied[-1]
    assert (last, tables) == (bench.node.plan.message, bench.node.plan.tables)
