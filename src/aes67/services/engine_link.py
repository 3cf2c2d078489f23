"""Control's end of the link to the engine: an asyncio client of `engine.sock`.

Connects, and connects again after the engine was restarted, and then sends the plan and the
volumes in force by itself. Messages are described in docs/design.md, "Engine link".
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aes67.errors import Refused, WireError
from aes67.net.seqpacket import Connection, Message, connect
from aes67.services.background import end
from aes67.services.engine_callbacks import Callbacks, Hello
from aes67.services.engine_memory import EngineMemory
from aes67.services.engine_tables import sealed_memory
from aes67.shm.region import Region, attach

log = logging.getLogger("aes67.engine_link")

LINK_VERSION = 1
MESSAGE_BYTES_MAX = 1 << 18
RETRY_SECONDS_MIN = 0.05
RETRY_SECONDS_MAX = 0.1
ANSWER_SECONDS = 10.0
RESEND_SECONDS = 0.1
"""A new engine gets the last plan again unless whoever is called back sends one of his own."""


@dataclass
class _Sent:
    """A plan, its serial at the engine it was last sent to, and where the first answer goes."""

    message: dict[str, Any]
    tables: bytes
    answer: asyncio.Future[None]
    serial: int = 0


class EngineLink:
    """The link from `start` to `close`. All methods belong to the loop's thread.

    Args:
        path: of `engine.sock`.
        callbacks: see Callbacks.
    """

    def __init__(self, path: Path, callbacks: Callbacks | None = None) -> None:
        self.hello: Hello | None = None
        """Of the engine connected now; None while there is none."""
        self.bus: Region | None = None
        """The capture bus, read-only."""
        self.bus_serial = 0
        """Counts the buses that came."""
        self._bus_generation = 0
        self._path = path
        self._callbacks = callbacks or Callbacks()
        self._connection: Connection | None = None
        self._memory: EngineMemory | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._serial = 0
        self._wanted: _Sent | None = None
        self._resend: asyncio.TimerHandle | None = None
        self._apply_lock = asyncio.Lock()
        self._controls: dict[str, Any] | None = None

    @property
    def connected(self) -> bool:
        """True from an engine's hello to its end."""
        return self.hello is not None

    def start(self) -> None:
        """Begin to connect, for ever."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Disconnect. The engine goes on with the plan it has."""
        await end(self._task)
        self._forget_engine()
        if self._memory is not None:
            self._memory.close()
        if self.bus is not None:
            self.bus.close()

    async def wait_connected(self) -> Hello:
        """Wait for an engine."""
        await self._ready.wait()
        assert self.hello is not None
        return self.hello

    async def apply(
        self, plan: Mapping[str, Any], tables: bytes, *, within_seconds: float = ANSWER_SECONDS
    ) -> None:
        """Put a plan in force.

        Unless it is refused, it is the one sent to an engine that is started later and gets no
        other within RESEND_SECONDS.

        Args:
            plan: the `plan` message; its serial is set here.
            tables: source rows, then sink rows.
            within_seconds: how long to wait for the answer.

        Raises:
            Refused: by the engine; the plan before stays in force.
            ConnectionError: there is no engine, or it went away before it answered.
            TimeoutError: it did not answer in time.
        """
        async with self._apply_lock:
            if not self.connected:
                raise ConnectionError(f"no engine at {self._path}")
            answer = asyncio.get_running_loop().create_future()
            sent = _Sent({**plan, "type": "plan"}, tables, answer)
            before, self._wanted = self._wanted, sent
            self._send_plan(sent)
            try:
                async with asyncio.timeout(within_seconds):
                    await answer
            except Refused:
                self._wanted = before
                raise

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        """Set volumes and switches; also of each engine that is started later."""
        self._controls = dict(controls)
        self._send({"type": "controls", **controls})

    def restore_controls(self, controls: Mapping[str, Any]) -> None:
        """Set volumes and switches of engines that have none of their own yet."""
        self._controls = dict(controls)
        if self.hello is not None and self.hello.controls is None:
            self._send({"type": "controls", **controls})

    def refuse_rate(self, reason: str) -> None:
        """There will be no plan of the rate that was requested."""
        self._send({"type": "rate_refused", "reason": reason})

    def snapshot(self) -> dict[str, Any] | None:
        """Clock and counters, see EngineMemory.read; None before the first engine. Those of an
        engine that has gone stand still until the next one is there."""
        return None if self._memory is None else self._memory.read()

    def capture_descriptors(self) -> tuple[int, int] | None:
        """Clock page and bus of the engine connected now, for passing on; they stay ours."""
        if self.hello is None or self._memory is None or self.bus is None:
            return None
        if self._bus_generation != self.hello.generation:
            return None
        return self._memory.clock_descriptor, self.bus.fd

    async def _run(self) -> None:
        pause = RETRY_SECONDS_MIN
        while True:
            try:
                sock = connect(self._path)
            except OSError as error:
                log.debug("%s: %s", self._path, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
                continue
            self._connection = Connection(sock, message_bytes=MESSAGE_BYTES_MAX, descriptors=2)
            pause = RETRY_SECONDS_MIN
            try:
                await self._listen(self._connection)
            except WireError as error:
                log.error("the engine at %s: %s", self._path, error)
                pause = RETRY_SECONDS_MAX
            except Exception:
                log.exception("a program error closed the link to the engine")
                pause = RETRY_SECONDS_MAX
            finally:
                was_connected = self.connected
                self._forget_engine()
            if was_connected:
                log.warning("the engine has gone")
                self._callbacks.disconnected()
            await asyncio.sleep(pause)

    def _forget_engine(self) -> None:
        self._ready.clear()
        self.hello = None
        if self._resend is not None:
            self._resend.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._wanted is not None and not self._wanted.answer.done():
            self._wanted.answer.set_exception(ConnectionError("the engine has gone"))

    async def _listen(self, connection: Connection) -> None:
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "applied": self._applied,
            "refused": self._refused,
            "ptp": lambda fields: self._callbacks.ptp(fields),
            "second_clock": lambda fields: self._callbacks.second_clock(fields["clock"]),
            "network": lambda fields: self._callbacks.network(fields),
            "pcms": lambda fields: self._callbacks.pcms(fields["pcms"]),
            "controls": self._controls_changed,
            "warnings": self._warned,
            "rate_request": lambda fields: self._callbacks.rate_request(fields["rate"]),
        }
        while (message := await connection.receive()) is not None:
            try:
                fields = json.loads(message.data)
                kind = fields.pop("type")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                message.close()
                raise WireError(f"sent a message that is none of ours: {error}") from error
            if kind == "hello":
                self._greeted(fields, message)
            elif kind == "bus":
                self._new_bus(message)
            elif kind == "second_page" and len(message.descriptors) == 1:
                self._callbacks.second_page(message.descriptors[0])
            elif kind in handlers:
                message.close()
                handlers[kind](fields)
            else:
                message.close()

    def _greeted(self, fields: dict[str, Any], message: Message) -> None:
        if fields.get("version") != LINK_VERSION or len(message.descriptors) != 2:
            message.close()
            raise WireError(f"speaks version {fields.get('version')!r}, not {LINK_VERSION}")
        memory = EngineMemory(*message.descriptors)
        if self._memory is not None:
            self._memory.close()
        self._memory = memory
        self.hello = hello = Hello.read(fields)
        self._serial = max(self._serial, hello.serial)
        if hello.controls is None and self._controls is not None:
            self._send({"type": "controls", **self._controls})
        if self._wanted is not None and hello.serial != self._wanted.serial:
            loop = asyncio.get_running_loop()
            self._resend = loop.call_later(RESEND_SECONDS, self._send_plan, self._wanted)
        self._ready.set()
        self._callbacks.connected(hello)
        if hello.controls is not None:
            self._controls_changed(hello.controls)

    def _new_bus(self, message: Message) -> None:
        if len(message.descriptors) != 1:
            message.close()
            raise WireError("sent a bus without its memory")
        if self.bus is not None:
            self.bus.close()
        self.bus = attach(message.descriptors[0])
        self.bus_serial += 1
        self._bus_generation = self.hello.generation if self.hello else 0
        self._callbacks.bus()

    def _applied(self, fields: dict[str, Any]) -> None:
        sent = self._wanted
        if sent is not None and fields["serial"] == sent.serial and not sent.answer.done():
            sent.answer.set_result(None)

    def _refused(self, fields: dict[str, Any]) -> None:
        refused = Refused(fields["field"], fields["value"], fields["rule"])
        sent = self._wanted
        if sent is None or fields["serial"] != sent.serial:
            return
        if sent.answer.done():
            log.error("the engine refuses the plan in force: %s", refused)
            self._callbacks.plan_refused(refused)
        else:
            sent.answer.set_exception(refused)

    def _warned(self, fields: dict[str, Any]) -> None:
        if self.hello is not None:
            self.hello = replace(self.hello, warnings=tuple(fields["warnings"]))

    def _controls_changed(self, fields: dict[str, Any]) -> None:
        self._controls = fields
        self._callbacks.controls(fields)

    def _send_plan(self, sent: _Sent) -> None:
        if self._resend is not None:
            self._resend.cancel()
        self._serial += 1
        sent.serial = self._serial
        memory = sealed_memory(sent.tables)
        try:
            self._send({**sent.message, "serial": sent.serial}, (memory,))
        finally:
            os.close(memory)

    def _send(self, fields: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        if self._connection is not None and self.connected:
            self._connection.send(json.dumps(fields).encode(), descriptors)
