"""How a turn at a request ends: with the stage that comes next, or with waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.request_stages import Stage, after
from rapport_consent.domain.requests import Request

LOOK_AGAIN: Final = timedelta(seconds=30)
"""When a request is looked at again that nothing else wakes."""


async def go_on(unit: RequestUnit, request: Request, stage: Stage, now: datetime) -> None:
    """Keep that a stage is done, and go on with the one that follows."""
    following = after(stage, request) if request.is_open else Stage.CLOSE
    await unit.requests.save(replace(request, stage=following.value, stuck=""), now)


async def go_to(unit: RequestUnit, request: Request, stage: Stage, now: datetime) -> None:
    """Go on with another stage than the one that follows."""
    await unit.requests.save(replace(request, stage=stage.value, stuck=""), now)


async def wait(unit: RequestUnit, request: Request, until: datetime | None) -> None:
    """Leave a request until something wakes it, or until a time."""
    await unit.requests.save(replace(request, stuck=""), until)
