"""rapport.identity.v1.RegistryService over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rapport.identity.v1 import registry_pb2, registry_pb2_grpc
from rapport_chassis.authored import VersionState
from rapport_chassis.clock import Clock
from rapport_chassis.once import Once, actor, author
from rapport_chassis.paging import cursor_of, next_page_token
from rapport_chassis.rpc.pipeline import ServicerContext as Context
from rapport_chassis.times import moment

from rapport_identity.app.declarations import Place, Versions, draft
from rapport_identity.app.partition import Partition, Session
from rapport_identity.app.units import Unit
from rapport_identity.domain.declarations import Kind, kind_of
from rapport_identity.entrypoints.grpc_records import MOST, PAGE
from rapport_identity.translate.declarations import KINDS, declaration_message, terms_of

_STATES: Final[dict[int, VersionState | None]] = {
    registry_pb2.VERSION_STATE_UNSPECIFIED: None,
    registry_pb2.VERSION_STATE_DRAFT: "draft",
    registry_pb2.VERSION_STATE_ACTIVE: "active",
    registry_pb2.VERSION_STATE_RETIRED: "retired",
}


@dataclass(frozen=True)
class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Declarations are drafted by a caller and decided upon by an operator.

    Attributes:
        once: Runs each change in a transaction, once.
        partition: Opens transactions that only read.
        versions: Gives the declarations in a transaction.
        clock: The time.
    """

    once: Once[Session]
    partition: Partition
    versions: Callable[[Unit], Versions]
    clock: Clock

    async def UpsertDeclaration(
        self, request: registry_pb2.UpsertDeclarationRequest, context: Context
    ) -> registry_pb2.Declaration:
        """Draft a version of a declaration."""
        terms = terms_of(request.terms)
        by = author()

        async def drafted(session: Session) -> registry_pb2.Declaration:
            versions = self.versions(session.unit)
            return declaration_message(await draft(versions, request.name, terms, actor=by, now=self.clock.now()))

        target = _target(kind_of(terms), request.name)
        return await self.once.run(request, registry_pb2.Declaration, drafted, target=target)

    async def ActivateDeclaration(
        self, request: registry_pb2.ActivateDeclarationRequest, context: Context
    ) -> registry_pb2.Declaration:
        """Put a drafted version in force from a time on."""
        kind = KINDS[request.kind]

        async def activated(session: Session) -> registry_pb2.Declaration:
            version = await self.versions(session.unit).activate(
                kind,
                request.name,
                request.version,
                active_from=moment(request.active_from) if request.HasField("active_from") else None,
                actor=actor(),
                reason=request.reason,
                now=self.clock.now(),
            )
            return declaration_message(version)

        target = _target(kind, request.name)
        return await self.once.run(request, registry_pb2.Declaration, activated, target=target, reason=request.reason)

    async def RetireDeclaration(
        self, request: registry_pb2.RetireDeclarationRequest, context: Context
    ) -> registry_pb2.Declaration:
        """Take a declaration out of force."""
        kind = KINDS[request.kind]

        async def retired(session: Session) -> registry_pb2.Declaration:
            version = await self.versions(session.unit).retire(
                kind, request.name, actor=actor(), reason=request.reason, now=self.clock.now()
            )
            return declaration_message(version)

        target = _target(kind, request.name)
        return await self.once.run(request, registry_pb2.Declaration, retired, target=target, reason=request.reason)

    async def ListDeclarations(
        self, request: registry_pb2.ListDeclarationsRequest, context: Context
    ) -> registry_pb2.ListDeclarationsResponse:
        """List versions of declarations."""
        size = min(request.page_size or PAGE, MOST)
        cursor = cursor_of(request, request.page_token)
        after = Place(Kind(str(cursor[0])), str(cursor[1]), int(cursor[2])) if cursor else None
        async with self.partition.units.unit() as unit:
            found = await self.versions(unit).page(KINDS.get(request.kind), _STATES[request.state], after, size + 1)
        page = found[:size]
        last = page[-1] if len(found) > size else None
        return registry_pb2.ListDeclarationsResponse(
            declarations=map(declaration_message, page),
            next_page_token=next_page_token(request, (kind_of(last.terms).value, last.name, last.version))
            if last
            else "",
        )


def _target(kind: Kind, name: str) -> str:
    return f"{kind}/{name}"
