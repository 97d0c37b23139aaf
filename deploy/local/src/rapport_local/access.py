"""Who is who in the local environment: certificates of the own authority, and what each holder and role may do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from pydantic import ValidationError
from rapport_chassis.auth.permissions import Grants, PolicyFile
from rapport_chassis.events.provision import PROVISION_USER
from rapport_testing.files import replace_file
from rapport_testing.pki import TRUST_DOMAIN, IssuedFiles, LocalAuthority

from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.services import SERVICES, LocalService

CLI: Final = "cli"
"""The client that the command itself is, which may do everything a certificate can allow."""

FOLLOW_LEDGER: Final = "consent.replica.read"
"""Whoever holds this permission may hold a consent gate."""

HOLD_GATE: Final = (FOLLOW_LEDGER, "consent.checks.read")
"""What a holder's gate needs: to follow the ledger, and to ask it where it does not know enough itself."""

RUN_REQUESTS: Final = (
    "privacy.*",
    "churn.explanations.read",
    "churn.reviews.create",
    "identity.constraints.exclude",
    "identity.contact_points.read",
    "identity.explanations.read",
    "identity.profiles.lookup",
    "notification.messages.send",
    "pricing.explanations.read",
    "pricing.reviews.create",
)
"""What consent, which coordinates privacy requests, may do: in every participant, to find people and write to them, and
to have decisions about them reviewed."""

_RENEW_BEFORE: Final = timedelta(days=10)
_OF_SERVICES: Final = tuple(name for service in SERVICES for name in service.certificates)
_RESERVED: Final = frozenset({CLI, PROVISION_USER, "nats", "authority"})


def caller(name: str) -> str:
    """Return the URI by which services know the holder of a certificate."""
    return f"spiffe://{TRUST_DOMAIN}/{name}"


def tls_files(environment: Environment, name: str) -> IssuedFiles:
    """Return the certificate files of a client.

    Raises:
        Failure: None were issued under this name.
    """
    files = LocalAuthority(environment.certificates).files(name)
    if not files.certificate.exists():
        raise Failure(f"there is no client {name!r}", hint=f"make one: rapport client add {name} --may PERMISSION")
    return files


def issue_certificates(environment: Environment) -> None:
    """Issue the certificates that are missing, and renew those that end within days."""
    authority = LocalAuthority(environment.certificates)
    names = [CLI, PROVISION_USER, "nats", *_OF_SERVICES]
    for name in (*names, *(holder for holder in holders(environment) if holder not in names)):
        certificate = authority.files(name).certificate
        if not certificate.exists() or expiry(certificate) < datetime.now(UTC) + _RENEW_BEFORE:
            authority.issue(name)


def holders(environment: Environment) -> list[str]:
    """Return the names of everyone a certificate was issued to."""
    return sorted(path.parent.name for path in environment.certificates.glob("*/tls.crt"))


def gate_holders(environment: Environment) -> list[str]:
    """Return the clients that may hold a consent gate; the environment's own holders are not among them."""
    certificates = read_policy(environment).certificates
    own = {*_RESERVED, *_OF_SERVICES}
    names = [name for name in holders(environment) if name not in own]
    return [name for name in names if Grants(certificates.get(caller(name), ())).allow(FOLLOW_LEDGER)]


def expiry(certificate: Path) -> datetime:
    """Return when a certificate ends.

    Raises:
        ValueError: The file holds none.
    """
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def write_policy(environment: Environment) -> None:
    """Write the policy file; in an existing one only holders of its own and administrators get what is new."""
    everything = ["chassis.*", *RUN_REQUESTS, *(f"{service.name}.*" for service in SERVICES)]
    policy = read_policy(environment)
    gates = {caller(service.name): [*HOLD_GATE, *service.may] for service in SERVICES if service.gate}
    requests = {caller("consent"): list(RUN_REQUESTS)}
    certificates = {**policy.certificates, **gates, **requests, caller(CLI): everything}
    roles = {**_roles(SERVICES), **policy.roles, "administrator": everything}
    _replace_policy(environment, PolicyFile(certificates=certificates, roles=roles))


def read_policy(environment: Environment) -> PolicyFile:
    """Return the policy; an empty one before there is a file.

    Raises:
        Failure: A person has broken the file.
    """
    try:
        return PolicyFile.model_validate(yaml.safe_load(environment.policy_file.read_bytes()) or {})
    except FileNotFoundError:
        return PolicyFile()
    except (ValidationError, yaml.YAMLError) as error:
        raise Failure(
            f"{environment.policy_file} is not a policy",
            details=str(error),
            hint="mend it, or remove it and run `rapport up`: it is written anew",
        ) from error


def add_client(environment: Environment, name: str, permissions: Sequence[str]) -> tuple[IssuedFiles, list[str]]:
    """Issue a certificate, unless the client has one, and let its holder do what the permissions say in addition.

    Running services take it up within a second. Returned are the files and all permissions the client has now.

    Raises:
        Failure: The name belongs to a service, or a permission is malformed.
    """
    if name in _RESERVED or name in _OF_SERVICES:
        raise Failure(f"the name {name!r} is taken by the environment itself", hint="choose another one")
    policy = read_policy(environment)
    held = list(dict.fromkeys([*policy.certificates.get(caller(name), ()), *permissions]))
    try:
        changed = PolicyFile(certificates={**policy.certificates, caller(name): held}, roles=policy.roles)
    except ValidationError as error:
        raise Failure(
            f"{' '.join(permissions)}: not a permission",
            hint="a permission is a dotted name such as consent.checks.read; consent.* holds all below it",
        ) from error
    authority = LocalAuthority(environment.certificates)
    try:
        files = authority.files(name) if name in holders(environment) else authority.issue(name)
    except ValueError as error:
        raise Failure(f"{name!r}: a client's name is made of lower-case letters, digits and hyphens") from error
    _replace_policy(environment, changed)
    return files, held


def role_that_may(permission: str) -> str:
    """Return the first role, as services declare them, that holds a permission."""
    found = (role for role, held in _roles(SERVICES).items() if Grants(held).allow(permission))
    return next(found, "administrator")


def _roles(services: Iterable[LocalService]) -> dict[str, list[str]]:
    roles: dict[str, list[str]] = {}
    for service in services:
        for role, permissions in service.roles.items():
            roles.setdefault(role, []).extend(permissions)
    return roles


def _replace_policy(environment: Environment, policy: PolicyFile) -> None:
    """Write the policy; a file that says the same already stays, with its comments."""
    if environment.policy_file.exists() and read_policy(environment) == policy:
        return
    text = "# Which certificate and which role may do what. Services read it again when it changes.\n"
    text += yaml.safe_dump(policy.model_dump(), sort_keys=False, width=120)
    replace_file(environment.policy_file, text.encode(), mode=0o600)
