"""The services of the suite, as data: another service is another entry of the table.

What an entry does not say follows from the service's name: its module, its database and roles, its certificate, its
permissions (`<name>.*`), the prefix of its settings and its port. Who is not `consent` and asks the consent gate holds
one of its own, as `gate` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final


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

CONSENT: Final = "consent"
"""Name of the service that every gate follows."""

SIGNING: Final = "signing"
"""The folder of the keys that a participant signs with."""

_SOMEBODY: Final = "prf_0000000000000000000000"
_PRODUCT: Final = "prd_0000000000000000000000"

SERVICES: Final = (
    LocalService(
        CONSENT,
        participant=True,
        folders={"SIGNING_FOLDER": SIGNING, "REQUESTS__PACKAGES_FOLDER": "packages"},
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
        folders={"SIGNING_FOLDER": SIGNING},
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
        calls={"IDENTITY": "identity", "CONSENT": CONSENT},
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
