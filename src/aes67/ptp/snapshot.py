"""One snapshot of the clock for every reader: CLI, API, metrics, engine link. Values are JSON."""

from __future__ import annotations

from typing import Any

from aes67.clock.measurement import DELAY, SYNC
from aes67.clock.timebase import NS, UNKNOWN_NS, rate_to_ppm
from aes67.ptp.foreign import ForeignMaster
from aes67.ptp.gptp_port import GptpPort
from aes67.ptp.heard import HeardMaster
from aes67.ptp.modes import USABLE
from aes67.ptp.ordinary_clock import OrdinaryClock
from aes67.ptp.port import Port
from aes67.ptp.rates import Rates
from aes67.ptp.reasons import divided
from aes67.wire.ptp_header import (
    ANNOUNCE,
    DELAY_RESP,
    FOLLOW_UP,
    MESSAGE_NAMES,
    PTP_TIMESCALE,
    TIME_TRACEABLE,
    dashed,
)
from aes67.wire.ptp_header import SYNC as SYNC_MESSAGE
from aes67.wire.ptp_messages import Announce

NO_CLOCK = bytes(8)
SLAVE_FORGOTTEN_NS = 120 * NS
"""A Delay_Req comes every 32 s or sooner in the default profile; some are lost."""


def render(clock: OrdinaryClock, now_ns: int) -> dict[str, Any]:
    """The snapshot at `now_ns`; `null` is what nobody knows. Durations are in the key's unit."""
    port = clock.port
    grandmaster = clock.grandmaster
    uncertainty = clock.uncertainty_ns
    followed = clock.followed
    estimator = clock.estimator
    known = estimator is not None and estimator.usable
    fresh = known and _young(followed, now_ns)
    steers = clock.lock.state in USABLE
    return {
        "mode": clock.mode.value,
        "interface": clock.interface,
        "state": clock.lock.state.name.lower(),
        "reason": _reason(clock, now_ns),
        "state_seconds": round((now_ns - clock.lock.since_ns) / NS, 3),
        "seconds_in": {k: round(v, 3) for k, v in clock.lock.seconds_in(now_ns).items()},
        "state_changes": clock.lock.changes,
        "gmid": dashed(grandmaster) if grandmaster else "",
        "gmid_hex": grandmaster.hex() if grandmaster else "",
        "grandmaster": _grandmaster(clock) if grandmaster else None,
        "master": str(followed.identity) if followed else None,
        "offset_ns": -clock.media.residual_ns if known and steers else None,
        "residual_ns": round(estimator.residual_ns) if estimator and fresh else None,
        "uncertainty_ns": None if uncertainty >= UNKNOWN_NS else uncertainty,
        "rate_ppm": round(estimator.rate_ppm, 6) if estimator and known else 0.0,
        "media_rate_ppm": round(rate_to_ppm(clock.media.line.rate_q40), 6),
        "path_delay_ns": round(estimator.path_delay_ns) if estimator and known else None,
        "jitter_ns": {
            "sync": round(estimator.jitter_ns(SYNC)) if estimator else None,
            "delay": round(estimator.jitter_ns(DELAY)) if estimator else None,
        },
        "steps": estimator.steps if estimator else 0,
        "last_step_ns": round(estimator.last_step_ns) if estimator else 0,
        "outliers": estimator.inflated if estimator else 0,
        "handovers": clock.handovers,
        "epoch": clock.media.epoch,
        "session_epoch": clock.media.session_epoch,
        **(_port(port, followed, clock.rates[clock.ports.index(port)]) if port else _no_port()),
        "masters": [
            _master(each, heard, now_ns)
            for each in clock.ports
            for heard in sorted(each.heard.masters.values(), key=lambda m: (m.domain, m.clock))
        ],
        "slaves": [slave for each in clock.ports for slave in _slaves(each, now_ns)],
    }


def _slaves(port: Port, now_ns: int) -> list[dict[str, Any]]:
    """Who asked this port for its delay of late; nobody asks one that leads no more."""
    return [
        {
            "port": str(identity),
            "interface": port.config.interface,
            "requests": requests,
            "last_heard_seconds": round(max(0, now_ns - last_ns) / NS, 3),
        }
        for identity, (requests, last_ns) in reversed(port.master.slaves.items())
        if now_ns - last_ns < SLAVE_FORGOTTEN_NS
    ]


def _reason(clock: OrdinaryClock, now_ns: int) -> str:
    """Of the state, and that a port's network keeps to a grandmaster of its own if one does."""
    other = divided(clock.ports, clock.grandmaster, clock.media.line, now_ns)
    return f"{clock.lock.reason}; {other}" if other else clock.lock.reason


def _young(followed: ForeignMaster | None, now_ns: int) -> bool:
    """Whether the newest measurement is no old one; True where there are no messages to miss."""
    if followed is None:
        return True
    return now_ns - followed.measured_ns <= 2 * max(NS, followed.sync_interval_ns)


def _no_port() -> dict[str, Any]:
    return {
        "domain": None,
        "port_identity": None,
        "port_state": None,
        "messages": {},
        "peer": None,
    }


def _lost(port: Port, followed: ForeignMaster | None) -> dict[str, int]:
    """Messages of the master we follow that never came, by the gaps of their sequences."""
    if followed is None:
        return {}
    return {
        MESSAGE_NAMES[ANNOUNCE]: followed.announces.lost,
        MESSAGE_NAMES[SYNC_MESSAGE]: followed.syncs.lost,
        MESSAGE_NAMES[FOLLOW_UP]: followed.follow_ups.lost,
        MESSAGE_NAMES[DELAY_RESP]: port.requests.lost,
    }


