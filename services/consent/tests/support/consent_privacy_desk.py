"""Privacy requests as officers and shops have them: a real consent service, and small real participants beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from consent_desk import CONSENT, OFFICER, SHOP, furnish, request_id
from consent_participants import MIGRATIONS, NAMES, READY
from consent_rig import provision
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc, privacy_pb2, privacy_pb2_grpc, privacy_request_pb2
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.files import replace_file
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation, tls_files
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually

FIRST, SECOND = "officer-1", "officer-2"
"""Two officers: what one prepares the other approves."""

OFFICE = "office"
RUNNING = privacy_request_pb2.PRIVACY_REQUEST_STATE_RUNNING
COMPLETED = privacy_request_pb2.PRIVACY_REQUEST_STATE_COMPLETED
VERIFIED = privacy_request_pb2.PRIVACY_REQUEST_STATE_VERIFIED
_OWN = "consent"
_PATIENCE_S = 60


@dataclass(frozen=True)
class PrivacyRig:
    """The parts.

    Attributes:
        installation: The servers.
        service: The consent service; it comes back at the same address.
        others: The participants.
    """

    installation: Installation
    service: ServiceProcess
    others: ServiceProcess

    async def restart(self, *failpoints: str) -> None:
        """Kill the service and start it with these failpoints, and no others, armed."""
        await asyncio.to_thread(self.service.kill)
        self.service.arm(*failpoints)
        await asyncio.to_thread(self.service.start)

    async def revive(self, *failpoints: str, asked: str) -> None:
        """Wait until a failpoint has killed the service, and start it with these; people do their part meanwhile."""
        while self.service.is_running:
            with contextlib.suppress(RemoteError):
                async with open_privacy_desk(self) as desk:
                    await desk.look_in_the_cellar(await desk.get(asked))
        await asyncio.to_thread(self.service.wait_killed)
        self.service.arm(*failpoints)
        await asyncio.to_thread(self.service.start)

    def database(self, name: str) -> psycopg.Connection:
        """Return a connection to the database of a service, as its owner."""
        database = ServiceDatabase.of(name)
        return psycopg.connect(self.installation.postgres.dsn(database.name, database.owner_role), autocommit=True)

    def note(self, service: str, profile_id: str, words: str) -> str:
        """Have a participant hold a note about somebody."""
        note_id = new_id("record")
        with self.database(service) as connection:
            connection.execute(
                "INSERT INTO notes (note_id, profile_id, words) VALUES (%s, %s, %s)", [note_id, profile_id, words]
            )
        return note_id

    def notes(self, service: str, *profile_ids: str) -> int:
        """Return how many notes a participant holds about people."""
        with self.database(service) as connection:
            row = connection.execute("SELECT count(*) FROM notes WHERE profile_id = ANY (%s)", [list(profile_ids)])
            return int((row.fetchone() or [0])[0])

    def sent(self, recipient: str) -> list[tuple[str, int]]:
        """Return the templates and codes sent to a recipient."""
        with self.database("identity") as connection:
            query = "SELECT template, code FROM sent WHERE recipient = %s"
            return connection.execute(query, [recipient]).fetchall()


@dataclass(frozen=True)
class PrivacyDesk:
    """A place from which requests are made and decided.

    Attributes:
        rig: Where they go.
        shop: Calls as a service, for people on the web.
        first: Calls as one officer.
        second: Calls as another.
        ledger: Asks the ledger.
    """

    rig: PrivacyRig
    shop: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    first: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    second: privacy_pb2_grpc.PrivacyRequestServiceAsyncStub
    ledger: consent_pb2_grpc.ConsentServiceAsyncStub

    async def create(
        self, *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str = "", **fields: Any
    ) -> privacy_pb2.CreatedRequest:
        """Take a request in, as a form on the web does."""
        return await self.shop.CreateRequest(created(*rights, email=email, **fields))

    async def verify(self, privacy_request_id: str, code: int) -> privacy_pb2.VerifiedRequester:
        """Show who asks by a code."""
        return await self.shop.VerifyRequester(
            privacy_pb2.VerifyRequesterRequest(
                request_id=request_id(), privacy_request_id=privacy_request_id, code=f"{code:08}"
            )
        )

    async def approve(self, privacy_request_id: str) -> privacy_request_pb2.PrivacyRequest:
        """Approve as the second officer, once it is known whom it is about."""

        async def approved() -> privacy_request_pb2.PrivacyRequest | None:
            try:
                return await self.second.ApproveRequest(
                    privacy_pb2.ApproveRequestRequest(
                        request_id=request_id(), privacy_request_id=privacy_request_id, reason="checked"
                    )
                )
            except RemoteError as error:
                if error.reason.name != "SUBJECT_UNSEARCHED":
                    raise
                return None

        return await eventually(approved, _PATIENCE_S)

    async def get(self, privacy_request_id: str) -> privacy_request_pb2.PrivacyRequest:
        """Return a request."""
        return await self.first.GetRequest(privacy_pb2.GetRequestRequest(privacy_request_id=privacy_request_id))

    async def code_to(self, profile_id: str) -> int:
        """Wait for the code that is sent to somebody."""

        async def sent() -> int:
            codes = await asyncio.to_thread(self.rig.sent, profile_id)
            return next((code for template, code in codes if template == "privacy_code"), 0)

        return await eventually(sent, _PATIENCE_S)

    async def verified(self, *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str, profile_id: str) -> str:
        """Take in a request of somebody on file, and have it shown by a code that they asked."""
        made = (await self.create(*rights, email=email)).privacy_request_id
        assert (await self.verify(made, await self.code_to(profile_id))).verified
        return made

    async def until(
        self, privacy_request_id: str, state: privacy_request_pb2.PrivacyRequestState.ValueType
    ) -> privacy_request_pb2.PrivacyRequest:
        """Wait until a request stands somewhere."""

        async def there() -> privacy_request_pb2.PrivacyRequest | None:
            found = await self.get(privacy_request_id)
            await self.look_in_the_cellar(found)
            return found if found.state == state else None

        return await eventually(there, _PATIENCE_S)

    async def look_in_the_cellar(self, request: privacy_request_pb2.PrivacyRequest) -> None:
        """Have people do what they are asked: they find nothing."""
        for task in request.tasks:
            if task.participant_kind == privacy_request_pb2.PARTICIPANT_KIND_MANUAL and not task.HasField("answer"):
                await self.first.CompleteManualTask(
                    privacy_pb2.CompleteManualTaskRequest(
                        request_id=request_id(),
                        privacy_request_id=request.privacy_request_id,
                        task_id=task.task_id,
                        outcome=common_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD,
                        reason="looked through every box",
                    )
                )

    async def held_up(self, privacy_request_id: str, code: str, stage: str) -> privacy_request_pb2.PrivacyRequest:
        """Wait until something holds a request up in a stage."""

        async def there() -> privacy_request_pb2.PrivacyRequest | None:
            found = await self.get(privacy_request_id)
            return found if found.stage == stage and code in {each.code for each in found.obstacles} else None

        return await eventually(there, _PATIENCE_S)

    async def fenced(self, profile_id: str) -> bool:
        """Whether the ledger answers that somebody was erased."""
        answer = await self.ledger.CheckConsent(
            consent_pb2.CheckConsentRequest(
                entry=consent_pb2.CheckEntry(profile_id=profile_id, purpose_id="stats"),
                consistency=consent_pb2.CONSISTENCY_AUTHORITY,
            )
        )
        return answer.answer == consent_pb2.ANSWER_DENY_FENCED


def created(
    *rights: privacy_request_pb2.PrivacyRight.ValueType, email: str = "", **fields: Any
) -> privacy_pb2.CreateRequestRequest:
    """Return a request of somebody in Germany."""
    values: dict[str, Any] = {
        "request_id": request_id(),
        "rights": [privacy_request_pb2.RightAsked(right=right) for right in rights],
        "channel": privacy_request_pb2.PRIVACY_CHANNEL_WEB,
        "requester_role": privacy_request_pb2.REQUESTER_ROLE_SUBJECT,
        "contact": privacy_request_pb2.RequesterContact(email=email),
        "subject": privacy_pb2.SubjectHint(email=email),
        "market": "DE",
        "market_reason": "RESIDENCE",
        "locale": "de",
    }
    return privacy_pb2.CreateRequestRequest(**values | fields)


@asynccontextmanager
async def open_privacy_desk(rig: PrivacyRig) -> AsyncIterator[PrivacyDesk]:
    """Call the service."""
    installation = rig.installation
    shop, office = installation.client(SHOP), installation.client(OFFICE)
    tokens = [installation.actor_token(OFFICE, subject=subject, roles=[OFFICER]) for subject in (FIRST, SECOND)]
    stub = privacy_pb2_grpc.PrivacyRequestServiceStub
    try:
        first, second = (office.stub(stub, actor_token=token) for token in tokens)
        yield PrivacyDesk(rig, shop.stub(stub), first, second, shop.stub(consent_pb2_grpc.ConsentServiceStub))
    finally:
        await shop.close()
        await office.close()


@contextmanager
def running_privacy_rig(
    folder: Path, *, more: Sequence[dict[str, Any]] = (), names: Sequence[str] = NAMES
) -> Iterator[PrivacyRig]:
    """Start servers, participants and service.

    Args:
        folder: Where everything lives.
        more: Further entries of the registry.
        names: Whose names the participants have, identity among them; consent is the ledger itself.
    """
    installation = Installation(CONSENT, folder)
    installation.grant(
        SHOP,
        [
            "consent.requests.create",
            "consent.requests.verify",
            "consent.requests.contact",
            "consent.checks.read",
            "consent.receipts.read",
        ],
    )
    installation.grant(OFFICE, ["consent.*"])
    installation.grant_role(OFFICER, ["consent.*"])
    installation.grant("consent", ["privacy.*", "identity.*", "notification.*"])
    installation.start(provisioned=False)
    others = _participants(installation, [name for name in names if name != _OWN])
    service = None
    try:
        asyncio.run(provision(installation, ack_wait=10**9, max_deliver=1000))
        others.start()
        port = str(free_port())
        service = installation.process(grpc__port=port, **_requests(installation, more, names, f"localhost:{port}"))
        service.start()
        furnish(installation)
        yield PrivacyRig(installation, service, others)
        service.terminate()
    finally:
        others.kill()
        if service is not None:
            service.kill()
        installation.stop()


def _participants(installation: Installation, names: Sequence[str]) -> ServiceProcess:
    folder = installation.folder
    own = installation.certificate("identity")
    config: dict[str, Any] = {"grpc": {"tls": tls_files(own).model_dump(mode="json")}}
    config |= {"policy": str(folder / "policy.yaml"), "issuers": str(folder / "issuers.json")}
    config["names"] = list(names)
    for name in names:
        create_service_database(installation.postgres.dsn("postgres"), name, RolePasswords())
        database = ServiceDatabase.of(name)
        dsns = {
            "dsn": installation.postgres.dsn(database.name, database.runtime_role),
            "owner_dsn": installation.postgres.dsn(database.name, database.owner_role),
        }
        upgrade(DatabaseSettings.model_validate(dsns), MIGRATIONS)
        signing = folder / f"{name}-signing"
        signing.mkdir()
        tls = tls_files(installation.certificate(name)).model_dump(mode="json")
        eraser = tls_files(installation.certificate(f"{name}-eraser")).model_dump(mode="json")
        config[name] = {
            "database": dsns,
            "nats": {"url": installation.nats.url, "tls": tls},
            "privacy": {"signing_folder": str(signing), "eraser": eraser, "look_every_s": 0.1},
            "address_file": str(folder / f"{name}.address"),
        }
    path = folder / "participants.json"
    replace_file(path, json.dumps(config).encode())
    program = Path(__file__).with_name("consent_participants.py")
    return ServiceProcess(
        [sys.executable, str(program)],
        {"PARTICIPANTS_CONFIG": str(path)},
        folder / "participants.log",
        ready_line=READY,
    )


def _requests(
    installation: Installation, more: Sequence[dict[str, Any]], names: Sequence[str], own: str
) -> dict[str, Any]:
    folder = installation.folder
    replace_file(folder / "vault.keys", ("ab" * 32).encode())
    replace_file(folder / "link.keys", ("cd" * 32).encode())
    (folder / "packages").mkdir()
    addresses = {name: (folder / f"{name}.address").read_text(encoding="ascii") for name in names if name != _OWN}
    peers: dict[str, str] = {"notification": addresses["identity"], _OWN: own, **addresses}
    taking_part = {}
    if _OWN in names:
        signing = folder / "own-signing"
        signing.mkdir()
        eraser = tls_files(installation.certificate(f"{_OWN}-eraser"))
        taking_part = {
            "privacy__signing_folder": str(signing),
            "privacy__eraser__certificate": str(eraser.certificate),
            "privacy__eraser__key": str(eraser.key),
            "privacy__eraser__authorities": str(eraser.authorities),
        }
    return {
        **taking_part,
        "http__port": "0",
        "http__address_file": str(folder / "http.address"),
        "links__keys_file": str(folder / "link.keys"),
        "requests__vault_keys_file": str(folder / "vault.keys"),
        "requests__packages_folder": str(folder / "packages"),
        "requests__participants": json.dumps([*({"name": name} for name in names), *more]),
        "requests__peers": json.dumps(peers),
        "requests__server_name": "localhost",
        "requests__look_every_s": "0.1",
    }
