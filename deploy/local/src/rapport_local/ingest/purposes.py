"""The purposes that an import rests on: which are not in force, and authoring them where a person asks for it."""

from __future__ import annotations

from uuid import uuid4

from rapport.consent.v1 import purpose_pb2, purpose_pb2_grpc

from rapport_local.ingest.mapping import Mapping

_PAGE: int = 500


async def missing_purposes(stub: purpose_pb2_grpc.PurposeServiceAsyncStub, mapping: Mapping) -> list[str]:
    """Return the purposes that a mapping names and that are not in force.

    Raises:
        RemoteError: They may not be asked for.
    """
    named = [*mapping.purposes, *(each for table in mapping.transactions for each in table.purposes)]
    if mapping.declared_consents is not None:
        named += [item.purpose for item in mapping.declared_consents.items]
    active: set[str] = set()
    asked = purpose_pb2.ListPurposesRequest(page_size=_PAGE, state=purpose_pb2.VERSION_STATE_ACTIVE)
    while True:
        page = await stub.ListPurposes(asked)
        active |= {each.purpose_id for each in page.purposes}
        if not page.next_page_token:
            return [each for each in dict.fromkeys(named) if each not in active]
        asked.page_token = page.next_page_token


async def author(stub: purpose_pb2_grpc.PurposeServiceAsyncStub, mapping: Mapping, purpose_ids: list[str]) -> None:
    """Draft and activate purposes with the basis that the mapping gives them.

    Args:
        stub: Calls with a human operator behind it.
        mapping: Gives each its basis.
        purpose_ids: Which; each must be in the mapping's `purposes`.

    Raises:
        RemoteError: The operator may not do that.
    """
    for purpose_id in purpose_ids:
        basis = purpose_pb2.LegalBasis.Value(f"LEGAL_BASIS_{mapping.purposes[purpose_id].upper()}")
        terms = purpose_pb2.PurposeTerms(bases=[purpose_pb2.BasisRule(basis=basis)])
        draft = await stub.UpsertPurpose(
            purpose_pb2.UpsertPurposeRequest(request_id=str(uuid4()), purpose_id=purpose_id, terms=terms)
        )
        await stub.ActivatePurpose(
            purpose_pb2.ActivatePurposeRequest(
                request_id=str(uuid4()), purpose_id=purpose_id, version=draft.version, reason=f"import {mapping.name}"
            )
        )
