"""The identity service as its callers have it: short words for long requests, through the public client alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import rapport_identity
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rapport.identity.v1 import (
    events_pb2,
    identity_pb2,
    identity_pb2_grpc,
    profile_pb2,
    record_pb2,
    steward_pb2,
)
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.events import topology
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.installation import Installation, TestedService
from rapport_testing.waiting import eventually

PACKAGE = Path(rapport_identity.__file__).parent
IDENTITY = TestedService(
    "identity",
    migrations=PACKAGE / "migrations",
    topology=topology.DECLARED,
    settings={"KEYS__EPOCH_FOLDER": "{folder}/epochs", "KEYS__HASH_FOLDER": "{folder}/hashes"},
)
SHOP = "shop"
OFFICE = "office"
STEWARD = "steward"
ROLES = ("api", "relay")

EMAIL = events_pb2.IDENTIFIER_KIND_EMAIL
PHONE = events_pb2.IDENTIFIER_KIND_PHONE
DEVICE = events_pb2.IDENTIFIER_KIND_DEVICE


class IdentityInstallation(Installation):
    """Servers with both databases of the service: its own, and the key store."""

    def start(self, *, provisioned: bool = True) -> None:
        """Start the servers, migrate both databases and provision."""
        super().start(provisioned=provisioned)
        for name in ("epochs", "hashes"):
            (self.folder / "own" / name).mkdir(exist_ok=True)
        create_service_database(self.postgres.dsn("postgres"), "identity_keys", RolePasswords())
        upgrade(self.keys_settings(), PACKAGE / "keys_migrations")

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
        dsn = self.keys_settings().dsn.get_secret_value()
        return super().variables() | {"RAPPORT_IDENTITY_KEYS__DATABASE__DSN": dsn}


def start_installation(folder: Path, *, durable: bool = False, provisioned: bool = True) -> IdentityInstallation:
    """Start servers for the service, with callers who may what callers usually may."""
    installation = IdentityInstallation(IDENTITY, folder, durable=durable)
    shop_may = ["records.write", "profiles.*", "relations.read", "id_map.read"]
    installation.grant(SHOP, [f"identity.{permission}" for permission in shop_may])
    installation.grant(OFFICE, ["identity.*", "chassis.operations.use"])
    installation.grant_role(STEWARD, ["identity.*"])
    installation.start(provisioned=provisioned)
    return installation


def stamp(moment: datetime) -> Timestamp:
    """A time as a message."""
    made = Timestamp()
    made.FromDatetime(moment.astimezone(UTC))
    return made


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


@contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[pytest.ExceptionInfo[RemoteError]]:
    """Expect a call to be refused for a reason, and because of a field."""
    with pytest.raises(RemoteError) as caught:
        yield caught
    assert caught.value.reason.name == reason, caught.value
    if field is not None:
        assert field in [violation.path for violation in caught.value.fields]


@dataclass(frozen=True)
class Desk:
    """A place from which the service is called: by a shop, and by a steward who is a person.

    Attributes:
        shop: Calls with the certificate of a service.
        office: Calls with that of an office and the token of a steward.
        health: Asks for readiness.
    """

    shop: identity_pb2_grpc.IdentityServiceAsyncStub
    office: identity_pb2_grpc.IdentityServiceAsyncStub
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

    async def until_serving(self, *names: str) -> None:
        """Wait until these roles are ready."""

        async def serving() -> bool:
            try:
                answers = [await self.health.Check(health_pb2.HealthCheckRequest(service=name)) for name in names]
            except RemoteError:
                return False
            return all(each.status == health_pb2.HealthCheckResponse.SERVING for each in answers)

        await eventually(serving, timeout_s=30)


@asynccontextmanager
async def open_desk(
    installation: Installation, *, process: str = "service", deadline_s: float = 10.0
) -> AsyncIterator[Desk]:
    """Call a process of the service."""
    shop = installation.client(SHOP, process=process, deadline_s=deadline_s)
    office = installation.client(OFFICE, process=process, deadline_s=deadline_s)
    token = installation.actor_token(OFFICE, roles=[STEWARD])
    try:
        yield Desk(
            shop.stub(identity_pb2_grpc.IdentityServiceStub),
            office.stub(identity_pb2_grpc.IdentityServiceStub, actor_token=token),
            shop.stub(health_pb2_grpc.HealthStub),
        )
    finally:
        await shop.close()
        await office.close()
