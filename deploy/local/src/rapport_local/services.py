"""The services of the suite, as data: another service is another entry of the table.

What an entry does not say follows from the service's name: its module, its database and roles, its certificate, its
permissions (`<name>.*`), the prefix of its settings and its port. Who is not `consent` and asks the consent gate holds
one of its own, as `gate` says.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from rapport_testing.files import replace_file
from rapport_testing.pki import IssuedFiles, LocalAuthority

from rapport_local.environment import HOST, STREAM_MAX_BYTES, STREAM_PREFIX, Environment


@dataclass(frozen=True)
class LocalDatabase:
    """A database of a service.

    Attributes:
        name: What it and its two roles are named after.
        group: The settings that say where it is.
        migrations: Folder of its migrations, in the service's package.
    """

    name: str
    group: str = "DATABASE"
    migrations: str = "migrations"

    def secret(self, name: str) -> str:
        """Return the name of the file that holds a secret setting of it."""
        return f"{self.group}__{name}".lower()


@dataclass(frozen=True)
class LocalService:
    """A service as the local environment runs it.

    Attributes:
        name: Its name, for example `consent`.
        further_databases: Those beside its own, each with roles of its own.
        gate: Whether it holds a consent gate.
        eraser: Whether it deletes messages of its stream, with the certificate of a user that may do nothing else.
        participant: Whether it takes part in privacy requests, with keys to sign with and an eraser.
        calls: Services that it calls, by the group of settings that says where they are.
        may: What its certificate may do in others, beside holding a gate.
        http: Whether it answers HTTP.
        mails: Whether it sends mails, to the mail server of the environment.
        outlives: Tables whose rows are taken over from the database that a restored one replaces, if it can be read.
        folders: Settings that name a folder of its own -> that folder's name; made before the start.
        settings: Further settings, without the prefix of the service.
        roles: What operators may do in it: role -> permissions. Administrators may do everything.
        examples: Calls worth showing to a new client: method -> request, as JSON.
    """

    name: str
    further_databases: tuple[LocalDatabase, ...] = ()
    gate: bool = False
    eraser: bool = False
    calls: Mapping[str, str] = field(default_factory=dict)
    may: tuple[str, ...] = ()
    http: bool = False
    mails: bool = False
    participant: bool = False
    outlives: tuple[str, ...] = ()
    folders: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"rapport_{self.name}"

    @property
    def databases(self) -> tuple[LocalDatabase, ...]:
        """Its own database first, then the further ones."""
        return LocalDatabase(self.name), *self.further_databases

    def migrations(self, database: LocalDatabase) -> Path:
        """Return the folder of a database's migrations, which lie in the service's package.

        Raises:
            ModuleNotFoundError: The service is not installed.
        """
        found = find_spec(self.module)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(self.module)
        return Path(found.origin).with_name(database.migrations)

    @property
    def certificates(self) -> tuple[str, ...]:
        """Whose certificates it needs: its own, and its eraser's where it has one."""
        return (self.name, f"{self.name}-eraser") if self.eraser or self.participant else (self.name,)

    @property
    def prefix(self) -> str:
        """How its environment variables begin."""
        return f"RAPPORT_{self.name.upper()}_"


MAILS: Final = "mails"
"""Name of the mail server."""

KEY_STORE: Final = "identity_keys"
"""The database of identity's keys: a backup of it brings none back unless somebody says so."""

_CONSENT: Final = "consent"
_SIGNING: Final = "signing"
_VAULT_KEYS: Final = "vault.keys"
_VAULT_KEY_BYTES: Final = 32
_SOMEBODY: Final = "prf_0000000000000000000000"
_PRODUCT: Final = "prd_0000000000000000000000"

