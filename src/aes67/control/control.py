"""The composition root of the control process: configuration, node, engine link; no HTTP.

`load` reads the configuration, `start` takes the streams of the status file and looks for the
engine for as long as it takes; everything else happens on calls and on what the engine tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aes67.config.model import Config
from aes67.control import fetch, files, logs
from aes67.control.discovery import Discovery
from aes67.control.pcm_names import PcmNames
from aes67.control.script import StatusScript
from aes67.control.snapshot import contract_clock
from aes67.control.streaming import Streaming
from aes67.control.told import Told
from aes67.control.views import Views
from aes67.errors import Refused
from aes67.net.heartbeat import Heartbeat
from aes67.net.interfaces import Interface as Found
from aes67.net.interfaces import list_interfaces
from aes67.net.link_watch import LinkWatch
from aes67.services.engine_callbacks import Callbacks, Hello
from aes67.services.engine_link import EngineLink
from aes67.services.rtcp import RtcpService
from aes67.session.describe import Clock
from aes67.session.events import ClockChanged, ConfigChanged, Event
from aes67.session.model import Sink
from aes67.session.network import Interface, Network
from aes67.session.node import Node
from aes67.session.store import FileStore

log = logging.getLogger("aes67.control")

RETRY_SECONDS = 2.0


def network(found: tuple[Found, ...]) -> Network:
    """The interfaces as sessions see them."""
    return Network(
        tuple(
            Interface(
                name=each.name,
                mac=each.mac.hex(":"),
                addresses=each.addresses,
                running=each.usable,
                index=each.index,
                links=each.carrier_ups,
            )
            for each in found
        )
    )


class Control:
    """Everything of the control process but HTTP. All methods belong to the loop's thread."""

    def __init__(
        self, config: Config, config_path: Path, runtime_dir: Path, http_port: int | None = None
    ) -> None:
        """`http_port`: of the command line, which counts more than the file's."""
        self.told = Told()
        self.link = EngineLink(
            runtime_dir / "engine.sock",
            Callbacks(
                connected=self._connected,
                disconnected=self._disconnected,
                ptp=lambda snapshot: self._spawn(self._clock_changed(snapshot)),
                second_clock=self._second_clock_told,
                second_page=self.told.second.take_page,
                network=self._network_told,
                pcms=self._pcms_changed,
                controls=self._controls_changed,
                rate_request=lambda rate: self._spawn(self._rate_requested(rate)),
                bus=lambda: self.streaming.look(),
                plan_refused=self._plan_refused,
            ),
        )
        self._config_path, self._http_port = config_path, http_port
        self._store = FileStore(config_path)
        self.node = Node(
            config, Network(), self.link, self._store, asyncio.Lock(), start_s=int(time.time())
        )
        self._logged: set[str] = set()
        """Warnings and notes in force that are in the log."""
        self.node.subscribe(self._happened)
        self.discovery = Discovery(self.node)
        """Idle until it is started."""
        self.discovery.follow_from(self._silent_sinks)
        self.rtcp = RtcpService(self.node, self.link.snapshot)
        self.views = Views(self.node, self.link, self.told, self.rtcp)
        self.streaming = Streaming(
            self.node, self.link, lambda: str(self.views.clock().get("state", ""))
        )
        self._script = StatusScript()
        self._pcm_names = PcmNames(runtime_dir)
        self._heartbeat = Heartbeat()
        self.fetches = fetch.Fetches()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: LinkWatch | None = None
        self._retry: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take over the status file and begin to look for the engine."""
        warning = logs.set_up(self.node.config)
        if self.node.warn("log", warning):
            log.warning("%s", warning)
        await self._look_at_network()
        self._tell_address()
        await self._load_status()
        self._pcm_names.update(self.node)
        self.link.start()
        await self.streaming.start()
        self._watch = LinkWatch(lambda found: self._spawn(self._network_changed(network(found))))
        self._watch.start()
        self._retry = asyncio.create_task(self._retry_refused())
        self.rtcp.start()

    def ready(self) -> None:
        """Tell the parent that the process serves."""
        self._heartbeat.ready()

    async def reload(self) -> None:
        """Read the configuration file again and take what has changed in it."""
        try:
            config = await asyncio.to_thread(
                files.load_config, self._config_path, self._http_port
            )
            await self.node.reload_config(config)
            log.info("configuration read again")
        except (files.ConfigError, Refused) as error:
            log.error("the configuration stays as it was: %s", error)
        finally:
            self._heartbeat.reloaded()

    async def close(self) -> None:
        """Save the status and let go of the engine, which goes on with its plan."""
        self._heartbeat.close()
        await self.discovery.close()
        await self.rtcp.close()
        await self.streaming.close()
        if self._watch is not None:
            self._watch.close()
        if self._retry is not None:
            self._retry.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._retry
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._script.close()
        self._pcm_names.close()
        await self.node.save_status()
        await self.link.close()

    async def put_sink(self, sink: Sink) -> None:
        """Add or replace a sink, fetching its description first if it says so.

        Raises:
            Refused: nothing has changed.
        """
        if not sink.use_sdp:
            text = await self.fetches.get(sink.source)
            sink = sink.model_copy(update={"sdp": text, "use_sdp": True})
        await self.node.put_sink(sink)
        self.views.windows.forget(sink.id)

    # what the engine tells

    def _connected(self, hello: Hello) -> None:
        log.info("engine connected (generation %d)", hello.generation)
        self.node.in_force.goes_on(hello.sender_name)
        self._spawn(self.node.engine_connected())

    def _disconnected(self) -> None:
        self.told.pcms = []
        self.node.other_clock = None
        self._spawn(self._clock_changed(None))

    async def _clock_changed(self, snapshot: dict[str, Any] | None) -> None:
        self.told.clock(snapshot, time.monotonic_ns())
        clock = contract_clock(snapshot)
        if snapshot is None and self.node.clock.status:
            clock = Clock("unlocked", self.node.clock.gmid)
        await self.node.change_clock(clock)
        self.streaming.look()

    def _second_clock_told(self, snapshot: dict[str, Any] | None) -> None:
        self.told.second.told(snapshot)
        self.node.other_clock = self.told.second.for_sessions()

    def _network_told(self, facts: dict[str, Any]) -> None:
        self.told.network = facts

    def _pcms_changed(self, pcms: list[dict[str, Any]]) -> None:
        self.told.pcms = pcms

    def _controls_changed(self, controls: dict[str, Any]) -> None:
        if controls != self.told.controls:
            self.told.controls = controls
            self._spawn(self.node.change_controls(controls))

    def _plan_refused(self, refused: Refused) -> None:
        self.node.in_force.refusal = refused

    async def _rate_requested(self, rate: int) -> None:
        try:
            if not self.node.config.rate_follows_app:
                raise Refused("rate", rate, "rate_follows_app is off")
            await self.node.change_rate(rate)
        except Refused as refused:
            log.warning("an application asked for %d Hz: %s", rate, refused)
            self.link.refuse_rate(refused.rule)

    # what happens here

    def _happened(self, event: Event) -> None:
        words = {*self.node.warnings.values(), *self._notes()}
        for warning in sorted(words - self._logged):
            log.warning("%s", warning)
        self._logged = words
        self._pcm_names.update(self.node)
        if isinstance(event, ClockChanged):
            log.info("clock %s, grandmaster %s", event.status, event.gmid)
            self._script.run(self.node.config.ptp_status_script, event.status)
        if isinstance(event, ConfigChanged) and event.keys & {
            "log_severity", "syslog_proto", "syslog_server",
        }:
            self.node.warn("log", logs.set_up(self.node.config))

    def _notes(self) -> list[str]:
        """What the user should know of a stream: the contract's answers have no room for it."""
        found = (("source", self.node.plan.source_notes), ("sink", self.node.plan.sink_notes))
        return [
            f"{kind} {number}: {note}"
            for kind, notes in found for number, all_of_it in notes.items() for note in all_of_it
        ]  # fmt: skip

    async def _load_status(self) -> None:
        kept = await asyncio.to_thread(files.load_status, self.node.config)
        problems = [*kept.problems, *await self.node.restore(kept.sources, kept.sinks)]
        for problem in problems:
            log.warning("status file %s: %s", self.node.config.status_file, problem)
        if kept.spared:
            self._store.spare(self.node.config.status_file, kept.spared)
            await self.node.save_status()  # says that it is not, and why
        if kept.controls:
            self.node.controls = kept.controls
            self.link.restore_controls(kept.controls)

    async def _look_at_network(self) -> None:
        try:
            await self.node.change_network(network(list_interfaces()))
        except OSError as error:
            log.error("the network interfaces cannot be read: %s", error)

    def _silent_sinks(self) -> set[int]:
        """Sinks whose newest frame was silence for want of packets."""
        rows = (self.link.snapshot() or {}).get("sinks", {})
        return {number for number, row in rows.items() if row["muted"]}

    async def _network_changed(self, now: Network) -> None:
        before = self.node.computed.ip_addr
        await self.node.change_network(now)
        self.discovery.network_changed()
        if self.node.computed.ip_addr != before:
            self._tell_address()

    def _tell_address(self) -> None:
        name = self.node.config.interfaces[0]
        if self.node.computed.ip_addr:
            log.info("network: %s", self.node.computed.ip_addr)
        elif self.node.state.network.find(name):
            log.warning("network: %s has no IPv4 address: nothing is sent", name)
        else:
            log.warning("network: there is no interface %s (interface_name): nothing is sent", name)

    async def _retry_refused(self) -> None:
        """What the engine refused may be possible later: an interface that comes back."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self.node.in_force.refusal is not None and self.link.connected:
                await self.node.ask_engine_again()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a program error in the control process", exc_info=task.exception())
