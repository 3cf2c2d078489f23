"""A whole PTP clock without a socket: port, estimators, lock and media clock put together.

Everything the engine publishes comes out of here, in virtual time as well as in real time: messages
and stamps go in, messages, a mapping and a snapshot come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aes67.clock.lock import LOCK_BELOW_NS, Lock, Sight, State
from aes67.clock.media_clock import STEP_NS, MediaClock
from aes67.clock.timebase import MS, NS, UNKNOWN_NS, US, Line
from aes67.ptp.bmca import PortState
from aes67.ptp.foreign import ForeignMaster
from aes67.ptp.port import Port
from aes67.ptp.port_types import Measured, Outgoing, PortConfig
from aes67.ptp.rates import Rates
from aes67.ptp.reasons import doubt, leading, missing, silence

PUBLISH_NS = 100 * MS
GIVE_WAY_NS = 10 * NS
"""How long a master that has to give way waits for the better one's time to become known."""
FIRST_STEP_NS = 5 * US
"""At the first lock nothing is heard yet: the media clock goes there at once."""


class Mode(Enum):
    """Where the time comes from."""

    PTP = "ptp"
    """Slave of the best master, master when there is none better than us."""
    PTP_SLAVE = "ptp-slave"
    GRANDMASTER = "gm"
    FREE = "free"