SERVICES: Final = (
    LocalService(
        _CONSENT,
        participant=True,
        folders={"SIGNING_FOLDER": _SIGNING, "REQUESTS__PACKAGES_FOLDER": "packages"},
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
    LocalService(
        "identity",
        further_databases=(LocalDatabase(KEY_STORE, "KEYS__DATABASE", "keys_migrations"),),
        gate=True,
        participant=True,
        outlives=("suppressions",),
        folders={"KEYS__EPOCH_FOLDER": "epochs", "KEYS__HASH_FOLDER": "hashes"},
        roles={
            "officer": ("identity.declarations.*",),
            "steward": ("identity.*",),
            "analyst": (
                "identity.declarations.read",
                "identity.explanations.read",
                "identity.matchers.read",
                "identity.profiles.*",
                "identity.relations.read",
                "identity.reviews.read",
            ),
        },
        examples={
            "identity.v1.IdentityService/GetProfile": f'{{"profile_id": "{_SOMEBODY}"}}',
            "identity.v1.IdentityService/LookupProfile": (
                '{"identifier": {"kind": "IDENTIFIER_KIND_EMAIL", "value": "someone@example.com"}}'
            ),
            "identity.v1.IdentityService/ResolveRecord": (
                '{"record": {"key": {"source": "crm", "source_record_id": "1"}, "person": {"identifiers": '
                '[{"kind": "IDENTIFIER_KIND_EMAIL", "value": "someone@example.com"}]}}}'
            ),
        },
    ),
    LocalService(
        "churn",
        gate=True,
        eraser=True,
        participant=True,
        folders={"MODELS__FOLDER": "models", "MODELS__WORK_FOLDER": "work"},
        # Little is tried in a training: here a model is for looking at.
        settings={
            "PROFILING__CURRENCY": "GBP",
            "MODELS__EFFORT__DRAWS": "3",
            "MODELS__EFFORT__ORIGINS": "3",
            "MODELS__EFFORT__CUTOFFS": "20",
        },
        roles={"analyst": ("churn.*",)},
        examples={
            "churn.v1.ChurnService/ScoreProfile": f'{{"profile_id": "{_SOMEBODY}"}}',
            "churn.v1.ChurnService/BatchScoreProfiles": f'{{"profile_ids": ["{_SOMEBODY}"]}}',
            "churn.v1.ChurnService/RankProfiles": '{"order": "RANK_ORDER_VALUE_AT_RISK", "at_risk_only": true}',
            "churn.v1.ModelService/TrainModel": '{"seed": 1}',
        },
    ),
    LocalService(
        "pricing",
        gate=True,
        participant=True,
        folders={"SIGNING_FOLDER": _SIGNING},
        settings={"RETENTION__PROMOTION_ID": "winback", "RETENTION__LEAST_LEVEL": "elevated"},
        roles={
            "buyer": ("pricing.*",),
            "analyst": (
                "pricing.experiments.read",
                "pricing.explanations.read",
                "pricing.offers.read",
                "pricing.prices.read",
                "pricing.products.read",
                "pricing.reviews.read",
                "pricing.versions.read",
            ),
        },
        examples={
            "pricing.v1.CatalogService/SetMarket": '{"market": "DE", "terms": {"currency": "EUR"}}',
            "pricing.v1.CatalogService/UpsertProduct": (
                f'{{"product": {{"product_id": "{_PRODUCT}", "category": "shoes", "listings": [{{"market": "DE", '
                '"unit_cost": {"currency_code": "EUR", "units": "6"}, "tax_ppm": 190000}]}}'
            ),
            "pricing.v1.PricingService/GetQuote": (
                f'{{"market": "DE", "lines": [{{"product_id": "{_PRODUCT}", "quantity": 1}}]}}'
            ),
            "pricing.v1.PricingService/ListOffers": f'{{"profile_id": "{_SOMEBODY}"}}',
        },
    ),
    LocalService(
        "notification",
        gate=True,
        participant=True,
        calls={"IDENTITY": "identity", "CONSENT": _CONSENT},
        may=(
            "consent.ledger.write",
            "consent.requests.contact",
            "identity.contact_points.read",
            "identity.profiles.lookup",
            "identity.profiles.read",
        ),
        http=True,
        mails=True,
        folders={"KEYS_FOLDER": "keys"},
        settings={
            "LINKS__ORIGIN": "https://links.example.com",
            "EMAIL__SENDER": "shop@mail.example.com",
            "EMAIL__SENDER_NAME": "Example Shop",
            "EMAIL__BOUNCE_DOMAIN": "bounces.example.com",
            "EMAIL__TEST_DOMAINS": '["example.com"]',
            "TRACKING__PURPOSE_ID": "tracking.messages",
            "LOCALES": '["en", "de"]',
        },
        roles={
            "editor": ("notification.*",),
            "analyst": (
                "notification.explanations.read",
                "notification.messages.read",
                "notification.rules.read",
                "notification.templates.read",
                "notification.triggers.read",
            ),
        },
        examples={
            "notification.v1.NotificationService/ListNotifications": f'{{"recipient_id": "{_SOMEBODY}"}}',
            "notification.v1.PreferenceService/GetPreferences": f'{{"profile_id": "{_SOMEBODY}"}}',
            "notification.v1.TriggerService/ListTriggers": '{"trigger_id": "retention_offer"}',
            "notification.v1.TriggerService/SimulateTrigger": '{"trigger_id": "retention_offer"}',
        },
    ),
)
"""Every service that `rapport up` starts."""


def service_named(name: str) -> LocalService | None:
    """Return the service of this name, None if there is none."""
    return next((service for service in SERVICES if service.name == name), None)


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
    for name in {*service.folders.values(), *([_SIGNING] if service.participant else [])}:
        (environment.service_folder(service.name) / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    run, migrate = secrets_folders(service, environment)
    if service.name == _CONSENT and not (vault := environment.secrets / _CONSENT / _VAULT_KEYS).exists():
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
        **(_requests(environment, connections) if service.name == _CONSENT else {}),
        **{name: str(environment.service_folder(service.name) / folder) for name, folder in service.folders.items()},
        **service.settings,
    }
    return {service.prefix + name: value for name, value in settings.items()}


def _gate(service: LocalService, own: IssuedFiles, connections: Connections) -> dict[str, str]:
    """A gate inside a service follows the ledger by the connection that the service has to NATS."""
    return {
        "GATE__NAME": service.name,
        "GATE__CONSENT": f"{HOST}:{connections.ports[_CONSENT]}",
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
    """Privacy requests go to every service, the one that asks included."""
    participants = [service.name for service in SERVICES if service.participant]
    return {
        "REQUESTS__VAULT_KEYS_FILE": str(environment.secrets / _CONSENT / _VAULT_KEYS),
        "REQUESTS__PARTICIPANTS": json.dumps([{"name": name} for name in participants]),
        "REQUESTS__PEERS": json.dumps(
            {name: f"{HOST}:{port}" for name, port in connections.ports.items() if service_named(name) is not None}
        ),
    }


def _participant(service: LocalService, environment: Environment) -> dict[str, str]:
    return {
        "PRIVACY__SIGNING_FOLDER": str(environment.service_folder(service.name) / _SIGNING),
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