def _port(port: Port, followed: ForeignMaster | None, rates: Rates) -> dict[str, Any]:
    """Of the port whose master is followed; the first one without any."""
    config = port.config
    return {
        "domain": config.domain,
        "port_identity": str(config.identity),
        "port_state": port.state.value,
        "priority1": config.priority1,
        "priority2": config.priority2,
        "asymmetry_ns": config.asymmetry_ns,
        "allowed_masters": [dashed(each) for each in sorted(config.allowed_masters)],
        "messages": {
            "received": {MESSAGE_NAMES[k]: n for k, n in port.received.items() if n},
            "per_second": {
                MESSAGE_NAMES[k]: round(rates.per_second(k), 2)
                for k, n in port.received.items()
                if n
            },
            "lost": _lost(port, followed),
            "malformed": port.malformed,
            "not_allowed": port.not_allowed,
            "other_domain": port.other_domain,
            "other_profile": port.other_sdo,
            "delay_req_sent": port.requests.sent,
            "delay_req_answered": port.requests.answered,
            "delay_req_unstamped": port.requests.unstamped,
            "announce_sent": port.master.announces,
            "sync_sent": port.master.syncs,
            "follow_up_sent": port.master.follow_ups,
            "sync_unstamped": port.master.unstamped,
            "delay_resp_sent": port.master.delay_responses,
            "delay_req_refused": port.master.unanswered,
        },
        "peer": _peer(port) if isinstance(port, GptpPort) else None,
    }


def _peer(port: GptpPort) -> dict[str, Any]:
    """The neighbour of an 802.1AS port, and what its messages measure."""
    peer = port.peer
    return {
        "neighbor": str(peer.neighbor) if peer.neighbor else None,
        "as_capable": peer.as_capable,
        "objection": peer.objection,
        "link_delay_ns": None if peer.delay_ns is None else round(peer.delay_ns),
        "link_delay_limit_ns": peer.limit_ns,
        "rate_ppm": None if peer.rate_ppm is None else round(peer.rate_ppm, 6),
        "grandmaster_rate_ppm": port.gm_rate_ppm,
        "requests": peer.sent,
        "requests_answered": peer.answered,
        "requests_unanswered": peer.lost,
        "unstamped": peer.unstamped,
        "answers": port.responder.answered,
        "answers_refused": port.responder.refused,
    }


def _master(port: Port, heard: HeardMaster, now_ns: int) -> dict[str, Any]:
    """One line of "who is there", with what was measured if it is in our domain."""
    announce = heard.announce
    entry: dict[str, Any] = {
        "clock": dashed(heard.clock),
        "domain": heard.domain,
        "profile": "gptp" if heard.major_sdo else "ptp",
        "interface": port.config.interface,
        "address": heard.source,
        "last_heard_seconds": round((now_ns - heard.last_ns) / NS, 3),
        "messages": heard.messages,
        "allowed": port.allows(heard.clock),
        "grandmaster": None,
        "selected": False,
        "qualified": False,
    }
    if announce is not None:
        entry["grandmaster"] = _dataset(announce)
    own = [m for m in port.table.masters.values() if m.identity.clock == heard.clock]
    ours = (port.config.domain, port.config.major_sdo)
    if (heard.domain, heard.major_sdo) == ours and own:
        newest = max(own, key=lambda m: (m is port.selected, m.last_ns))
        entry |= _measured(newest, port, now_ns)
    return entry


def _measured(master: ForeignMaster, port: Port, now_ns: int) -> dict[str, Any]:
    estimator = master.estimator
    sigma = estimator.three_sigma_ns(now_ns)
    return {
        "selected": port.selected is master,
        "qualified": master.qualified(now_ns),
        "port": master.identity.port,
        "two_step": master.two_step,
        "sync_interval_s": master.sync_interval_ns / NS,
        "announce_interval_s": master.announce_interval_ns / NS,
        "sync": master.syncs.count,
        "sync_lost": master.syncs.lost,
        "follow_up": master.follow_ups.count,
        "announce": master.announces.count,
        "announce_lost": master.announces.lost,
        "delay_resp": master.delay_responses,
        "unstamped": master.unstamped,
        "uncertainty_ns": None if sigma >= UNKNOWN_NS else sigma,
        "rate_ppm": round(estimator.rate_ppm, 6),
        "path_delay_ns": round(estimator.path_delay_ns),
    }


def _grandmaster(clock: OrdinaryClock) -> dict[str, Any] | None:
    if clock.leading and clock.port is not None:
        return _dataset(clock.port.master.announcement())
    followed = clock.followed
    return None if followed is None or followed.announce is None else _dataset(followed.announce)


def _dataset(announce: Announce) -> dict[str, Any]:
    return {
        "identity": dashed(announce.grandmaster),
        "priority1": announce.priority1,
        "priority2": announce.priority2,
        "clock_class": announce.quality.clock_class,
        "accuracy": announce.quality.accuracy,
        "variance": announce.quality.variance,
        "steps_removed": announce.steps_removed,
        "utc_offset": announce.utc_offset,
        "time_source": announce.time_source,
        "ptp_timescale": bool(announce.header.flags & PTP_TIMESCALE),
        "traceable": bool(announce.header.flags & TIME_TRACEABLE),
    }
