"""The identity service as its callers have it: short words for long requests, through the public client alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import rapport_identity
from grpc_health.v1 import health_pb2, health_pb2_grpc
from identity_ledger import PURPOSES, LedgerService, gate_settings
from rapport.identity.v1 import (
    events_pb2,
    identity_pb2,
    identity_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    profile_pb2,
    record_pb2,
    registry_pb2,
    registry_pb2_grpc,
    steward_pb2,
    touchpoint_pb2,
)
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.events import topology
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import DatabaseSettings
from rapport_chassis.times import stamp
from rapport_identity.population.channels import CHANNELS
from rapport_testing.installation import Installation, TestedService, tls_files
from rapport_testing.waiting import eventually

PACKAGE = Path(rapport_identity.__file__).parent
IDENTITY = TestedService(
    "identity",
    migrations=PACKAGE / "migrations",
    topology=topology.DECLARED,
    settings={
        "KEYS__EPOCH_FOLDER": "{folder}/epochs",
        "KEYS__HASH_FOLDER": "{folder}/hashes",
        "PRIVACY__SIGNING_FOLDER": "{folder}/signing",
    },
)
SHOP = "shop"
OFFICE = "office"
SENDER = "sender"
STEWARD = "steward"
ROLES = ("api", "relay")

EMAIL = events_pb2.IDENTIFIER_KIND_EMAIL
PHONE = events_pb2.IDENTIFIER_KIND_PHONE
DEVICE = events_pb2.IDENTIFIER_KIND_DEVICE


class IdentityInstallation(Installation):
    """Servers with both databases of the service, its own and the key store, and the ledger that its gates follow.

    Attributes:
        ledger: What people decided.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        super().__init__(service, folder, durable=durable)
        self.ledger = LedgerService(self, PURPOSES)

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers, migrate both databases and provision."""
        self.ledger.start()
        for name in ("epochs", "hashes", "signing"):
            (self.folder / "own" / name).mkdir(exist_ok=True)
        super().start(provisioned=provisioned, migrated=migrated)

    def create_databases(self) -> None:
        """Create the service's database and the key store, both empty."""
        super().create_databases()
        create_service_database(self.postgres.dsn("postgres"), "identity_keys", RolePasswords())

    def migrate(self) -> None:
        """Bring both databases to their newest schemas."""
        super().migrate()
        upgrade(self.keys_settings(), PACKAGE / "keys_migrations")

    def stop(self) -> None:
        """Stop the servers."""
        super().stop()
        self.ledger.stop()

    def keys_settings(self) -> DatabaseSettings:
        """Return how the key store is reached."""
        names = ServiceDatabase.of("identity_keys")
        return DatabaseSettings.model_validate(
            {
                "dsn": self.postgres.dsn(names.name, names.runtime_role),
                "owner_dsn": self.postgres.dsn(names.name, names.owner_role),
            }
        )

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        own = gate_settings(self, self.ledger) | {"keys__database__dsn": self.keys_settings().dsn.get_secret_value()}
        eraser = tls_files(self.certificate("identity-eraser"))
        own |= {f"privacy__eraser__{name}": str(path) for name, path in eraser.model_dump().items()}
        return super().variables() | {self._variable(name.upper()): value for name, value in own.items()}


def start_installation(folder: Path, *, durable: bool = False, provisioned: bool = True) -> IdentityInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = IdentityInstallation(IDENTITY, folder, durable=durable)
    shop_may = ["records.write", "touchpoints.write", "profiles.*", "relations.read", "id_map.read"]
    installation.grant(SHOP, [f"identity.{permission}" for permission in shop_may])
    installation.grant(SENDER, ["identity.contact_points.read"])
    installation.grant(OFFICE, ["identity.*", "chassis.operations.use"])
    installation.grant_role(STEWARD, ["identity.*"])
    installation.start(provisioned=provisioned)
    return installation


def request_id() -> str:
    """A request id that was never used."""
    return str(uuid4())


