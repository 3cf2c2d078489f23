"""The ALSA socket: serves `alsa.sock` on the engine's asyncio loop.

Applications (through the plugin) say what they open and get descriptors of shared memory; no
sample passes here, and nothing that happens here reaches the tick thread but by opening or closing
a stream. Everything a client sends is hostile until checked: the answer is an error number or a
closed connection, never an exception, and nobody else notices. What is granted is decided in
`engine.pcm_desk`.
"""

from __future__ import annotations

import asyncio
import errno
import grp
import itertools
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aes67.engine import alsa_messages as messages
from aes67.engine.controls import ELEMENTS, Controls
from aes67.engine.pcm_desk import PcmDesk, Seat
from aes67.engine.pcm_offer import Denied
from aes67.engine.pcms import Limits
from aes67.errors import Refused, WireError
from aes67.net.listener import Listener, listen
from aes67.net.seqpacket import Connection, peer_credentials
from aes67.shm.layout import (
    CLOCK,
    CLOCK_LOCKED,
    CTL_COUNT,
    CTL_PTP_LOCKED,
    EVENT_CONTROL,
    EVENT_RECONFIGURED,
    MSG_CTL_WRITE,
    MSG_FREE,
    MSG_HELLO,
    MSG_SETUP,
    VERSION_MAJOR,
)

if TYPE_CHECKING:
    from aes67.engine.engine import Engine

log = logging.getLogger("aes67.alsa")

HELLO_WAIT_SECONDS = 5.0
"""A connection that does not say what it wants is closed."""
SEND_BUFFER_BYTES = 4096
"""Small: descriptors on their way to a client that does not read keep their memory alive."""
BURST_MESSAGES = 100
MESSAGES_PER_SECOND = 200.0
"""What one client may send; beyond it, it waits."""


@dataclass(frozen=True)
class Hooks:
    """What the ALSA socket tells the rest of the engine process."""

    request_rate: Callable[[int], bool] = lambda rate: False
    """Ask control for a plan of this rate; False when nobody can be asked."""
    pcms_changed: Callable[[], None] = lambda: None
    controls_changed: Callable[[], None] = lambda: None
    """An application changed a volume or switch."""


class _Client:
    """One connection, who it is, and how much it sends."""

    def __init__(self, seat: Seat, sock: socket.socket) -> None:
        self.seat = seat
        self.connection = Connection(sock, message_bytes=messages.MESSAGE_BYTES_MAX)
        self._tokens = float(BURST_MESSAGES)
        self._filled_at = asyncio.get_running_loop().time()

    @property
    def is_control_device(self) -> bool:
        return self.seat.hello is not None and self.seat.hello.is_control

    async def pace(self) -> None:
        """Slow a client down that sends more than any application has reason to."""
        now = asyncio.get_running_loop().time()
        self._tokens += (now - self._filled_at) * MESSAGES_PER_SECOND
        self._tokens = min(self._tokens, float(BURST_MESSAGES)) - 1.0
        self._filled_at = now
        if self._tokens < 0.0:
            await asyncio.sleep(-self._tokens / MESSAGES_PER_SECOND)


def _belongs_to(path: Path, group: str) -> bool:
    try:
        return path.stat().st_gid == grp.getgrnam(group).gr_gid
    except KeyError:
        return False


