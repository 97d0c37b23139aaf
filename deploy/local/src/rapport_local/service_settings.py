"""What a service's process is told in the local environment: its settings, its secrets, and where the others are."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rapport_testing.files import replace_file
from rapport_testing.pki import IssuedFiles, LocalAuthority

from rapport_local.environment import HOST, STREAM_MAX_BYTES, STREAM_PREFIX, Environment
from rapport_local.services import CONSENT, MAILS, SERVICES, SIGNING, LocalDatabase, LocalService, service_named

_VAULT_KEYS: Final = "vault.keys"
_VAULT_KEY_BYTES: Final = 32


@dataclass(frozen=True)
class DatabaseAccess:
    """How a database is reached.

    Attributes:
        dsn: Connection string of the run-time role.
        owner_dsn: Connection string of the role that migrates.
    """

    dsn: str
    owner_dsn: str


@dataclass(frozen=True)
class Connections:
    """Where a service finds the servers, and the others.

    Attributes:
        nats_url: Address of NATS.
        ports: The port each service serves on, "<service> http" where it answers HTTP too, and that of the mail server;
            one that is missing is any free one.
    """

    nats_url: str
    ports: Mapping[str, int]

    def http_port(self, service: LocalService) -> int:
        """Return where a service answers HTTP."""
        return self.ports.get(f"{service.name} http", 0)


def prepare_files(
    service: LocalService, environment: Environment, databases: Mapping[LocalDatabase, DatabaseAccess]
) -> None:
    """Make the folders of a service and write its secrets, so that only what must know one can read it."""
    for name in {*service.folders.values(), *([SIGNING] if service.participant else [])}:
        (environment.service_folder(service.name) / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    run, migrate = secrets_folders(service, environment)
    if service.name == CONSENT and not (vault := environment.secrets / CONSENT / _VAULT_KEYS).exists():
        replace_file(vault, secrets.token_hex(_VAULT_KEY_BYTES).encode(), mode=0o600)
    for database, reached in databases.items():
        for path, secret in (
            (run / database.secret("dsn"), reached.dsn),
            (migrate / database.secret("dsn"), reached.dsn),
            (migrate / database.secret("owner_dsn"), reached.owner_dsn),
        ):
            replace_file(path, secret.encode(), mode=0o600)


def variables(
    service: LocalService, environment: Environment, connections: Connections, *, migrating: bool = False
) -> dict[str, str]:
    """Return the environment variables that a service's process is configured with.

    Args:
        service: The service.
        environment: Where its files are.
        connections: Where the servers are.
        migrating: Whether it may know the passwords of the roles that own its databases; the serving process may not.
    """
    run, migrate = secrets_folders(service, environment)
    own = LocalAuthority(environment.certificates).files(service.name)
    settings = {
        "ENVIRONMENT": "local",
        "SECRETS_FOLDER": str(migrate if migrating else run),
        "GRPC__HOST": HOST,
        "GRPC__PORT": str(connections.ports[service.name]),
        "GRPC__DRAIN_S": "0",  # nobody balances load here
        **_tls("GRPC__TLS", own),
        "NATS__URL": connections.nats_url,
        **_tls("NATS__TLS", own),
        "NATS__STREAM_PREFIX": STREAM_PREFIX,
        "NATS__STREAM_MAX_BYTES": str(STREAM_MAX_BYTES),
        "AUTH__POLICY_FILE": str(environment.policy_file),
        "AUTH__ISSUERS_FILE": str(environment.issuers_file),
        "TELEMETRY__FOLDER": str(environment.telemetry),
        **(_gate(service, own, connections) if service.gate else {}),
        **(
            _tls("ERASER", LocalAuthority(environment.certificates).files(service.certificates[1]))
            if service.eraser
            else {}
        ),
        **(_participant(service, environment) if service.participant else {}),
        **(_http(service, connections) if service.http else {}),
        **(_mails(connections) if service.mails else {}),
        **_calls(service, own, connections),
        **(_requests(environment, connections) if service.name == CONSENT else {}),
        **{name: str(environment.service_folder(service.name) / folder) for name, folder in service.folders.items()},
        **service.settings,
    }
    return {service.prefix + name: value for name, value in settings.items()}


def _gate(service: LocalService, own: IssuedFiles, connections: Connections) -> dict[str, str]:
    """A gate inside a service follows the ledger by the connection that the service has to NATS."""
    return {
        "GATE__NAME": service.name,
        "GATE__CONSENT": f"{HOST}:{connections.ports[CONSENT]}",
        **_tls("GATE__TLS", own),
    }


def _http(service: LocalService, connections: Connections) -> dict[str, str]:
    return {"HTTP__HOST": HOST, "HTTP__PORT": str(connections.http_port(service)), "HTTP__DRAIN_S": "0"}


def _mails(connections: Connections) -> dict[str, str]:
    server = {"name": "local", "host": HOST, "port": connections.ports.get(MAILS, 25), "tls": "never"}
    return {"EMAIL__SERVERS": json.dumps([server])}


def _calls(service: LocalService, own: IssuedFiles, connections: Connections) -> dict[str, str]:
    found: dict[str, str] = {}
    for group, other in service.calls.items():
        found |= {f"{group}__TARGET": f"{HOST}:{connections.ports[other]}", **_tls(group + "__TLS", own)}
    return found


def _requests(environment: Environment, connections: Connections) -> dict[str, str]:
    """Privacy requests go to every service, the one that asks included; or to whom the environment's own file names."""
    participants = json.dumps([{"name": service.name} for service in SERVICES if service.participant])
    if environment.participants_file.exists():
        participants = environment.participants_file.read_text(encoding="utf-8")
    return {
        "REQUESTS__VAULT_KEYS_FILE": str(environment.secrets / CONSENT / _VAULT_KEYS),
        "REQUESTS__PARTICIPANTS": participants,
        "REQUESTS__PEERS": json.dumps(
            {name: f"{HOST}:{port}" for name, port in connections.ports.items() if service_named(name) is not None}
        ),
    }


def _participant(service: LocalService, environment: Environment) -> dict[str, str]:
    return {
        "PRIVACY__SIGNING_FOLDER": str(environment.service_folder(service.name) / SIGNING),
        **_tls("PRIVACY__ERASER", LocalAuthority(environment.certificates).files(service.certificates[1])),
    }


def _tls(group: str, files: IssuedFiles) -> dict[str, str]:
    return {
        f"{group}__CERTIFICATE": str(files.certificate),
        f"{group}__KEY": str(files.key),
        f"{group}__AUTHORITIES": str(files.authorities),
    }


def secrets_folders(service: LocalService, environment: Environment) -> tuple[Path, Path]:
    """Return where the secrets of a service's serving process are, and those of its migrations."""
    folder = environment.secrets / service.name
    return folder / "run", folder / "migrate"
