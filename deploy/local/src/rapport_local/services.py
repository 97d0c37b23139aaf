"""The services of the suite, as data: another service is another entry of the table.

What an entry does not say follows from the service's name: its module, its database and roles, its certificate, its
permissions (`<name>.*`), the prefix of its settings and its port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rapport_testing.files import replace_file
from rapport_testing.pki import IssuedFiles, LocalAuthority

from rapport_local.environment import HOST, STREAM_MAX_BYTES, STREAM_PREFIX, Environment


@dataclass(frozen=True)
class LocalService:
    """A service as the local environment runs it.

    Attributes:
        name: Its name, for example `consent`.
        folders: Settings that name a folder of its own -> that folder's name; made before the start.
        settings: Further settings, without the prefix of the service.
        roles: What operators may do in it: role -> permissions. Administrators may do everything.
        examples: Calls worth showing to a new client: method -> request, as JSON.
    """

    name: str
    folders: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"rapport_{self.name}"

    @property
    def migrations(self) -> Path:
        """Folder of its migrations, which lie in its package.

        Raises:
            ModuleNotFoundError: The service is not installed.
        """
        found = find_spec(self.module)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(self.module)
        return Path(found.origin).with_name("migrations")

    @property
    def prefix(self) -> str:
        """How its environment variables begin."""
        return f"RAPPORT_{self.name.upper()}_"


_SOMEBODY: Final = "prf_0000000000000000000000"

SERVICES: Final = (
    LocalService(
        "consent",
        folders={"SIGNING_FOLDER": "signing"},
        settings={
            "CONTROLLER__NAME": "Example Shop Ltd",
            "CONTROLLER__ADDRESS": "1 Example Street, Exampletown",
            "CONTROLLER__CONTACT": "privacy@example.com",
        },
        roles={
            "officer": ("consent.*",),
            "analyst": (
                "consent.checks.read",
                "consent.ledger.read",
                "consent.purposes.read",
                "consent.receipts.read",
            ),
        },
        examples={
            "consent.v1.ConsentService/BatchCheckConsent": (
                f'{{"entries": [{{"profile_id": "{_SOMEBODY}", "purpose_id": "marketing.email"}}]}}'
            ),
            "consent.v1.ConsentService/GetConsentState": f'{{"profile_id": "{_SOMEBODY}"}}',
            "consent.v1.ConsentService/WithdrawConsent": f'{{"profile_id": "{_SOMEBODY}"}}',
            "consent.v1.PurposeService/UpsertPurpose": (
                '{"purpose_id": "marketing.email", "terms": {"bases": [{"basis": "LEGAL_BASIS_CONSENT"}]}}'
            ),
        },
    ),
)
"""Every service that `rapport up` starts."""


def service_named(name: str) -> LocalService | None:
    """Return the service of this name, None if there is none."""
    return next((service for service in SERVICES if service.name == name), None)


@dataclass(frozen=True)
class Connections:
    """Where a service finds the servers.

    Attributes:
        dsn: Connection string of its run-time role.
        owner_dsn: Connection string of the role that migrates.
        nats_url: Address of NATS.
        port: The port it serves on.
    """

    dsn: str
    owner_dsn: str
    nats_url: str
    port: int


def prepare_files(service: LocalService, environment: Environment, connections: Connections) -> None:
    """Make the folders of a service and write its secrets, so that only what must know one can read it."""
    for name in service.folders.values():
        (environment.service_folder(service.name) / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    run, migrate = secrets_folders(service, environment)
    for path, secret in (
        (run / "database__dsn", connections.dsn),
        (migrate / "database__dsn", connections.dsn),
        (migrate / "database__owner_dsn", connections.owner_dsn),
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
        migrating: Whether it may know the password of the role that owns the database; the serving process may not.
    """
    run, migrate = secrets_folders(service, environment)
    own = LocalAuthority(environment.certificates).files(service.name)
    settings = {
        "ENVIRONMENT": "local",
        "SECRETS_FOLDER": str(migrate if migrating else run),
        "GRPC__HOST": HOST,
        "GRPC__PORT": str(connections.port),
        "GRPC__DRAIN_S": "0",  # nobody balances load here
        **_tls("GRPC__TLS", own),
        "NATS__URL": connections.nats_url,
        **_tls("NATS__TLS", own),
        "NATS__STREAM_PREFIX": STREAM_PREFIX,
        "NATS__STREAM_MAX_BYTES": str(STREAM_MAX_BYTES),
        "AUTH__POLICY_FILE": str(environment.policy_file),
        "AUTH__ISSUERS_FILE": str(environment.issuers_file),
        "TELEMETRY__FOLDER": str(environment.telemetry),
        **{name: str(environment.service_folder(service.name) / folder) for name, folder in service.folders.items()},
        **service.settings,
    }
    return {service.prefix + name: value for name, value in settings.items()}


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
