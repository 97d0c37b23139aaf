"""Use case: a merge or split reopens the records of requests that are not decided yet."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.request_intake import reopen_subject


async def reopen_requests(unit: RequestUnit, profile_ids: Collection[str], now: datetime) -> None:
    """Have the records of open requests about these people listed again; what was chosen may not hold any more."""
    for profile_id in sorted(profile_ids):
        for request in await unit.requests.open_of(profile_id):
            reopened = reopen_subject(request)
            if reopened is not request:
                await unit.requests.save(reopened, now)
