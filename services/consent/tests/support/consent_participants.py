"""Small real participants of privacy requests, in one process: identity, which also finds people, and churn, which
decides about them.

They keep notes about people in databases of their own, and take tasks, answer and export as every service does.
Messages that they are asked to send go into a table.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from consent_holdings import Identity, Notes, People
from consent_scores import Scores
from google.protobuf.descriptor import ServiceDescriptor
from rapport.churn.v1 import churn_pb2, churn_pb2_grpc
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc
from rapport.notification.v1 import events_pb2 as messages_pb2
from rapport.notification.v1 import notification_pb2, notification_pb2_grpc
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.events.nats import NatsConnection
from rapport_chassis.events.relay import Relay
from rapport_chassis.ids import new_id
from rapport_chassis.process import Component
from rapport_chassis.rpc.server import ServerBuilder
from rapport_chassis.settings import DatabaseSettings, GrpcSettings, NatsSettings
from rapport_chassis.telemetry.setup import Telemetry
from rapport_privacy.participant.joining import participate
from rapport_privacy.participant.ledger import Known
from rapport_privacy.settings import ParticipantSettings

MIGRATIONS: Final = Path(__file__).with_name("consent_notes_migrations")
NAMES: Final = ("identity", "churn")
READY: Final = "participants serving"

_IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
_CHURN = churn_pb2.DESCRIPTOR.services_by_name["ChurnService"]
_NOTIFICATION = notification_pb2.DESCRIPTOR.services_by_name["NotificationService"]


class Messages(notification_pb2_grpc.NotificationServiceServicer):
    """Takes messages down."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def SendNotification(
        self, request: notification_pb2.SendNotificationRequest, context: Any
    ) -> notification_pb2.NotificationRecord:
        """Take a message down."""
        code = request.variables["code"].integer if "code" in request.variables else 0
        async with self._database.transaction() as connection:
            values = [request.recipient_id, request.template_id, code]
            await connection.execute("INSERT INTO sent (recipient, template, code) VALUES (%s, %s, %s)", values)
        sent = messages_pb2.Notification(notification_id=new_id("notification"), recipient_id=request.recipient_id)
        return notification_pb2.NotificationRecord(notification=sent)


def only(servicer_class: Any, database: Database, service: ServiceDescriptor) -> Any:
    """Return a servicer whose methods that nobody wrote fail, in the shape that a server asks for."""
    servicer = servicer_class(database)

    async def one(request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def many(request: Any, context: Any) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield

    for method in service.methods:
        if method.name not in servicer_class.__dict__:
            setattr(servicer, method.name, many if method.server_streaming else one)
    return servicer


async def _everything() -> Known:
    """The sample follows no ledger: whatever a task rests upon, it knows."""
    return Known("", sys.maxsize, True)


async def serve(config: dict[str, Any]) -> None:
    """Serve until the process is ended."""
    clock, telemetry = SystemClock(), Telemetry.off()
    grpc = GrpcSettings.model_validate(config["grpc"])
    policy = PermissionPolicy.load(Path(config["policy"]))
    components: list[Component] = []
    servers = []
    names = config["names"]
    databases = {
        name: Database(DatabaseSettings.model_validate(config[name]["database"]), service=name) for name in names
    }
    for name, database in databases.items():
        own = config[name]
        await database.open()
        nats_settings = NatsSettings.model_validate(own["nats"])
        nats = NatsConnection(nats_settings, user=name, clock=clock)
        address = grpc.model_copy(update={"address_file": Path(own["address_file"])})
        tokens = ActorTokenVerifier(Path(config["issuers"]), name, clock)
        server = ServerBuilder(
            address,
            service=name,
            telemetry=telemetry,
            policy=policy,
            tokens=tokens,
            clock=clock,
            roles=("api", "events"),
        )
        if name == "identity":
            server.add(
                identity_pb2_grpc.add_IdentityServiceServicer_to_server, only(Identity, database, _IDENTITY), _IDENTITY
            )
        if name == "churn":
            server.add(churn_pb2_grpc.add_ChurnServiceServicer_to_server, only(Scores, database, _CHURN), _CHURN)
        if name == ("notification" if "notification" in names else "identity"):
            server.add(
                notification_pb2_grpc.add_NotificationServiceServicer_to_server,
                only(Messages, databases["identity"], _NOTIFICATION),
                _NOTIFICATION,
            )
        components += [
            nats,
            Relay(name, database=database, nats=nats_settings, telemetry=telemetry, clock=clock),
            *participate(
                name,
                ParticipantSettings.model_validate(own["privacy"]),
                People() if name == "identity" else Notes(),
                server=server,
                roles=("api", "events"),
                database=database,
                nats=nats,
                ledger=_everything,
                telemetry=telemetry,
                release="test",
                clock=clock,
            ),
        ]
        servers.append(server.build())
    for component in components:
        await component.start()
    for built in servers:
        await built.start()
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(os.environ["PARTICIPANTS_CONFIG"]).read_text(encoding="utf-8"))))