def identifier(kind: events_pb2.IdentifierKind.ValueType, value: str, namespace: str = "") -> record_pb2.Identifier:
    """An identifier."""
    return record_pb2.Identifier(kind=kind, value=value, namespace=namespace)


def record(
    name: str, *identifiers: record_pb2.Identifier, number: str = "", source: str = "crm", **fields: Any
) -> record_pb2.Record:
    """A record of somebody with a given name and a surname, or of nobody known where the name is empty."""
    made = record_pb2.Record(
        key=record_pb2.RecordKey(source=source, source_record_id=number or uuid4().hex), market="GB", **fields
    )
    if name:
        given, _, surname = name.partition(" ")
        made.person.names.add(given_names=given, surname=surname)
    made.person.identifiers.extend(identifiers)
    made.person.SetInParent()
    made.occurred_at.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
    return made


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by a steward who is a person.

    Attributes:
        shop: Calls with the certificate of a service.
        office: Calls with that of an office and the token of a steward.
        touchpoints: Sends touchpoints with the certificate of a service.
        registry: Declares what may be collected, as a steward does.
        health: Asks for readiness.
    """

    shop: identity_pb2_grpc.IdentityServiceAsyncStub
    office: identity_pb2_grpc.IdentityServiceAsyncStub
    touchpoints: ingest_pb2_grpc.TouchpointServiceAsyncStub
    registry: registry_pb2_grpc.RegistryServiceAsyncStub
    health: health_pb2_grpc.HealthAsyncStub  # type: ignore[name-defined]

    async def resolve(self, made: record_pb2.Record, named: str = "") -> identity_pb2.ResolvedRecord:
        """Take in a record."""
        return await self.shop.ResolveRecord(
            identity_pb2.ResolveRecordRequest(request_id=named or request_id(), record=made)
        )

    async def load(self, *batches: Sequence[record_pb2.Record]) -> list[identity_pb2.ResolveRecordsResponse]:
        """Take in batches."""

        async def messages() -> AsyncIterator[identity_pb2.ResolveRecordsRequest]:
            for at, batch in enumerate(batches):
                yield identity_pb2.ResolveRecordsRequest(batch=at, records=batch)

        return [answer async for answer in self.shop.ResolveRecords(messages())]

    async def look_up(
        self,
        wanted: record_pb2.Identifier,
        at_least: profile_pb2.PartitionPosition | None = None,
        market: str = "GB",
    ) -> identity_pb2.LookupProfileResponse:
        """Ask whose an identifier is."""
        return await self.shop.LookupProfile(
            identity_pb2.LookupProfileRequest(identifier=wanted, market=market, at_least=at_least)
        )

    async def profile(self, profile_id: str, as_of: datetime | None = None) -> profile_pb2.Profile:
        """Return a profile."""
        request = profile_pb2.GetProfileRequest(profile_id=profile_id)
        if as_of is not None:
            request.as_of.CopyFrom(stamp(as_of))
        return await self.shop.GetProfile(request)

    async def merge(self, *profile_ids: str, named: str = "") -> steward_pb2.StewardDecision:
        """Say that profiles are one person, as a steward does."""
        return await self.office.MergeProfiles(
            steward_pb2.MergeProfilesRequest(
                request_id=named or request_id(), profile_ids=profile_ids, reason="same person"
            )
        )

    async def split(self, profile_id: str, *leaving: Sequence[record_pb2.RecordKey]) -> steward_pb2.StewardDecision:
        """Say that a profile is several people, as a steward does."""
        groups = [steward_pb2.RecordGroup(records=group) for group in leaving]
        return await self.office.SplitProfile(
            steward_pb2.SplitProfileRequest(
                request_id=request_id(), profile_id=profile_id, leaving=groups, reason="two people"
            )
        )

    async def withdraw(self, constraint_id: str) -> steward_pb2.StewardDecision:
        """Take a decision back, as a steward does."""
        return await self.office.WithdrawConstraint(
            steward_pb2.WithdrawConstraintRequest(
                request_id=request_id(), constraint_id=constraint_id, reason="was wrong"
            )
        )

    async def id_map(self) -> tuple[identity_pb2.IdMapHeader, dict[str, identity_pb2.IdMapEntry]]:
        """Read the whole id map; it must be complete."""
        messages = [each async for each in self.shop.StreamIdMap(identity_pb2.StreamIdMapRequest())]
        header, *chunks, trailer = messages
        entries = [entry for each in chunks for entry in each.chunk.entries]
        assert len(entries) == trailer.trailer.entries
        return header.header, {entry.profile_id: entry for entry in entries}

    async def declare(self, *sources: str, purpose_id: str = "customer.service") -> None:
        """Declare sources, as a steward does."""
        for name in sources:
            terms = registry_pb2.DeclarationTerms(source=registry_pb2.SourceTerms(purpose_id=purpose_id))
            drafted = await self.registry.UpsertDeclaration(
                registry_pb2.UpsertDeclarationRequest(request_id=request_id(), name=name, terms=terms)
            )
            await self.registry.ActivateDeclaration(
                registry_pb2.ActivateDeclarationRequest(
                    request_id=request_id(),
                    kind=registry_pb2.DECLARATION_KIND_SOURCE,
                    name=name,
                    version=drafted.version,
                    reason="opened",
                )
            )

    async def until_serving(self, *names: str) -> None:
        """Wait until these roles are ready, and whoever answers knows what people decided."""

        async def serving() -> bool:
            try:
                answers = [await self.health.Check(health_pb2.HealthCheckRequest(service=name)) for name in names]
                if "api" in names:
                    await self._refused_visit()
            except RemoteError:
                return False
            return all(each.status == health_pb2.HealthCheckResponse.SERVING for each in answers)

        await eventually(serving, timeout_s=30)

    async def _refused_visit(self) -> None:
        """Send a visit of somebody who decided nothing: the gate must know that, and nothing is left of it."""
        visit = ingest_pb2.RawTouchpoint(source="webshop", source_event_id=uuid4().hex)
        visit.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_COOKIE, namespace="desk", value=uuid4().hex)
        visit.touchpoint.viewed.SetInParent()
        visit.touchpoint.channel = touchpoint_pb2.CHANNEL_WEB
        visit.touchpoint.purpose_ids.append("analytics.visits")
        visit.touchpoint.occurred_at.FromDatetime(datetime(2026, 1, 2, tzinfo=UTC))
        answer = await self.touchpoints.IngestTouchpoint(
            ingest_pb2.IngestTouchpointRequest(request_id=request_id(), touchpoint=visit)
        )
        assert answer.outcome == ingest_pb2.TOUCHPOINT_OUTCOME_REFUSED


@asynccontextmanager
async def open_desk(
    installation: IdentityInstallation, *, process: str = "service", deadline_s: float = 10.0
) -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process, deadline_s=deadline_s)
    office = installation.client(OFFICE, process=process, deadline_s=deadline_s)
    token = installation.actor_token(OFFICE, roles=[STEWARD])
    try:
        yield Desk(
            shop.stub(identity_pb2_grpc.IdentityServiceStub),
            office.stub(identity_pb2_grpc.IdentityServiceStub, actor_token=token),
            shop.stub(ingest_pb2_grpc.TouchpointServiceStub),
            office.stub(registry_pb2_grpc.RegistryServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
        )
    finally:
        await shop.close()
        await office.close()


def declare_population(installation: IdentityInstallation, *, process: str = "service") -> None:
    """Declare the sources of the population; not to be called in a thread in which an event loop runs."""

    async def declared() -> None:
        async with open_desk(installation, process=process) as desk:
            await desk.until_serving("api")
            await desk.declare(*(channel.source for channel in CHANNELS))

    asyncio.run(declared())
