"""A scripted engine for tests of the ALSA plugin: real socket, real memory, a clock made to order.

It is a process (so that it can be killed and stopped). It serves the protocol of
`aes67.shm.layout`, loops all playback back into the capture bus `offset` frames later and obeys one
JSON command a message on its control socket, each answered by one. It states no offset of its own
and does no audio but the loop; what it counts, it counts from the memory.

Started as a program it is the nursery: it forks an engine for each message on its standard input
(a socket), which carries the arguments and the engine's control socket, and answers with the
process number. Forking costs milliseconds, starting Python and numpy some hundred.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import time
import traceback
from typing import Any

import numpy as np

from aes67.shm import layout, region

UNIT = 1 << layout.RATE_FRACTION_BITS
TICK_NS = 2_000_000
NS = 10**9


def frame_of(media_ns: int, rate: int) -> int:
    return media_ns // NS * rate + media_ns % NS * rate // NS


def simultaneous(clock: int) -> tuple[int, int]:
    """CLOCK_MONOTONIC_RAW and another clock at one instant: the closest of some readings."""
    readings = []
    for _ in range(5):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        real = time.clock_gettime_ns(clock)
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        readings.append((after - before, (before + after) // 2, real))
    return min(readings)[1:]


class Clock:
    """The clock page and the media time it states (0: TAI)."""

    def __init__(self, media_ns: int, speed: float, generation: int) -> None:
        self.region = region.create("mock-clock", layout.PAGE_BYTES, read_only_for_others=True)
        self.page = self.region.view(layout.CLOCK)[0]
        self.raw_ns, real_ns = simultaneous(time.CLOCK_REALTIME)
        self.media_ns = media_ns or real_ns + 37 * NS
        self.rate_q40 = round((speed - 1) * UNIT)
        self.page["magic"] = layout.CLOCK_MAGIC
        self.page["major"] = layout.VERSION_MAJOR
        self.page["minor"] = layout.VERSION_MINOR
        self.page["generation"] = generation
        self.page["state"] = layout.CLOCK_LOCKED
        self.heartbeat = True
        self.write_media()
        self.beat()

    def media_at(self, raw_ns: int) -> int:
        since = raw_ns - self.raw_ns
        return self.media_ns + since + (since * self.rate_q40 >> layout.RATE_FRACTION_BITS)

    def now(self) -> int:
        return self.media_at(time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW))

    def change(self, *, speed: float | None = None, step_ns: int = 0, epoch: bool = False) -> None:
        """Another speed from now on, or a jump."""
        raw = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        self.media_ns, self.raw_ns = self.media_at(raw) + step_ns, raw
        if speed is not None:
            self.rate_q40 = round((speed - 1) * UNIT)
        self.write_media(bump=epoch)

    def write_media(self, bump: bool = False) -> None:
        self.page["media_seq"] += 1
        self.page["raw_ns"] = self.raw_ns
        self.page["media_ns"] = self.media_ns
        self.page["rate_q40"] = self.rate_q40
        self.page["epoch"] += bump
        self.page["media_seq"] += 1

    def beat(self) -> None:
        if not self.heartbeat:
            return
        self.page["mono_seq"] += 1
        raw_ns, mono_ns = simultaneous(time.CLOCK_MONOTONIC)
        self.page["mono_ns"] = mono_ns
        self.page["mono_raw_ns"] = raw_ns
        self.page["tick_ns"] = TICK_NS
        self.page["mono_seq"] += 1


class Stream:
    """One playback stream as the engine sees it."""

    def __init__(self, number: int, setup: Any, first: int) -> None:
        self.rate = int(setup["rate"])
        self.channels = int(setup["channels"])
        self.first = first
        self.buffer_frames = int(setup["buffer_frames"])
        self.ring = layout.ring_frames_for(self.rate, self.buffer_frames)
        size = layout.PAGE_BYTES + self.ring * self.channels * 4
        self.region = region.create("mock-stream", size, read_only_for_others=False)
        self.header = self.region.view(layout.STREAM)[0]
        self.samples = self.region.samples((self.ring, self.channels))
        self.header["magic"] = layout.STREAM_MAGIC
        self.header["major"] = layout.VERSION_MAJOR
        self.header["minor"] = layout.VERSION_MINOR
        self.header["stream_id"] = number
        self.header["rate"] = self.rate
        self.header["channels"] = self.channels
        self.header["first"] = first
        self.header["ring_frames"] = self.ring
        self.run = 0
        self.runs: list[dict[str, int]] = []
        self.played = 0

    def line(self) -> dict[str, int] | None:
        """The client's line 1, if it could be read whole."""
        for _ in range(100):
            seq = int(self.header["run_seq"])
            names = ("run", "state", "anchor", "start_pos", "epoch")
            line = {name: int(self.header[name]) for name in names}
            if seq % 2 == 0 and seq == int(self.header["run_seq"]):
                return line
        return None

    def take(self, now_frame: int) -> tuple[int, np.ndarray[Any, Any]] | None:
        """Samples due at frame `now_frame`: (media frame of the first, [frames][channels])."""
        line = self.line()
        if line is None:
            return None
        if line["run"] != self.run:
            self.run = line["run"]
            self.runs.append(line)
            self.header["done_pos"] = line["start_pos"]
            self.header["ack_run"] = self.run
        if line["state"] not in (layout.RUN_RUNNING, layout.RUN_DRAINING):
            return None
        appl = int(self.header["appl_pos"])
        end = now_frame - line["anchor"]
        start = max(int(self.header["done_pos"]), end - self.ring)
        if end <= start:
            return None
        positions = np.arange(start, end)
        taken = self.samples[positions & (self.ring - 1)].copy()
        taken[positions >= appl] = 0
        if line["state"] == layout.RUN_RUNNING:
            self.header["silence_frames"] += int(np.count_nonzero(positions >= appl))
        self.played += int(np.count_nonzero(positions < appl))
        self.header["done_pos"] = end
        return line["anchor"] + start, taken


