"""What routes ask for: the control process behind them, and the body as it came."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from aes67.control.control import Control


def control_of(request: Request) -> Control:
    """The control process of this application."""
    control = request.app.state.control
    assert isinstance(control, Control)
    return control


async def raw_body(request: Request) -> bytes:
    """The body, whatever its Content-Type; `guard` has bounded it."""
    return await request.body()


ControlDep = Annotated[Control, Depends(control_of)]
Body = Annotated[bytes, Depends(raw_body)]
