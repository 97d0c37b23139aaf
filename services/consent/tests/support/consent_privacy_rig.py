"""A real consent service with small real participants beside it, of which the service may be killed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
from consent_desk import CONSENT, OFFICER, SHOP, furnish
from consent_participants import MIGRATIONS, NAMES, READY
from consent_rig import provision
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.client import Client
from rapport_chassis.settings import ClientSettings, DatabaseSettings
from rapport_chassis.telemetry.setup import Telemetry
from rapport_testing.files import replace_file
from rapport_testing.free_ports import free_port
from rapport_testing.installation import Installation, tls_files
from rapport_testing.process import ServiceProcess

OFFICE = "office"
_OWN = "consent"


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

    def fill(self, service: str, profile_id: str, words: Iterable[str]) -> None:
        """Have a participant hold a note for each of these words."""
        copying = "COPY notes (note_id, profile_id, words) FROM STDIN"
        with self.database(service) as connection, connection.cursor() as cursor, cursor.copy(copying) as copy:
            for each in words:
                copy.write_row((new_id("record"), profile_id, each))

    def somebody(self, *, ids: int = 1) -> tuple[str, list[str]]:
        """Return the address by which identity knows somebody, and their ids; churn holds two notes about them."""
        email, people = f"{new_id('record').lower()}@example.com", [new_id("profile") for _ in range(ids)]
        for each in people:
            self.note("identity", each, email)
        self.note("churn", people[0], "likes red")
        self.note("churn", people[-1], "likes blue")
        return email, people

    def calls_to(self, service: str) -> Client:
        """Return a client for calls to a participant, from the office."""
        tls = tls_files(self.installation.certificate(OFFICE))
        address = (self.installation.folder / f"{service}.address").read_text(encoding="ascii")
        return Client(ClientSettings(target=address, tls=tls, server_name="localhost"), telemetry=Telemetry.off())

    def fetch(self, path: str) -> tuple[int, bytes]:
        """Fetch something without a login."""
        address = (self.installation.folder / "http.address").read_text(encoding="ascii")
        with closing(HTTPConnection(address, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

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


@contextmanager
def running_privacy_rig(
    folder: Path, *, more: Sequence[dict[str, Any]] = (), names: Sequence[str] = NAMES, **settings: str
) -> Iterator[PrivacyRig]:
    """Start servers, participants and service.

    Args:
        folder: Where everything lives.
        more: Further entries of the registry.
        names: Whose names the participants have, identity among them; consent is the ledger itself.
        settings: Further settings of the service.
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
    installation.grant(OFFICE, ["consent.*", "churn.*"])
    installation.grant_role(OFFICER, ["consent.*", "churn.*"])
    installation.grant("consent", ["privacy.*", "identity.*", "notification.*", "churn.*"])
    installation.start(provisioned=False)
    others = _participants(installation, [name for name in names if name != _OWN])
    service = None
    try:
        asyncio.run(provision(installation, ack_wait=10**9, max_deliver=1000))
        others.start()
        port = str(free_port())
        wanted = _requests(installation, more, names, f"localhost:{port}") | settings
        service = installation.process(grpc__port=port, **wanted)
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