class Client:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.hello: Any = None
        self.stream: Stream | None = None
        self.messages: list[int] = []


class Engine:
    """Sockets, tick and commands."""

    def __init__(self, arguments: argparse.Namespace, control: socket.socket) -> None:
        self.order_socket = control
        self.rate = arguments.rate
        self.rates = [arguments.rate, *arguments.more_rates]
        self.channels = arguments.channels
        self.caps: dict[str, Any] = json.loads(arguments.caps)
        self.controls = [0, 1, 0, 1, 1]
        self.answers = True
        self.hello_answer: dict[str, Any] = {}
        self.setup_status = 0
        self.bus_runs = True
        self.generation = time.time_ns()
        self.clock = Clock(arguments.media_ns, arguments.speed, self.generation)
        self.make_bus()
        self.clients: list[Client] = []
        self.streams_made = 0
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(arguments.socket):
            os.unlink(arguments.socket)
        self.listener.bind(arguments.socket)
        self.listener.listen(64)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(control, selectors.EVENT_READ, self.command)

    def make_bus(self) -> None:
        self.frames = layout.bus_frames_for(self.rate)
        size = layout.PAGE_BYTES + self.channels * self.frames * 4
        self.bus = region.create("mock-bus", size, read_only_for_others=True)
        header = self.bus.view(layout.BUS)[0]
        header["magic"] = layout.BUS_MAGIC
        header["major"] = layout.VERSION_MAJOR
        header["minor"] = layout.VERSION_MINOR
        header["generation"] = self.generation
        header["rate"] = self.rate
        header["channels"] = self.channels
        header["frames"] = self.frames
        self.samples = self.bus.samples((self.channels, self.frames))
        self.offset = self.rate // 50
        self.done = frame_of(self.clock.now(), self.rate)

    # the tick

    def tick(self) -> None:
        self.clock.beat()
        now = frame_of(self.clock.now(), self.rate)
        if not self.bus_runs:
            return
        start = max(min(self.done, now), now - self.frames // 2)
        span = np.arange(start + self.offset, now + self.offset) & (self.frames - 1)
        self.samples[:, span] = 0
        for client in self.clients:
            if client.stream:
                self.loop(client.stream, now)
        self.done = now
        # all that is due up to here is known: so far ahead, this process may be late unnoticed
        self.clock.page["bus_done"] = now + self.offset

    def loop(self, stream: Stream, now: int) -> None:
        taken = stream.take(now)
        if taken is None or stream.rate != self.rate:
            return
        frame, samples = taken
        slots = np.arange(frame, frame + len(samples)) + self.offset & (self.frames - 1)
        rows = slice(stream.first, stream.first + stream.channels)
        total = self.samples[rows][:, slots].astype(np.int64) + samples.T
        self.samples[rows, slots] = np.clip(total, -(2**31), 2**31 - 1)

    # the socket

    def accept(self) -> None:
        connection, _ = self.listener.accept()
        connection.setblocking(False)
        client = Client(connection)
        self.clients.append(client)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.receive(client))

    def drop(self, client: Client) -> None:
        self.selector.unregister(client.socket)
        client.socket.close()
        self.free(client)
        self.clients.remove(client)

    def free(self, client: Client) -> None:
        if client.stream:
            client.stream.region.close()
        client.stream = None

    def receive(self, client: Client) -> None:
        try:
            data = client.socket.recv(4096)
        except ConnectionResetError:
            data = b""
        if not data:
            self.drop(client)
            return
        head = np.frombuffer(data[:24] + bytes(8), dtype=layout.EVENT.dtype)[0]
        client.messages.append(int(head["type"]))
        if not self.answers:
            return
        if head["type"] == layout.MSG_HELLO:
            client.hello = np.frombuffer(data, dtype=layout.HELLO.dtype)[0].copy()
            self.send_caps(client, int(head["serial"]))
        elif head["type"] == layout.MSG_SETUP:
            self.set_up(client, np.frombuffer(data, dtype=layout.SETUP.dtype)[0])
        elif head["type"] == layout.MSG_FREE:
            self.free(client)
        elif head["type"] in (layout.MSG_CTL_READ, layout.MSG_CTL_WRITE):
            self.control(client, np.frombuffer(data, dtype=layout.CTL.dtype)[0])

    def send(
        self, client: Client, struct: layout.Struct, fields: dict[str, Any], fds: list[int]
    ) -> None:
        record = np.zeros(1, dtype=struct.dtype)
        head = {"magic": layout.MESSAGE_MAGIC, "major": layout.VERSION_MAJOR, "size": struct.size}
        for name, value in (head | fields).items():
            record[0][name] = value
        with contextlib.suppress(OSError):
            socket.send_fds(client.socket, [record.tobytes()], fds)

    def send_caps(self, client: Client, serial: int) -> None:
        rates = [*self.rates, *[0] * (layout.MAX_RATES - len(self.rates))]
        fields = {
            "type": layout.MSG_CAPS,
            "serial": serial,
            "generation": self.generation,
            "rate_count": len(self.rates),
            "bus_channels": self.channels,
            "channels_min": 1,
            "channels_max": min(64, self.channels),
            "period_frames_min": max(1, 6 * self.rate // 48000),
            "quantum_ns": 125_000,
            "rates": rates,
            "buffer_bytes_max": layout.buffer_bytes_max(self.rate, int(client.hello["channels"])),
            "tick_ns": TICK_NS,
            "delay_ns": 0,
            "grid_ns": 250_000,
        }
        answer = fields | self.caps | self.hello_answer
        self.send(client, layout.CAPS, answer, [self.clock.region.fd])

    def set_up(self, client: Client, setup: Any) -> None:
        fields = {"type": layout.MSG_STREAM, "serial": int(setup["serial"])}
        status = -22 if int(setup["rate"]) not in self.rates else self.setup_status
        if status:
            self.send(client, layout.STREAM_REPLY, fields | {"status": status}, [])
            return
        if int(setup["rate"]) != self.rate:
            self.rate = int(setup["rate"])
            self.make_bus()
        if client.hello["direction"] == layout.CAPTURE:
            memory, frames, channels = self.bus, self.frames, self.channels
        else:
            self.free(client)
            self.streams_made += 1
            client.stream = Stream(self.streams_made, setup, int(client.hello["first"]))
            memory = client.stream.region
            frames, channels = client.stream.ring, client.stream.channels
        fields |= {"bytes": memory.size, "ring_frames": frames, "channels": channels}
        self.send(client, layout.STREAM_REPLY, fields, [memory.fd])

    def control(self, client: Client, request: Any) -> None:
        element = int(request["element"])
        fields = {"type": layout.MSG_CTL_VALUE, "serial": int(request["serial"])}
        if element >= len(self.controls):
            self.send(client, layout.CTL, fields | {"status": -22}, [])
            return
        if request["type"] == layout.MSG_CTL_WRITE:
            self.controls[element] = int(request["value"])
            for other in self.clients:
                if other is not client:
                    self.send_event(other, layout.EVENT_CONTROL)
        value = {"element": element, "value": self.controls[element]}
        self.send(client, layout.CTL, fields | value, [])

    def send_event(self, client: Client, kind: int) -> None:
        self.send(client, layout.EVENT, {"type": layout.MSG_EVENT, "kind": kind}, [])

    # commands

    def command(self) -> None:
        text = self.order_socket.recv(65536)
        if not text:
            os._exit(0)
        order = json.loads(text)
        answer = getattr(self, f"do_{order.pop('do')}")(**order)
        self.order_socket.send(json.dumps(answer).encode())

    def do_clock(self, **change: Any) -> None:
        self.clock.change(**change)

    def do_stall(self, on: bool) -> None:
        """The whole tick stands still (or goes on)."""
        self.clock.heartbeat = self.bus_runs = not on

    def do_bus(self, on: bool) -> None:
        self.bus_runs = on

    def do_answer(self, on: bool) -> None:
        self.answers = on

    def do_hello_answer(self, **fields: Any) -> None:
        """Other fields in the next CAPS."""
        self.hello_answer = fields

    def do_setup_status(self, number: int) -> None:
        """Every SETUP is refused with this negative error number; 0: none is."""
        self.setup_status = number

    def do_event(self, kind: int) -> None:
        for client in self.clients:
            self.send_event(client, kind)

    def do_hang_up(self) -> None:
        for client in list(self.clients):
            self.drop(client)

    def do_stats(self) -> dict[str, Any]:
        streams = [client.stream for client in self.clients if client.stream]
        return {
            "clients": len(self.clients),
            "fds": len(os.listdir("/proc/self/fd")),
            "controls": self.controls,
            "messages": [client.messages for client in self.clients],
            "hellos": [
                {name: _plain(client.hello[name]) for name in client.hello.dtype.names}
                for client in self.clients
                if client.hello is not None
            ],
            "streams": [
                {
                    "channels": stream.channels,
                    "first": stream.first,
                    "buffer_frames": stream.buffer_frames,
                    "ring": stream.ring,
                    "done": int(stream.header["done_pos"]),
                    "appl": int(stream.header["appl_pos"]),
                    "silence": int(stream.header["silence_frames"]),
                    "played": stream.played,
                    "runs": stream.runs,
                }
                for stream in streams
            ],
        }

    def run(self) -> None:
        self.order_socket.send(b'"ready"')
        due = time.monotonic()
        while True:
            for key, _ in self.selector.select(max(0.0, due - time.monotonic())):
                key.data()
            if time.monotonic() >= due:
                self.tick()
                due = max(due + TICK_NS / NS, time.monotonic() - 0.01)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return bytes(value).split(b"\0")[0].decode()
    return int(value)


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--rate", type=int, default=48000)
    parser.add_argument("--more-rates", type=int, nargs="*", default=[])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--speed", type=float, default=1)
    parser.add_argument("--media-ns", type=int, default=0)
    parser.add_argument("--caps", default="{}")
    return parser.parse_args(words)


def main() -> None:
    """The nursery."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children need no wait
    orders = socket.socket(fileno=0)
    while True:
        text, descriptors, _, _ = socket.recv_fds(orders, 65536, 1)
        if not text:
            return
        child = os.fork()
        if child == 0:
            orders.close()
            try:
                Engine(parse(json.loads(text)), socket.socket(fileno=descriptors[0])).run()
            finally:
                traceback.print_exc()
                os._exit(1)
        os.close(descriptors[0])
        orders.send(str(child).encode())


if __name__ == "__main__":
    main()