class AlsaServer:
    """Serves applications from `start` to `close`. All methods belong to the loop's thread.

    Args:
        engine: opens and closes the streams.
        hooks: see Hooks.
        limits: see Limits.
    """

    def __init__(self, engine: Engine, hooks: Hooks, limits: Limits | None = None) -> None:
        self.controls = Controls()
        self.controls_set = False
        """True once an application or control has set them: they outlive a restart of control."""
        self._engine = engine
        self._hooks = hooks
        self._limits = limits or Limits()
        self._desk = PcmDesk(engine, self._limits, hooks.request_rate, hooks.pcms_changed)
        self._clients: dict[int, _Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = itertools.count(1)
        self._locked = False
        self._listener: Listener | None = None

    def start(self, path: Path, *, mode: int, group: str = "") -> None:
        """Listen at `path`; arguments and errors as `net.seqpacket.listen`."""
        self._listener = Listener(listen(path, mode=mode, group=group), path, self._connected)
        if group and not _belongs_to(path, group):
            log.warning("%s could not be given to the group %s: its users cannot open the device",
                        path, group)  # fmt: skip

    async def close(self) -> None:
        """Disconnect everybody and give all streams back."""
        if self._listener is not None:
            self._listener.close()
        for client in list(self._clients.values()):
            client.connection.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def pcms(self) -> list[dict[str, object]]:
        """The PCMs that are set up, as the link's `pcms` message lists them."""
        return [pcm.to_json() for pcm in self._desk.pcms()]

    def plan_applied(self) -> None:
        """A plan is in force: PCMs it does not fit any more are closed and told so."""
        for client in list(self._clients.values()):
            if self._desk.expire(client.seat):
                client.connection.send(messages.build_event(EVENT_RECONFIGURED))
        self._desk.plan_applied()

    def rate_refused(self, reason: str) -> None:
        """Control's answer to `request_rate` when there will be no such plan."""
        self._desk.rate_refused(reason)

    def set_controls(self, controls: Controls) -> None:
        """Put volumes and switches in force and tell the control devices."""
        self.controls = controls
        self.controls_set = True
        self._engine.set_gains(controls.playback_q30, controls.capture_q30)
        self._tell_control_devices()

    def clock_changed(self) -> None:
        """To be called when the clock's state may have changed."""
        if self._is_locked() != self._locked:
            self._locked = not self._locked
            self._tell_control_devices()

    def _connected(self, sock: socket.socket) -> None:
        try:
            credentials = peer_credentials(sock)
        except OSError:
            sock.close()
            return
        clients = self._clients.values()
        own = sum(client.seat.credentials.uid == credentials.uid for client in clients)
        if own >= self._limits.connections_per_uid or len(clients) >= self._limits.connections:
            sock.close()
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        client = _Client(Seat(next(self._keys), credentials), sock)
        self._clients[client.seat.key] = client
        task = asyncio.create_task(self._serve(client))
        client.connection.on_close = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _Client) -> None:
        connection = client.connection
        try:
            async with asyncio.timeout(HELLO_WAIT_SECONDS):
                message = await connection.receive()
            while message is not None:
                reply, descriptors = await self._answer(client, message.data)
                connection.send(reply, descriptors)
                await connection.drain()
                await client.pace()
                message = await connection.receive()
        except (asyncio.CancelledError, TimeoutError):
            pass  # the peer has gone or said nothing, or the engine stops
        except WireError as error:
            log.debug("pid %d: %s", client.seat.credentials.pid, error)
        except Exception:
            log.exception("a program error closed the connection of one application")
        finally:
            connection.on_close = None
            connection.close()
            del self._clients[client.seat.key]
            self._desk.release(client.seat)

    async def _answer(self, client: _Client, data: bytes) -> tuple[bytes, tuple[int, ...]]:
        """The reply to a request and the descriptors that go with it.

        Raises:
            WireError: it is not a request; the connection is not worth keeping.
        """
        head = messages.parse_head(data)
        seat = client.seat
        try:
            if head.major != VERSION_MAJOR:
                raise Denied(errno.EPROTONOSUPPORT)
            if head.type not in messages.REPLY_TYPES:
                raise WireError(f"unknown message type {head.type}", 8)
            if head.type == MSG_HELLO:
                caps = await self._desk.hello(seat, messages.parse_hello(data))
                return messages.build_caps(head.serial, caps), (self._engine.clock.fd,)
            if seat.hello is None:
                raise Denied(errno.EPROTO)
            if head.type == MSG_SETUP:
                opened = await self._desk.setup(seat, messages.parse_setup(data))
                return messages.build_stream(head.serial, opened), (opened.descriptor,)
            if head.type == MSG_FREE:
                self._desk.release(seat)
                return messages.build_reply(head), ()
            return self._control(client, head, messages.parse_control(data)), ()
        except Denied as denied:
            return messages.build_reply(head, denied.number), ()

    def _control(
        self, client: _Client, head: messages.Head, control: messages.Control
    ) -> bytes:
        if not client.is_control_device or control.element >= CTL_COUNT or control.channel > 1:
            raise Denied(errno.EINVAL)
        if head.type == MSG_CTL_WRITE:
            if control.element not in ELEMENTS:
                raise Denied(errno.EPERM)
            try:
                changed = self.controls.with_value(control.element, control.value)
            except Refused:
                raise Denied(errno.EINVAL) from None
            if changed != self.controls:
                self.set_controls(changed)
                self._hooks.controls_changed()
        if control.element == CTL_PTP_LOCKED:
            value = int(self._is_locked())
        else:
            value = self.controls.value(control.element)
        answer = messages.Control(control.element, control.channel, value)
        return messages.build_control_value(head.serial, answer)

    def _is_locked(self) -> bool:
        return int(self._engine.clock.view(CLOCK)[0]["state"]) == CLOCK_LOCKED

    def _tell_control_devices(self) -> None:
        event = messages.build_event(EVENT_CONTROL)
        for client in list(self._clients.values()):
            if client.is_control_device:
                client.connection.send(event, key="control")
