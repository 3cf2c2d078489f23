"""The state in force and its plan: entered whole through the engine, or not at all.

Without an engine a state is entered all the same and applied when one comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from aes67.errors import Refused
from aes67.session.plan import Plan, plan
from aes67.session.sender_name import settled
from aes67.session.state import State


class Engine(Protocol):
    """The control side of the engine link."""

    @property
    def connected(self) -> bool:
        """Whether an engine is there."""

    async def apply(self, plan: Mapping[str, Any], tables: bytes) -> None:
        """Put a plan in force.

        Raises Refused; ConnectionError when the engine goes away, TimeoutError when it is silent.
        """


class InForce:
    """What holds now. `refusal` is why the engine does not run it, None when it does or is gone;
    `silences` counts the changes the engine has not answered in time."""

    def __init__(self, state: State, engine: Engine) -> None:
        self.state = state = settled(state, state)
        self.plan: Plan = plan(state)
        self.refusal: Refused | None = None
        self.silences = 0
        self._engine = engine
        self._applied: Plan | None = None

    async def enter(self, state: State) -> None:
        """Put a state in force: plan, engine, then ours.

        Raises:
            Refused: nothing has changed.
        """
        try:
            await self._enter(state)
        except TimeoutError:
            self.silences += 1
            self.refusal = silent()
            raise self.refusal from None

    async def adopt(self, state: State) -> None:
        """The same for what cannot be undone, as a lost address: a refusal is kept and shown."""
        try:
            await self._enter(state)
        except (Refused, TimeoutError) as problem:
            self.refusal = problem if isinstance(problem, Refused) else silent()
            self.state = state = settled(self.state, state)
            self.plan = _valid_plan(state) or self.plan

    def goes_on(self, sender_name: str) -> None:
        """An engine is there that sends already, under SSRCs made of this name: they stay.

        To be called before anything else is entered; `sender_name` is empty if it sends nothing.
        """
        if sender_name:
            self.state = replace(self.state, sender_name=sender_name)

    async def greet(self) -> None:
        """Give a new engine the state in force; it may take its time, and fails nobody's change."""
        self._applied = None
        await self.adopt(self.state)

    async def ask_again(self) -> None:
        """Give an engine that refused, or was silent, the state in force once more."""
        self._applied = None
        try:
            await self.enter(self.state)
        except Refused as problem:
            self.refusal = problem

    async def _enter(self, state: State) -> None:
        state = settled(self.state, state)
        new = plan(state)
        await self._apply(new)
        self.state, self.plan, self.refusal = state, new, None

    async def _apply(self, new: Plan) -> None:
        before, self._applied = self._applied, None
        if before is not None and (before.message, before.tables) == (new.message, new.tables):
            self._applied = before
            return
        if not self._engine.connected:
            return
        try:
            await self._engine.apply(new.message, new.tables)
        except ConnectionError:
            return
        except Refused:
            self._applied = before
            raise
        self._applied = new


def silent() -> Refused:
    """What a change is refused with when the engine is there and says nothing."""
    return Refused("engine", "", "the engine does not answer")


def _valid_plan(state: State) -> Plan | None:
    try:
        return plan(state)
    except Refused:
        return None
