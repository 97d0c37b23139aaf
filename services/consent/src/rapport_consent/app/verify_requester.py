"""Use case: show who asks, by a code that was sent to what is on file, or by what an operator or application saw."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.request_peers import Notices
from rapport_consent.app.request_ports import Code, RequestStore, RequestUnit
from rapport_consent.domain.law import Law
from rapport_consent.domain.request_intake import verify
from rapport_consent.domain.request_words import Method, RequestState
from rapport_consent.domain.requests import Request, Verification

ATTEMPTS: Final = 5
"""How often a code may be tried."""

CODE_GOOD_FOR: Final = timedelta(minutes=15)
"""How long a code is good."""

NEVER: Final = ("NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "UNIMPLEMENTED")
"""Codes by which notification says that it never sends something."""

_AGAIN_AFTER: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether it was shown who asks, and how often the code may still be tried."""

    request: Request
    verified: bool
    attempts_left: int


async def try_code(unit: RequestUnit, request_id: str, code: str, law: Law, now: datetime, by: str) -> Shown:
    """Take a code as proof. A wrong one counts; nobody learns whether one was sent at all."""
    request = await unit.requests.hold(request_id)
    kept = await unit.codes.tried(request_id)
    right = (
        kept is not None
        and kept.attempts <= ATTEMPTS
        and kept.expires_at is not None
        and now < kept.expires_at
        and hmac.compare_digest(kept.digest, digest(kept.salt, code))
    )
    if not right or request.state not in (RequestState.RECEIVED, RequestState.VERIFIED):
        return Shown(request, False, max(0, ATTEMPTS - kept.attempts) if kept else 0)
    await unit.codes.spend(request_id)
    verification = Verification(Method.CODE, now, by)
    return Shown(await show(unit, request, verification, request.profile_id, law, now), True, 0)


async def show(
    unit: RequestUnit, request: Request, verification: Verification, profile_id: str, law: Law, now: datetime
) -> Request:
    """Enter what was shown. The verified identity wins: other open requests of the person are marked as repeating it.

    Raises:
        RapportError: REQUEST_STATE, SUBJECT_CHANGED.
    """
    shown = verify(request, verification, profile_id, law.of(request), law.today(request, now))
    await unit.requests.save(shown, now if shown.restless else None)
    rights = {each.right for each in shown.rights}
    for other in await unit.requests.open_of(shown.profile_id) if shown.state is RequestState.VERIFIED else ():
        repeats = not other.verifications and rights & {each.right for each in other.rights}
        if other.id != shown.id and repeats and other.state is RequestState.RECEIVED:
            await unit.requests.touch(replace(other, duplicate_of=shown.id))
    await unit.log(
        shown,
        "REQUESTER_SHOWN",
        f"{shown.id}/shown/{len(shown.verifications)}",
        {"method": verification.method.value, "assurance": shown.assurance.name},
    )
    return shown


class CodeSender:
    """Sends the codes that are wanted.

    Args:
        store: Opens transactions.
        notices: Sends them; None where nobody does: then nothing is sent.
        draw: Draws a code: a number of eight digits that nobody foretells.
        salt: Draws a salt.
    """

    def __init__(
        self, store: RequestStore, notices: Notices | None, draw: Callable[[], int], salt: Callable[[], bytes]
    ) -> None:
        self._store = store
        self._notices = notices
        self._draw = draw
        self._salt = salt

    async def step(self, now: datetime) -> bool:
        """Send one code that is wanted; return whether there was one.

        A process killed between sending and noting it sends another code, and only that is good.

        Raises:
            RapportError: The database cannot be reached.
        """
        async with self._store.unit() as unit:
            request_id = await unit.codes.next_wanted(now)
            if not request_id:
                return False
            request = await unit.requests.get(request_id)
            if not request.searched:
                await unit.codes.postpone(request_id, _AGAIN_AFTER)
                return True
            if not request.profile_id or self._notices is None or not request.is_open:
                await unit.codes.sent(request_id, now, None)
                return True
            code, salt, expires_at = self._draw(), self._salt(), now + CODE_GOOD_FOR
            try:
                await self._notices.send_code(request, code, expires_at)
            except RapportError as error:
                get_logger().warning("privacy_code_unsent", request_id=request_id, reason=error.reason.name)
                if error.reason.code in NEVER:
                    await unit.codes.sent(request_id, now, None)
                else:
                    await unit.codes.postpone(request_id, _AGAIN_AFTER)
                return True
            await unit.codes.sent(request_id, now, Code(salt, digest(salt, str(code)), expires_at, 0, 0))
        return True


def digest(salt: bytes, code: str) -> bytes:
    """Return what is kept of a code."""
    return sha256(salt + code.encode()).digest()
