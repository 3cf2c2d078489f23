"""A whole PTP clock without a socket: ports, estimators, lock and media clock put together.

Everything the engine publishes comes out of here, in virtual time as well as in real time: messages
and stamps go in, messages, a mapping and a snapshot come out. With two ports it is a boundary
clock (one decision for both), with a `Reference` in their place it follows a clock of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aes67.clock.estimator import Estimator
from aes67.clock.lock import LOCK_BELOW_NS, Lock, State
from aes67.clock.media_clock import SETTLE_NS, STEP_NS, MediaClock
from aes67.clock.timebase import MS, UNKNOWN_NS, US, Line
from aes67.clock.track import Track
from aes67.ptp.bmca import PortState
from aes67.ptp.decision import StateDecision
from aes67.ptp.foreign import ForeignMaster
from aes67.ptp.modes import LOCAL, USABLE, Mapping, Mode
from aes67.ptp.patience import CALM_NS, patience_ns
from aes67.ptp.port import Port, own_parent
from aes67.ptp.port_types import Measured, Outgoing, PortConfig
from aes67.ptp.ports import make_port
from aes67.ptp.rates import Rates
from aes67.ptp.reasons import leading
from aes67.ptp.reference import Reference
from aes67.ptp.sight import sight
from aes67.wire.ptp_messages import Announce

PUBLISH_NS = 100 * MS
FIRST_STEP_NS = 5 * US
"""At the first lock nothing is heard yet: the media clock goes there at once."""


class OrdinaryClock:
    """One clock domain.

    Args:
        mode: where the time comes from.
        config: of the port, or of each port (port numbers 1, 2...); None without PTP.
        random: a number from 0 to 1 at each call.
        now_ns: CLOCK_MONOTONIC_RAW.
        local: the local clock's line, time to start from.
        media: the media clock to go on with; None starts one on `local`.
        interface: its name, for reasons.
        reference: what the modes SYSTEM and PHC follow.
    """

    def __init__(
        self,
        mode: Mode,
        config: PortConfig | Sequence[PortConfig] | None,
        random: Callable[[], float],
        now_ns: int,
        local: Line,
        media: MediaClock | None = None,
        interface: str = "",
        reference: Reference | None = None,
    ) -> None:
        self.mode = mode
        self.interface = interface
        self.media = media or MediaClock(local)
        self.lock = Lock(now_ns)
        self.reference = reference
        configs = [config] if isinstance(config, PortConfig) else list(config or ())
        self.decision = StateDecision(own_parent(configs[0])) if configs else None
        self.ports: list[Port] = []
        if self.decision is not None:
            for each in configs:
                self.ports.append(make_port(each, random, now_ns, local, self.decision))
            self.decision.run(now_ns)
        self.followed: ForeignMaster | None = None
        self.handovers = 0
        self.started_ns = now_ns
        self.measured_ns = 0
        self._waits_ns = 0
        self._due_ns = now_ns
        self._kept: Announce | None = None
        self.rates = [Rates() for _ in self.ports]
        self._local = local
        if mode in LOCAL:
            self._take_local(now_ns)

    # -- the five verbs

    def receive(
        self, data: bytes, source: str, now_ns: int, stamp_ns: int | None, number: int = 0
    ) -> None:
        """Take one payload received on `ports[number]`; see `Port.receive`."""
        if self.ports:
            self.ports[number].receive(data, source, now_ns, stamp_ns)
            self._after_ports(now_ns)

    def sent(
        self, token: tuple[int, int], stamp_ns: int | None, now_ns: int, number: int = 0
    ) -> None:
        """The transmit stamp of an event message of `ports[number]`; see `Port.sent`."""
        if self.ports:
            self.ports[number].sent(token, stamp_ns)
            self._after_ports(now_ns)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due; renews the mapping in any case."""
        for port in self.ports:
            port.handle_timer(now_ns)
        self._update(now_ns)

    def next_deadline(self) -> int:
        """When `handle_timer` wants to be called: at most 100 ms away, 400 ms if `patient`."""
        if self.patient:
            return self._due_ns
        times = [self._due_ns, *(port.next_deadline() for port in self.ports)]
        if self.reference is not None:
            times.append(self.reference.next_ns)
        return min(times)

    def make_ready(self) -> None:
        """While `patient`, make the Delay_Req that falls due by `next_deadline`; see `wake`."""
        for port in self.ports if self.patient else ():
            port.make_ready(self._due_ns)

    def wake(self, now_ns: int) -> None:
        """Have in `outgoing` what `make_ready` made, if it is time: to be sent before all else.

        A master's Sync leaves a processor that has just been idle, which makes it some microseconds
        slower; a Delay_Req that leaves after a millisecond of work is not, and half of the
        difference would be an error of our time.
        """
        for port in self.ports if self.patient and now_ns >= self._due_ns else ():
            port.send_ready()

    def outgoing(self, number: int = 0) -> list[Outgoing]:
        """Messages to send by `ports[number]`."""
        return self.ports[number].outgoing() if self.ports else []

    # -- results

    @property
    def patient(self) -> bool:
        """Packets may wait for `next_deadline`: a slave that has locked, whom nobody asks anything,
        spares most of its wake-ups."""
        return self._waits_ns > 0

    @property
    def mapping(self) -> Mapping:
        """What is to be published now."""
        return Mapping(
            self.media.line,
            self.media.epoch,
            self.media.session_epoch,
            self.lock.state,
            self.uncertainty_ns,
        )

    @property
    def port(self) -> Port | None:
        """The port whose master is selected; the first one without any, None without ports."""
        for port in self.ports:
            if port.selected is not None:
                return port
        return self.ports[0] if self.ports else None

    @property
    def estimator(self) -> Estimator | Track | None:
        """Of what is followed, a master or a reference; None: nothing is."""
        if self.reference is not None:
            return self.reference.estimator
        return self.followed.estimator if self.followed is not None else None

    @property
    def uncertainty_ns(self) -> int:
        """3 sigma of the estimate, and what the media clock has still to slew."""
        if self.mode in LOCAL or self.leading:
            return 0
        estimator = self.estimator
        if estimator is None or self.lock.state not in USABLE:
            return UNKNOWN_NS
        sigma = estimator.three_sigma_ns(self.media.line.raw_ns)
        return min(sigma + abs(self.media.residual_ns), UNKNOWN_NS)

    @property
    def leading(self) -> bool:
        """Whether we are the grandmaster of our domain."""
        masters = [port.state is PortState.MASTER for port in self.ports]
        return any(masters) and not any(port.selected for port in self.ports)

    @property
    def grandmaster(self) -> bytes | None:
        """Identity of the grandmaster whose time this is; None while there is none."""
        if self.leading:
            return self.ports[0].config.identity.clock
        followed = self.followed
        if self.reference is not None and self.lock.state is not State.UNLOCKED:
            return self.reference.grandmaster
        if followed is None or self.lock.state is State.UNLOCKED:
            return None
        if followed.announce is None:
            return None
        return followed.announce.grandmaster

    # -- inside

    def _take_local(self, now_ns: int) -> None:
        self.media.follow(now_ns, self._local)
        self._lead(now_ns)

    def _after_ports(self, now_ns: int) -> None:
        for port in self.ports:
            for event in port.events():
                if isinstance(event, Measured):
                    self.measured_ns = now_ns
                    if event.stepped or not self.patient:
                        self._due_ns = now_ns  # every measurement is published

    def _update(self, now_ns: int) -> None:
        self._due_ns = now_ns + PUBLISH_NS
        for port, rates in zip(self.ports, self.rates, strict=True):
            rates.sample(now_ns, port.received)
        if self.mode in LOCAL:
            self._take_local(now_ns)
        elif self.reference is not None:
            self._follow_reference(now_ns, self.reference)
        elif self.leading:
            # a master that was followed lives on in the rate: those who follow us see no step
            self.media.coast(now_ns)
            self._lead(now_ns)
        else:
            self._follow(now_ns)
        usable = self.lock.state in USABLE
        for port in self.ports:
            port.set_clock(self.media.line, usable=usable)
            port.table.pinned = self.followed
        followed, self._waits_ns = self.followed, 0
        if followed is not None and self.lock.state is State.LOCKED:
            residual_ns = self.media.residual_ns
            self._waits_ns = patience_ns(followed, residual_ns, now_ns, self.ports)
        if self._waits_ns:
            self._due_ns = now_ns + self._waits_ns

    def _lead(self, now_ns: int) -> None:
        """Locked, since nobody else says what time it is."""
        self.media.locked()
        self.followed = None
        words = leading(self.ports, now_ns) if self.ports else "the local clock, no PTP"
        self.lock.become(State.LOCKED, words, now_ns)

    def _follow_reference(self, now_ns: int, reference: Reference) -> None:
        usable = self.lock.state in USABLE and reference.estimator.usable
        line = reference.estimator.line
        error = self.media.error_ns(now_ns, line) if usable else 0
        self.lock.update(reference.sight(now_ns, error))
        if reference.remark and self.lock.state is State.LOCKED:
            self.lock.reason = f"{reference.remark}; {self.lock.reason}"
        self._steer(now_ns, reference.estimator)

    def _follow(self, now_ns: int) -> None:
        changed = self._choose(now_ns)
        followed = self.followed
        self.lock.update(sight(self, now_ns, changed=changed))
        self._steer(now_ns, followed.estimator if followed is not None else None)
        for port in self.ports:
            if port.selected is not None:
                port.calibrated(self.lock.state is State.LOCKED)
        if followed is not None and self.decision is not None:
            announce = followed.announce
            if announce is not None and announce is not self._kept:
                self._kept = announce
                self.decision.keep_time_of(announce)

    def _steer(self, now_ns: int, estimator: Estimator | Track | None) -> None:
        """Let the media clock follow if there is something to follow that is good enough."""
        if estimator is not None and self.lock.state in USABLE:
            step_ns = STEP_NS if self.media.locked_once else FIRST_STEP_NS
            settle_ns = 2 * CALM_NS if self._waits_ns == CALM_NS else SETTLE_NS
            self.media.follow(now_ns, estimator.line, step_ns=step_ns, settle_ns=settle_ns)
            self.media.locked()
        else:
            self.media.coast(now_ns)
        wanted = self.lock.next_deadline(now_ns)
        if wanted is not None:
            self._due_ns = min(self._due_ns, wanted)

    def _choose(self, now_ns: int) -> bool:
        """Whose time to follow: while locked, a new master only once its estimate is good.

        True when that is another one from now on.
        """
        selected = self.port.selected if self.port is not None else None
        if selected is None or selected is self.followed:
            return False
        locked = self.lock.state in USABLE
        if locked and selected.estimator.three_sigma_ns(now_ns) >= LOCK_BELOW_NS:
            return False
        if self.followed is not None:
            self.handovers += 1
        self.followed = selected
        return True
