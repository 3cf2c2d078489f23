"""Routes of the clock: the snapshot that page, command line and program share, and its history."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from aes67_api.deps import ControlDep
from aes67_api.v1.problems import RESPONSES

router = APIRouter(prefix="/api/v1", tags=["v1"], responses={400: RESPONSES[400]})

Span = Literal["1min", "1h", "24h"]
AskedClock = Annotated[str, Query(description="name of a clock; empty: the media clock")]
AskedSpan = Annotated[Span, Query(description="how far back")]


class Grandmaster(BaseModel):
    """What a master says of its grandmaster in Announce (IEEE 1588 clause 13.5)."""

    model_config = ConfigDict(extra="allow")

    identity: str
    priority1: int
    priority2: int
    clock_class: int
    accuracy: int
    variance: int
    steps_removed: int
    utc_offset: int
    time_source: int
    ptp_timescale: bool
    traceable: bool


class Master(BaseModel):
    """A master heard on the wire, in whatever domain; with figures if it is in ours."""

    model_config = ConfigDict(extra="allow")

    clock: str = Field(description="its clock identity")
    domain: int
    profile: str
    address: str
    allowed: bool = Field(description="ptp_allowed_masters lets it be followed")
    selected: bool
    qualified: bool
    last_heard_seconds: float
    messages: int
    grandmaster: Grandmaster | None


class Slave(BaseModel):
    """A slave that asked us for its delay in the last two minutes."""

    port: str = Field(description="its port identity")
    interface: str
    requests: int = Field(description="Delay_Req answered")
    last_heard_seconds: float


class Jitter(BaseModel):
    """Standard deviation of the measurements of each direction, in ns."""

    sync: int | None = Field(description="master to us")
    delay: int | None = Field(description="us to master")


class Clock(BaseModel):
    """The clock at one moment. Only `state` and `reason` are there without an engine."""

    model_config = ConfigDict(extra="allow")

    state: str = Field(description="unlocked, locking, locked or holdover")
    reason: str = Field(description="why it is in this state, in words")
    age_seconds: float = Field(default=0.0, description="since the engine told this")
    mode: str | None = None
    domain: int | None = None
    gmid: str = Field(default="", description="identity of the grandmaster; empty: none")
    offset_ns: int | None = Field(default=None, description="media clock minus estimated time")
    residual_ns: int | None = Field(default=None, description="the newest measurement, unfiltered")
    uncertainty_ns: int | None = Field(default=None, description="3 sigma")
    rate_ppm: float = Field(default=0.0, description="the master against our oscillator")
    path_delay_ns: int | None = None
    jitter_ns: Jitter | None = None
    seconds_in: dict[str, float] = Field(default={}, description="time spent in each state")
    messages: dict[str, Any] = Field(default={}, description="counts, rates a second, losses")
    masters: list[Master] = []
    slaves: list[Slave] = Field(default=[], description="who asks us, the newest first, up to 64")
    name: str = Field(default="", description="what ptp_clocks calls it")
    second: SecondClock | None = Field(
        default=None, description="the clock of the second interface; null: it is a port of this"
    )


class SecondClock(Clock):
    """The clock of a network that keeps a time of its own: shown, nothing runs on it."""

    ahead_of_media_ns: int | None = Field(
        default=None, description="its time less the media clock's; null unless both are known"
    )
    ahead_of_media_ppm: float | None = Field(default=None, description="its rate, the same")


class Values(BaseModel):
    """One value over the buckets; null where nothing is known."""

    least: list[float | None]
    mean: list[float | None]
    greatest: list[float | None]


class ClockHistory(BaseModel):
    """Buckets of one span, from the oldest to the newest."""

    span: Span
    bucket_seconds: float
    seconds_ago: list[float] = Field(description="middle of each bucket, before this answer")
    state: list[str | None] = Field(description="worst state in each bucket; null: no engine")
    series: dict[str, Values] = Field(
        description="offset_ns, residual_ns, uncertainty_ns, rate_ppm, path_delay_ns, "
        "jitter_sync_ns, jitter_delay_ns"
    )


class Change(BaseModel):
    """The clock entered a state, or followed another grandmaster."""

    seconds_ago: float
    state: str
    gmid: str = Field(description="identity of the grandmaster from then on; empty: none")
    reason: str = Field(description="why, in words")


@router.get("/clock", response_model=Clock, response_model_exclude_unset=True)
async def clock(control: ControlDep) -> dict[str, Any]:
    """The clock: state with its reason, figures, messages, every master heard."""
    return control.views.clock()


@router.get("/clock/history", response_model=ClockHistory)
async def history(
    control: ControlDep, span: AskedSpan = "1h", clock: AskedClock = ""
) -> dict[str, Any]:
    """What the clock did: least, mean and greatest value of each bucket of a span."""
    return control.views.clock_history(span, clock)


@router.get("/clock/changes", response_model=list[Change])
async def changes(control: ControlDep, clock: AskedClock = "") -> list[dict[str, Any]]:
    """The newest changes of state or grandmaster with their reasons, newest first, at most 64."""
    return control.views.clock_changes(clock)
