"""What a clock with ports sees of the master it follows, for its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aes67.clock.lock import UNLOCK_ABOVE_NS, Sight, State
from aes67.clock.media_clock import STEP_NS
from aes67.clock.timebase import NS, UNKNOWN_NS
from aes67.ptp.modes import USABLE
from aes67.ptp.reasons import doubt, missing, silence
from aes67.wire.ptp_header import dashed

if TYPE_CHECKING:
    from aes67.ptp.ordinary_clock import OrdinaryClock

_JUMPED = "the master's time jumped by"
_NOW_FOLLOWED = "{} is followed now, whose time differs by"
GIVE_WAY_NS = 10 * NS
"""How long a master that has to give way waits for the better one's time to become known."""


def sight(clock: OrdinaryClock, now_ns: int, *, changed: bool = False) -> Sight:
    """The master that is followed as the lock is to see it now; `changed`: from now on it is."""
    port, followed = clock.port, clock.followed
    assert port is not None
    why_not = missing(clock.ports, port, clock.interface, now_ns, clock.started_ns)
    locked = clock.lock.state in USABLE
    if followed is None:
        # we have been master ourselves: our own time is good until the better one's is known
        waited = now_ns - clock.lock.since_ns if clock.lock.state is State.HOLDOVER else 0
        sigma = 0 if locked and waited < GIVE_WAY_NS else UNKNOWN_NS
        return Sight(now_ns, sigma, missing=why_not or "measuring a better master")
    estimator = followed.estimator
    sigma = estimator.three_sigma_ns(now_ns)
    error = clock.media.error_ns(now_ns, estimator.line) if locked else 0
    quiet = silence(port, followed, now_ns)
    if quiet and why_not and port.selected not in (None, followed):
        quiet = f"{quiet}: {why_not}"
    return Sight(
        now_ns=now_ns,
        three_sigma_ns=sigma,
        first_data_ns=estimator.first_raw_ns,
        missing=why_not,
        silent=quiet,
        rate_ppm=estimator.rate_ppm,
        jump_ns=error if abs(error) >= STEP_NS else 0,
        jumped=_NOW_FOLLOWED.format(dashed(followed.identity.clock)) if changed else _JUMPED,
        doubt=doubt(port, followed) if sigma > UNLOCK_ABOVE_NS else "",
    )
