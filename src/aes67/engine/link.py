"""The engine's end of the link to control: serves `engine.sock` on the engine's asyncio loop.

One control at a time, a new one replaces the old one. A control that dies, hangs or talks nonsense
changes nothing in the engine: a plan is applied whole or refused. Messages are described in
docs/design.md, "Engine link".
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes67.engine.cpu_latency import CpuLatency
from aes67.engine.plan import Plan
from aes67.errors import Refused
from aes67.net.listener import Listener, listen
from aes67.net.seqpacket import Connection, Message
from aes67.shm.layout import (
    BUS,
    MAX_SINKS,
    MAX_SOURCES,
    SINK_ROW,
    SOURCE_ROW,
)

if TYPE_CHECKING:
    from aes67.engine.alsa import AlsaServer
    from aes67.engine.engine import Engine
    from aes67.engine.second_clock import SecondClock
    from aes67.engine.timekeeper import Timekeeper

log = logging.getLogger("aes67.link")

LINK_VERSION = 1
MESSAGE_BYTES_MAX = 1 << 18
VALUE_CHARACTERS = 200
"""Of a refused value, in the answer."""
TABLE_BYTES = MAX_SOURCES * SOURCE_ROW.size + MAX_SINKS * SINK_ROW.size


class LinkServer:
    """Serves control from `start` to `close`. All methods belong to the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        timekeeper: Timekeeper,
        alsa: AlsaServer,
        second: SecondClock | None = None,
        cpu_latency: CpuLatency | None = None,
    ) -> None:
        self._engine = engine
        self._cpu_latency = cpu_latency or CpuLatency()
        self._timekeeper = timekeeper
        self._second = second
        self._alsa = alsa
        self._tables = b""
        self._serial = 0
        self._network: Mapping[str, object] = {}
        self._listener: Listener | None = None
        self._control: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._apply_lock = asyncio.Lock()
        self._handlers: dict[str, Callable[[dict[str, Any], Message], Awaitable[None]]] = {
            "plan": self._plan,
            "controls": self._controls,
            "rate_refused": self._rate_refused,
        }

    def start(self, path: Path) -> None:
        """Listen at `path`, mode 0600; errors as `net.seqpacket.listen`."""
        self._listener = Listener(listen(path, mode=0o600), path, self._connected)

    async def close(self) -> None:
        """Disconnect control, ask nothing of processors; a plan being applied is finished first."""
        if self._listener is not None:
            self._listener.close()
        if self._control is not None:
            self._control.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._cpu_latency.close()

    def snapshot_changed(self, snapshot: Mapping[str, object]) -> None:
        """Send the clock's snapshot: to be called at each change of it and once a second."""
        self._post("ptp", snapshot)

    def second_clock_changed(self, snapshot: Mapping[str, object] | None) -> None:
        """Send the second clock's snapshot: as the first one's, None once it has gone."""
        self._post("second_clock", {"clock": snapshot})

    def second_page_changed(self) -> None:
        """Send the second clock's page if there is one."""
        region = self._second.region if self._second is not None else None
        if region is not None:
            self._post("second_page", {}, (region.fd,))

    def network_changed(self, network: Mapping[str, object]) -> None:
        """Send what is known of the interfaces: at each change and once a second."""
        self._network = network
        self._post("network", network)

    def reapply(self) -> None:
        """Put the plan in force once more: an interface of it is another one.

        Raises:
            Refused: as `Engine.apply`; all is as before. A plan being applied just now comes first.
        """
        if self._apply_lock.locked():
            raise Refused("plan", self._serial, "another one is being applied")
        if self._engine.plan is not None:
            self._engine.apply(self._engine.plan, self._tables)

    def pcms_changed(self) -> None:
        """Send the list of PCMs."""
        self._post("pcms", {"pcms": self._alsa.pcms()})

    def controls_changed(self) -> None:
        """Send volumes and switches: an application has changed them."""
        self._post("controls", self._alsa.controls.to_json())

    def request_rate(self, rate: int) -> bool:
        """Ask control for a plan of this rate; False when there is no control."""
        if self._control is None:
            return False
        self._post("rate_request", {"rate": rate})
        return True

    def _post(
        self, kind: str, fields: Mapping[str, object], descriptors: tuple[int, ...] = ()
    ) -> None:
        """Send to control, if there is one. Only the newest of a kind waits for a slow control."""
        if self._control is not None:
            data = json.dumps({"type": kind, **fields}).encode()
            self._control.send(data, descriptors, key=kind)

    def _connected(self, sock: socket.socket) -> None:
        if self._control is not None:
            log.info("a new control replaces the old one")
            self._control.close()
        self._control = Connection(sock, message_bytes=MESSAGE_BYTES_MAX, descriptors=1)
        task = asyncio.create_task(self._serve(self._control))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, control: Connection) -> None:
        self._greet()
        try:
            while (message := await control.receive()) is not None:
                try:
                    await self._handle(message)
                finally:
                    message.close()
        except Exception:
            log.exception("a program error closed the link to control")
        finally:
            control.close()
            if self._control is control:
                self._control = None

    def _greet(self) -> None:
        """What a control that has just connected needs to know."""
        engine = self._engine
        hello = {
            "version": LINK_VERSION,
            "generation": engine.generation,
            "serial": self._serial,
            "realtime": engine.realtime,
            "warnings": self._warnings(),
            "sender_name": engine.plan.sender_name if engine.plan is not None else "",
            "controls": self._alsa.controls.to_json() if self._alsa.controls_set else None,
        }
        self._post("hello", hello, (engine.clock.fd, engine.telemetry.fd))
        self._send_bus()
        self.snapshot_changed(self._timekeeper.snapshot())
        second = self._second.snapshot() if self._second is not None else None
        if second is not None:
            self.second_page_changed()
            self.second_clock_changed(second)
        if self._network:
            self._post("network", self._network)
        self.pcms_changed()

    def _warnings(self) -> list[str]:
        problem = self._cpu_latency.problem
        return [*self._engine.warnings, *([problem] if problem else [])]

    def _send_bus(self) -> None:
        bus = self._engine.bus
        if bus is None:
            return
        header = bus.view(BUS)[0]
        fields = {name: int(header[name]) for name in ("rate", "channels", "frames")}
        self._post("bus", fields, (bus.fd,))

    async def _handle(self, message: Message) -> None:
        try:
            fields = json.loads(message.data)
            handler = self._handlers[fields["type"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            log.warning("control sent something that is no message of ours")
            return
        await handler(fields, message)

    async def _plan(self, fields: dict[str, Any], message: Message) -> None:
        serial = fields.get("serial")
        try:
            if isinstance(serial, bool) or not isinstance(serial, int) or serial < 1:
                raise Refused("serial", serial, "must be a positive integer")
            plan = Plan.from_json(fields)
            tables = read_tables(message.descriptors)
            async with self._apply_lock:
                old_bus = self._engine.bus
                await self._apply(plan, tables)
                self._serial, self._tables = serial, tables
                self._limit_cpu_latency(plan.cpu_latency_us)
        except Refused as refused:
            self._post("refused", _refusal(serial, refused))
            return
        self._alsa.plan_applied()
        if self._engine.bus is not old_bus:
            self._send_bus()
        self._post("applied", {"serial": serial})

    async def _apply(self, plan: Plan, tables: bytes) -> None:
        """Engine and clock take the plan, or neither does.

        The engine's swap can be taken back without a trace, a clock's lock can't: so the clock is
        last, but for the first plan, which the engine has no predecessor of.
        """
        before, tables_before = self._engine.plan, self._tables
        if before is None:
            await self._configure_clock(plan, wait=True)
            self._engine.apply(plan, tables)
            return
        self._engine.apply(plan, tables)
        try:
            await self._configure_clock(plan)
        except Refused:
            self._engine.apply(before, tables_before)
            raise

    def _limit_cpu_latency(self, limit_us: int | None) -> None:
        """Ask the kernel for what the plan wants; that it can't be had is no reason to refuse."""
        before = self._cpu_latency.problem
        self._cpu_latency.request(limit_us)
        problem = self._cpu_latency.problem
        if problem != before:
            if problem:
                log.warning("%s", problem)
            self._post("warnings", {"warnings": self._warnings()})

    async def _configure_clock(self, plan: Plan, *, wait: bool = False) -> None:
        try:
            await self._timekeeper.configure(plan.clock, wait=wait)
        except OSError as error:
            raise Refused("clock", plan.clock.interface, str(error)) from error
        if self._second is not None:
            await self._second.configure(plan.second_clock, plan.second_clock_name)

    async def _controls(self, fields: dict[str, Any], _: Message) -> None:
        try:
            self._alsa.set_controls(self._alsa.controls.changed(fields))
        except Refused as refused:
            log.warning("control sent %s", refused)

    async def _rate_refused(self, fields: dict[str, Any], _: Message) -> None:
        self._alsa.rate_refused(str(fields.get("reason", "")))


def read_tables(descriptors: tuple[int, ...]) -> bytes:
    """A copy of the tables in the memory that came with a plan.

    Raises:
        Refused: there is no descriptor, or what is behind it is not exactly TABLE_BYTES of memory.
    """
    if len(descriptors) != 1:
        raise Refused("tables", len(descriptors), "one descriptor must come with a plan")
    status = os.fstat(descriptors[0])
    if not stat.S_ISREG(status.st_mode) or status.st_size != TABLE_BYTES:
        raise Refused("tables", status.st_size, f"must be {TABLE_BYTES} bytes of memory")
    data = os.pread(descriptors[0], TABLE_BYTES, 0)
    if len(data) != TABLE_BYTES:
        raise Refused("tables", len(data), f"must be {TABLE_BYTES} bytes of memory")
    return data


def _refusal(serial: object, refused: Refused) -> dict[str, object]:
    value = refused.value
    if not isinstance(value, (int, float, type(None))):
        value = str(value)[:VALUE_CHARACTERS]
    return {"serial": serial, "field": refused.field, "value": value, "rule": refused.rule}
