"""Use case: certify what was erased, close a request, tell everybody once, and empty its vault."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rapport_chassis.telemetry.logs import get_logger

from rapport_consent.app.request_peers import Proofs
from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.app.turn import LOOK_AGAIN, go_on
from rapport_consent.domain.request_rules import complete, conclude, erase_again
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.request_words import Outcome, RequestState, RightState
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskKind, erasure_outcome, latest, still_found

LETTERED: Final = {RequestState.REFUSED: "REFUSED", RequestState.CANCELLED: "CANCELLED"}
"""Outcomes of requests that nothing was done about."""

CLOSED: Final = "CLOSED"
"""The stage of a request whose end everybody was told."""

_SELDOM: Final = 11
"""How often the time doubles until an erasure is repeated: to some 17 hours."""


async def certify_erasure(unit: RequestUnit, request: Request, proofs: Proofs, now: datetime) -> None:
    """Make the certificate of what participants answered; have those erase again who still found something.

    Raises:
        RapportError: CERTIFICATE_NOT_READY.
    """
    tasks = await unit.tasks.of(request.id)
    if found := still_found(tasks):
        await _erase_again(unit, request, tasks, found, now)
        return
    outcome = erasure_outcome(tasks)
    certificate_id = await proofs.certify(unit, request, tasks, now)
    await unit.log(request, "CERTIFIED", certificate_id, {"outcome": outcome.value})
    await go_on(unit, conclude(request, Right.ERASURE, outcome), Stage.CERTIFY, now)


async def _erase_again(
    unit: RequestUnit, request: Request, tasks: Sequence[AskedTask], found: Collection[str], now: datetime
) -> None:
    """Have them erase and look again, ever more seldom: what they found may have been under way when they erased."""
    asked = [latest(tasks, kind)[name] for kind in (TaskKind.ERASE, TaskKind.PROBE) for name in sorted(found)]
    attempt = max(task.attempt for task in asked)
    details = {"participants": " ".join(sorted(found))}
    await unit.log(request, "STILL_FOUND", f"{request.id}/still_found/{attempt}", details)
    again = erase_again(request, [task.task_id for task in asked])
    await unit.requests.save(again, now + LOOK_AGAIN * 2 ** min(attempt, _SELDOM))


async def close_request(
    unit: RequestUnit, request: Request, proofs: Proofs, vault_kept_at_most: timedelta, now: datetime
) -> None:
    """Complete a request, keep its closing letter, and tell everybody."""
    for each in request.rights:  # whoever is not known has nothing here
        if each.state is RightState.APPROVED:
            request = conclude(request, each.right, Outcome.NOTHING_HELD)
    closed = complete(request, now)
    nothing = all(each.outcome in (None, Outcome.NOTHING_HELD) for each in closed.rights)
    await proofs.keep_letter(unit, closed, "NOTHING_HELD" if nothing else "COMPLETION", now)
    partial = any(each.outcome is Outcome.PARTIAL or each.state is RightState.REFUSED for each in closed.rights)
    await tell_of_end(unit, closed, "PARTIAL" if partial else "COMPLETED", vault_kept_at_most, now)


async def tell_of_end(
    unit: RequestUnit, request: Request, outcome: str, vault_kept_at_most: timedelta, now: datetime
) -> None:
    """Tell everybody that a request has ended; its vault is kept until the closing notice has its address."""
    await unit.requests.unclaim(request.id)
    await unit.handed.destroy(request.id)
    await unit.log(request, "CLOSED", f"{request.id}/closed", {"outcome": outcome})
    await unit.closed(request, outcome, now)
    vault = await unit.vault.get(request.id)
    kept = vault_kept_at_most if vault is not None and vault.notice.reachable else timedelta()
    await unit.requests.save(replace(request, stage=CLOSED), now + kept)
    get_logger().info("privacy_request_closed", request_id=request.id, outcome=outcome)


async def empty_vault(unit: RequestUnit, request: Request) -> None:
    """Destroy what names the requester, and what opens the log's commitments about the request."""
    await unit.vault.destroy(request.id)
    await unit.forget_openings(request.id)
    await unit.requests.save(request, None)
