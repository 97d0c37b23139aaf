"""Human operators of the local environment: a login kept in its folder, and the key that vouches for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from rapport_chassis.auth.actor_tokens import mint
from rapport_chassis.auth.certificates import thumbprint_of
from rapport_testing.files import replace_file
from rapport_testing.pki import IssuedFiles

from rapport_local.environment import Environment

ISSUER: Final = "https://login.rapport.local"
_LIFETIME: Final = timedelta(hours=12)


class Login(BaseModel):
    """Who works at this machine.

    Attributes:
        subject: The operator.
        roles: What they act as.
        auth_time: When they logged in; some actions ask for a fresh login.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    roles: list[str]
    auth_time: AwareDatetime


def make_issuer(environment: Environment) -> None:
    """Make the key that vouches for local logins, and tell the services to trust it; nothing if there is one."""
    key_file = environment.secrets / "issuer.jwk"
    if key_file.exists() and environment.issuers_file.exists():
        return
    private = Ed25519PrivateKey.generate()
    document = {**OKPAlgorithm.to_jwk(private, as_dict=True), "kid": "local", "alg": "EdDSA"}
    public = {name: value for name, value in document.items() if name not in ("d", "key_ops")}
    replace_file(key_file, json.dumps(document).encode(), mode=0o600)
    issuers = {"issuers": [{"issuer": ISSUER, "keys": [public]}]}
    replace_file(environment.issuers_file, json.dumps(issuers, indent=2).encode(), mode=0o600)


def log_in(environment: Environment, subject: str, roles: list[str]) -> Login:
    """Keep a login, in place of an earlier one."""
    login = Login(subject=subject, roles=roles, auth_time=datetime.now(UTC))
    replace_file(environment.login_file, login.model_dump_json(indent=2).encode(), mode=0o600)
    return login


def current_login(environment: Environment) -> Login | None:
    """Return who is logged in; None for nobody, or once the login is half a day old."""
    try:
        login = Login.model_validate_json(environment.login_file.read_bytes())
    except (OSError, ValidationError):
        return None
    return login if datetime.now(UTC) - login.auth_time < _LIFETIME else None


def token_for(environment: Environment, login: Login, *, service: str, presenter: IssuedFiles) -> str:
    """Mint a token that shows the operator to one service, for use with one certificate, good for five minutes."""
    key = jwt.PyJWK(json.loads((environment.secrets / "issuer.jwk").read_bytes()))
    return mint(
        key,
        issuer=ISSUER,
        audience=service,
        subject=login.subject,
        roles=login.roles,
        auth_time=login.auth_time,
        thumbprint=thumbprint_of(presenter.certificate),
        now=datetime.now(UTC),
    )
