"""Use case: take a privacy request in. What is answered is the same whether or not anybody is known."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.law import Law
from rapport_consent.domain.purposes import find_purpose
from rapport_consent.domain.request_intake import receive
from rapport_consent.domain.requests import Request
from rapport_consent.domain.vault import Vault

CODES: Final = 5
"""How many codes are sent for a request at most."""


async def take_request(unit: RequestUnit, request: Request, vault: Vault, law: Law, now: datetime) -> Request:
    """Enter a request, and what names its requester into the vault; whom it is about is found out afterwards.

    Raises:
        RapportError: RIGHT_UNKNOWN, REQUEST_INVALID, RECEIVED_IN_FUTURE, UNKNOWN_PURPOSE.
    """
    taken = receive(request, law.of(request))
    purposes = (await unit.ledger.catalogue()).purposes
    for at, asked in enumerate(taken.rights):
        for purpose_id in asked.purpose_ids:
            find_purpose(purposes, purpose_id, f"rights[{at}].purpose_ids")
    await unit.requests.add(taken, now)
    await unit.vault.put(taken.id, vault)
    await unit.codes.want(taken.id, now, CODES)
    rights = ",".join(each.right.value for each in taken.rights)
    await unit.log(taken, "RECEIVED", f"{taken.id}/received", {"rights": rights, "rule_pack": taken.rule_pack})
    return taken