LOCAL = (Mode.GRANDMASTER, Mode.FREE)
"""Modes that run on the local clock from the start."""
USABLE = (State.LOCKED, State.HOLDOVER)


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the clock page says; `uncertainty_ns` is 3 sigma, UNKNOWN_NS if nobody knows."""

    line: Line
    epoch: int
    session_epoch: int
    state: State
    uncertainty_ns: int


class OrdinaryClock:
    """One clock domain.

    Args:
        mode: where the time comes from.
        config: of the port; None in mode FREE.
        random: a number from 0 to 1 at each call.
        now_ns: CLOCK_MONOTONIC_RAW.
        local: the local clock's line, time to start from.
        media: the media clock to go on with; None starts one on `local`.
        interface: its name, for reasons.
    """

    def __init__(
        self,
        mode: Mode,
        config: PortConfig | None,
        random: Callable[[], float],
        now_ns: int,
        local: Line,
        media: MediaClock | None = None,
        interface: str = "",
    ) -> None:
        self.mode = mode
        self.interface = interface
        self.media = media or MediaClock(local)
        self.lock = Lock(now_ns)
        self.port = None if config is None else Port(config, random, now_ns, local)
        self.followed: ForeignMaster | None = None
        self.handovers = 0
        self.started_ns = now_ns
        self.measured_ns = 0
        self._due_ns = now_ns
        self.rates = Rates()
        self._local = local
        if mode in LOCAL:
            self._take_local(now_ns)

    # -- the five verbs

    def receive(self, data: bytes, source: str, now_ns: int, stamp_ns: int | None) -> None:
        """Take one UDP payload; see `Port.receive`."""
        if self.port is not None:
            self.port.receive(data, source, now_ns, stamp_ns)
            self._after_port(now_ns)

    def sent(self, token: tuple[int, int], stamp_ns: int | None, now_ns: int) -> None:
        """The transmit stamp of an event message; see `Port.sent`."""
        if self.port is not None:
            self.port.sent(token, stamp_ns)
            self._after_port(now_ns)

    def handle_timer(self, now_ns: int) -> None:
        """Do what is due; renews the mapping in any case."""
        if self.port is not None:
            self.port.handle_timer(now_ns)
        self._update(now_ns)

    def next_deadline(self) -> int:
        """When `handle_timer` wants to be called at the latest: never more than 100 ms away."""
        if self.port is None:
            return self._due_ns
        return min(self._due_ns, self.port.next_deadline())

    def outgoing(self) -> list[Outgoing]:
        """Messages to send."""
        return [] if self.port is None else self.port.outgoing()

    # -- results

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
    def uncertainty_ns(self) -> int:
        """3 sigma of the estimate, and what the media clock has still to slew."""
        if self.mode in LOCAL or self.leading:
            return 0
        if self.followed is None or not self.lock.ever_locked:
            return UNKNOWN_NS
        sigma = self.followed.estimator.three_sigma_ns(self.media.line.raw_ns)
        return min(sigma + abs(self.media.residual_ns), UNKNOWN_NS)

    @property
    def leading(self) -> bool:
        """Whether we are the grandmaster of our domain."""
        return self.port is not None and self.port.state is PortState.MASTER

    @property
    def grandmaster(self) -> bytes | None:
        """Identity of the grandmaster whose time this is; None while there is none."""
        if self.leading and self.port is not None:
            return self.port.config.identity.clock
        followed = self.followed
        if followed is None or self.lock.state is State.UNLOCKED:
            return None
        if followed.announce is None:
            return None
        return followed.announce.grandmaster

    # -- inside

    def _take_local(self, now_ns: int) -> None:
        self.media.follow(now_ns, self._local)
        self._lead(now_ns)

    def _after_port(self, now_ns: int) -> None:
        assert self.port is not None
        for event in self.port.events():
            if isinstance(event, Measured):
                self.measured_ns = now_ns
                self._due_ns = now_ns  # every measurement is published

    def _update(self, now_ns: int) -> None:
        self._due_ns = now_ns + PUBLISH_NS
        if self.port is not None:
            self.rates.sample(now_ns, self.port.received)
        if self.mode in LOCAL:
            self._take_local(now_ns)
        elif self.leading:
            # a master that was followed lives on in the rate: those who follow us see no step
            self.media.coast(now_ns)
            self._lead(now_ns)
        else:
            self._follow(now_ns)
        if self.port is not None:
            self.port.set_clock(self.media.line)
            self.port.table.pinned = self.followed

    def _lead(self, now_ns: int) -> None:
        """Locked, since nobody else says what time it is."""
        self.media.locked()
        self.followed = None
        words = "the local clock, no PTP"
        if self.port is not None:
            words = leading(self.port, now_ns)
        self.lock.become(State.LOCKED, words, now_ns)

    def _follow(self, now_ns: int) -> None:
        assert self.port is not None
        self._choose(now_ns)
        followed = self.followed
        first = not self.media.locked_once
        sight = self._sight(now_ns)
        self.lock.update(sight)
        state = self.lock.state
        if followed is not None and state in USABLE:
            step_ns = FIRST_STEP_NS if first else STEP_NS
            self.media.follow(now_ns, followed.estimator.line, step_ns=step_ns)
            self.media.locked()
        else:
            self.media.coast(now_ns)
        self.port.calibrated(state is State.LOCKED)
        wanted = self.lock.next_deadline(now_ns)
        if wanted is not None:
            self._due_ns = min(self._due_ns, wanted)

    def _choose(self, now_ns: int) -> None:
        """Whose time to follow: while locked, a new master only once its estimate is good."""
        assert self.port is not None
        selected = self.port.selected
        if selected is None or selected is self.followed:
            return
        locked = self.lock.state in USABLE
        if locked and selected.estimator.three_sigma_ns(now_ns) >= LOCK_BELOW_NS:
            return
        if self.followed is not None:
            self.handovers += 1
        self.followed = selected

    def _sight(self, now_ns: int) -> Sight:
        assert self.port is not None
        followed = self.followed
        why_not = missing(self.port, self.interface, now_ns, self.started_ns)
        if followed is None:
            # we have been master ourselves: our own time is good until the better one's is known
            usable = self.lock.state in USABLE
            waited = now_ns - self.lock.since_ns if self.lock.state is State.HOLDOVER else 0
            sigma = 0 if usable and waited < GIVE_WAY_NS else UNKNOWN_NS
            return Sight(now_ns, sigma, missing=why_not or "measuring a better master")
        estimator = followed.estimator
        locked = self.lock.state in USABLE
        error = self.media.error_ns(now_ns, estimator.line) if locked else 0
        return Sight(
            now_ns=now_ns,
            three_sigma_ns=estimator.three_sigma_ns(now_ns),
            first_data_ns=estimator.first_raw_ns,
            missing=why_not,
            silent=silence(self.port, followed, now_ns),
            rate_ppm=estimator.rate_ppm,
            jump_ns=error if abs(error) >= STEP_NS else 0,
            doubt=doubt(self.port, followed),
        )
