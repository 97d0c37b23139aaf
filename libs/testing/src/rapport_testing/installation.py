"""One service as it runs in earnest, for component and kill tests: own PostgreSQL and NATS, certificates, a process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rapport_chassis.auth.actor_tokens import mint
from rapport_chassis.auth.certificates import thumbprint_of
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.events import topology
from rapport_chassis.events.provision import provision
from rapport_chassis.rpc.client import Client
from rapport_chassis.rpc.deadlines import DeadlineTable
from rapport_chassis.settings import ClientSettings, DatabaseSettings, NatsSettings, TlsFiles
from rapport_chassis.telemetry.setup import Telemetry

from rapport_testing.events import Broker
from rapport_testing.files import replace_file
from rapport_testing.nats import NatsServer
from rapport_testing.nats_configuration import NatsUser
from rapport_testing.pki import TRUST_DOMAIN, IssuedFiles, LocalAuthority
from rapport_testing.postgres import PostgresServer
from rapport_testing.process import ServiceProcess

OBSERVER = "observer"
"""The NATS user of the test itself, who may do everything; no service has the like."""

_ISSUER = "test"
_SERVING = ("rapport_chassis.process", "rapport_chassis.rpc.registration", "uvloop")  # imported by `serve` alone


@dataclass(frozen=True)
class TestedService:
    """What an installation must know of a service.

    Attributes:
        name: Its name, for example "consent"; its module is `rapport_<name>`.
        migrations: Folder of its migrations.
        topology: Folder of the declared streams, consumers and users.
        settings: Further settings, without the prefix; "{folder}" is replaced by a folder of the service's own.
        gates: Programs beside the services that hold a consent gate.
    """

    __test__ = False

    name: str
    migrations: Path
    topology: Path
    settings: Mapping[str, str]
    gates: Sequence[str] = ()


class Installation:
    """Servers, files and processes of one service under one folder. What is committed outlives a SIGKILL.

    Args:
        service: The service.
        folder: Where everything lives.
        durable: Whether commits reach the disk; False is faster, and loses nothing to a killed process either.
    """

    def __init__(self, service: TestedService, folder: Path, *, durable: bool = False) -> None:
        self.service = service
        self.folder = folder
        self.authority = LocalAuthority(folder / "certificates")
        self.postgres = PostgresServer(folder / "postgres", durable=durable)
        self._topology = topology.load(service.topology, gates=service.gates)
        users = [NatsUser(user.uri, user.publish, user.subscribe) for user in self._topology.users]
        self.nats = NatsServer(
            folder / "nats",
            users=[*users, NatsUser(_uri(OBSERVER), [">"], [">"])],
            tls=self.authority.issue("nats"),
        )
        self.database = ServiceDatabase.of(service.name)
        self._issuing_key = _issuing_key()
        self._certificates: dict[str, list[str]] = {}
        self._roles: dict[str, list[str]] = {}
        (folder / "own").mkdir(parents=True, exist_ok=True)
        self.grant(service.name, [])
        replace_file(folder / "issuers.json", _issuers(self._issuing_key))

    def start(self, *, provisioned: bool = True, migrated: bool = True) -> None:
        """Start the servers, migrate and provision. The service itself is started with `process`.

        Not to be called in a thread in which an event loop runs.

        Args:
            provisioned: Whether to create streams and consumers; without, the broker is as empty as a new one.
            migrated: Whether to create tables; without, the database is as empty as a new one.
        """
        self.postgres.start()
        self.nats.start()
        self.create_databases()
        if migrated:
            self.migrate()
        if provisioned:
            self.provision()

    def create_databases(self) -> None:
        """Create the service's database, empty, and its roles."""
        create_service_database(self.postgres.dsn("postgres"), self.service.name, RolePasswords())

    def migrate(self) -> None:
        """Bring the database to the newest schema, as the command `migrate` does."""
        upgrade(self.database_settings(), self.service.migrations)

    def stop(self) -> None:
        """Stop the servers."""
        self.nats.stop()
        self.postgres.stop()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Have a process of the service run, and stop it and the servers at the end, whatever comes between."""
        service = self.process()
        try:
            service.start()
            yield
            service.terminate()
        finally:
            service.kill()
            self.stop()

    def provision(self) -> None:
        """Create the declared streams and consumers, as the command `provision` does."""
        asyncio.run(provision(self.nats_settings("provision"), self.service.topology, check=False))

    def nats_settings(self, user: str) -> NatsSettings:
        """Return how a user reaches the broker."""
        return NatsSettings(url=self.nats.url, tls=tls_files(self.certificate(user)))

    def broker(self) -> Broker:
        """Return the broker as the observer sees it: every message of every stream."""
        return Broker(self.nats, self.nats_settings(OBSERVER), self._topology)

    def database_settings(self) -> DatabaseSettings:
        """Return how the database is reached, by the run-time role and by the owner."""
        database = self.database
        return DatabaseSettings.model_validate(
            {
                "dsn": self.postgres.dsn(database.name, database.runtime_role),
                "owner_dsn": self.postgres.dsn(database.name, database.owner_role),
            }
        )

    def process(
        self, name: str = "service", *, only: str | None = None, forked: bool = True, **settings: str
    ) -> ServiceProcess:
        """Return a process of the service, not yet started; ready once it answers calls, each time it is started.

        Args:
            name: Tells processes apart: each has its own address and log.
            only: The one role it has.
            forked: Whether it is forked from a process that has imported the service; else it starts as an operator
                starts it, by its command line.
            settings: Settings for this process, for example `grpc__max_in_flight="2"`.
        """
        address = self._address_file(name)
        variables = self.variables() | {
            self._variable("GRPC__ADDRESS_FILE"): str(address),
            **{self._variable(key.upper()): value for key, value in settings.items()},
        }
        argv = [*self._command(), "serve", *(["--only", only] if only else [])]
        return ServiceProcess(
            argv,
            variables,
            self.folder / f"{name}.log",
            ready_line='"event":"grpc_serving"',
            imports=(f"rapport_{self.service.name}.bootstrap", *_SERVING) if forked else (),
        )

    def address(self, name: str = "service") -> str:
        """Return where a started process serves."""
        return self._address_file(name).read_text(encoding="ascii")

    def client(
        self, caller: str, *, process: str = "service", telemetry: Telemetry | None = None, deadline_s: float = 10.0
    ) -> Client:
        """Return a client with the certificate of a caller, issued when first asked for."""
        files = self.certificate(caller)
        settings = ClientSettings(target=self.address(process), tls=tls_files(files), server_name="localhost")
        return Client(settings, telemetry=telemetry or Telemetry.off(), deadlines=DeadlineTable(default_s=deadline_s))

    def certificate(self, caller: str) -> IssuedFiles:
        """Return the certificate files of a caller."""
        files = self.authority.files(caller)
        return files if files.certificate.exists() else self.authority.issue(caller)

    def grant(self, caller: str, permissions: Sequence[str]) -> None:
        """Let a caller's certificate hold these permissions."""
        self._certificates[_uri(caller)] = list(permissions)
        self._write_policy()

    def grant_role(self, role: str, permissions: Sequence[str]) -> None:
        """Let operators with a role hold these permissions."""
        self._roles[role] = list(permissions)
        self._write_policy()

    def actor_token(self, caller: str, subject: str = "officer-1", roles: Sequence[str] = (), **claims: Any) -> str:
        """Return a token for an operator, bound to a caller's certificate; `claims` replace those of `mint`."""
        now = datetime.now(UTC)
        arguments: dict[str, Any] = {
            "issuer": _ISSUER,
            "audience": self.service.name,
            "subject": subject,
            "roles": roles,
            "auth_time": now,
            "thumbprint": thumbprint_of(self.certificate(caller).certificate),
            "now": now,
        }
        return mint(self._issuing_key, **arguments | claims)

    def variables(self) -> dict[str, str]:
        """Return the environment variables that configure the service."""
        own = self.certificate(self.service.name)
        settings = self.database_settings()
        values = {
            "ENVIRONMENT": "test",
            "DATABASE__DSN": settings.dsn.get_secret_value(),
            "GRPC__DRAIN_S": "0",
            "NATS__URL": self.nats.url,
            "AUTH__POLICY_FILE": str(self.folder / "policy.yaml"),
            "AUTH__ISSUERS_FILE": str(self.folder / "issuers.json"),
            "TELEMETRY__FOLDER": str(self.folder / "telemetry"),
            "TELEMETRY__SAMPLING": "1",
            **{key: value.format(folder=self.folder / "own") for key, value in self.service.settings.items()},
        }
        return {
            **{self._variable(key): value for key, value in values.items()},
            **_tls(self._variable("GRPC__TLS"), own),
            **_tls(self._variable("NATS__TLS"), own),
        }

    def _variable(self, name: str) -> str:
        return f"RAPPORT_{self.service.name.upper()}_{name}"

    def _command(self) -> list[str]:
        return [sys.executable, "-m", f"rapport_{self.service.name}"]

    def _address_file(self, process: str) -> Path:
        return self.folder / f"{process}.address"

    def _write_policy(self) -> None:
        policy = {"certificates": self._certificates, "roles": self._roles}
        replace_file(self.folder / "policy.yaml", yaml.safe_dump(policy).encode())


def _uri(holder: str) -> str:
    return f"spiffe://{TRUST_DOMAIN}/{holder}"


def tls_files(files: IssuedFiles) -> TlsFiles:
    """Return certificate files as settings."""
    return TlsFiles(certificate=files.certificate, key=files.key, authorities=files.authorities)


def _tls(group: str, files: IssuedFiles) -> dict[str, str]:
    return {
        f"{group}__CERTIFICATE": str(files.certificate),
        f"{group}__KEY": str(files.key),
        f"{group}__AUTHORITIES": str(files.authorities),
    }


def _issuing_key() -> jwt.PyJWK:
    secret = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    return jwt.PyJWK({**secret, "kid": "test-key", "alg": "EdDSA"})


def _issuers(key: jwt.PyJWK) -> bytes:
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.key.public_key(), as_dict=True)
    keys = [{**public, "kid": key.key_id, "alg": "EdDSA"}]
    return json.dumps({"issuers": [{"issuer": _ISSUER, "keys": keys}]}).encode()
