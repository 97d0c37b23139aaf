"""What scenes ask with: ids, terms, grants; and how they ask again until something holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import uuid4

from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_chassis.ids import new_id

NOTICE: Final = "welcome"
"""The notice that people tick a box below."""

SETTLE_S: Final = 60.0
"""For how long something may be on its way."""

ASK_AGAIN_S: Final = 0.02
"""How soon it is asked again."""

_AnswerT = TypeVar("_AnswerT")


async def until(
    ask: Callable[[], Awaitable[_AnswerT]],
    holds: Callable[[_AnswerT], bool],
    *,
    within_s: float = SETTLE_S,
    every_s: float = ASK_AGAIN_S,
) -> _AnswerT:
    """Ask again and again until what is answered holds, and return that.

    Raises:
        TimeoutError: It does not hold for too long.
    """
    async with asyncio.timeout(within_s):
        while True:
            answer = await ask()
            if holds(answer):
                return answer
            await asyncio.sleep(every_s)


def person() -> str:
    """Return the id of a person of whom nothing is known."""
    return new_id("profile")


def request_id() -> str:
    """Return an id that makes a repeated request safe."""
    return str(uuid4())


def terms(
    basis: purpose_pb2.LegalBasis.ValueType, *, brand_scoped: bool = False, direct_marketing: bool = False
) -> purpose_pb2.PurposeTerms:
    """Return terms with one basis for all data and markets."""
    return purpose_pb2.PurposeTerms(
        bases=[purpose_pb2.BasisRule(basis=basis)], brand_scoped=brand_scoped, direct_marketing=direct_marketing
    )


def grant(
    profile_id: str,
    purpose_id: str,
    brand_id: str = "",
    choice: consent_pb2.ConsentChoice.ValueType = consent_pb2.CONSENT_CHOICE_GRANT,
) -> consent_pb2.RecordConsentRequest:
    """Return what a shop records when a person has ticked a box below the notice, or has chosen otherwise there."""
    return consent_pb2.RecordConsentRequest(
        request_id=request_id(),
        profile_id=profile_id,
        items=[consent_pb2.ConsentItem(purpose_id=purpose_id, brand_id=brand_id, choice=choice)],
        notice_id=NOTICE,
        notice_version=1,
        locale="en",
        market="DE",
        evidence=consent_pb2.Evidence(
            captured=consent_pb2.CapturedEvidence(surface="checkout/step-2", method=consent_pb2.CAPTURE_METHOD_CHECKBOX)
        ),
    )
