"""Tokens that show which human operator stands behind a call.

A JWT (RFC 7519), signed with EdDSA or ES256 by an issuer that configuration names, for one service, at most five
minutes, and bound to the certificate it is presented with (`cnf` `x5t#S256`, RFC 8705): from any other one it is a
replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.reloading import Reloaded

METADATA_KEY: Final = "rapport-actor-token"
"""Header that carries the token."""

MAX_LIFETIME_S: Final = 300
_SKEW_S: Final = 5  # how far the issuer's clock may be ahead
_ALGORITHMS: Final = ("EdDSA", "ES256")
_LONGEST: Final = 8192
_REMEMBERED: Final = 512


@dataclass(frozen=True, slots=True)
class Actor:
    """A human operator: officer, analyst or administrator; never a customer.

    Attributes:
        subject: Who, as the issuer names them.
        roles: What they act as.
        issuer: Who says so.
        auth_time: When they last logged in.
    """

    subject: str
    roles: tuple[str, ...]
    issuer: str
    auth_time: datetime


class Issuer(BaseModel):
    """An issuer and its public keys in JWK form, each with a `kid`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    keys: list[dict[str, Any]]


class IssuersFile(BaseModel):
    """Form of the issuers file: `{"issuers": [{"issuer": "…", "keys": [JWK, …]}]}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuers: list[Issuer]


class _Confirmation(BaseModel):
    thumbprint: str = Field(alias="x5t#S256", min_length=1)


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    sub: Annotated[str, Field(min_length=1, max_length=200)]
    roles: list[str]
    auth_time: int
    iat: int
    exp: int
    cnf: _Confirmation


@dataclass(frozen=True, slots=True)
class _Verified:
    actor: Actor
    thumbprint: str
    issued_at: int
    expires_at: int


class ActorTokenVerifier:
    """Verifies actor tokens for one service; issuers and keys are read again when their file changes.

    Attributes:
        audience: Name of the service.
    """

    def __init__(self, issuers_file: Path, audience: str, clock: Clock | None = None) -> None:
        """Read the issuers.

        Args:
            issuers_file: See `IssuersFile`.
            audience: Name of this service.
            clock: The time; the machine's by default.

        Raises:
            OSError: The file cannot be read.
            ValueError: It does not have the form, or holds a key that cannot verify.
        """
        self.audience = audience
        self._clock = clock or SystemClock()
        self._keys = Reloaded("issuers", [issuers_file], lambda: _read(issuers_file))
        self._remembered_of = self._keys.generation
        self._signed = lru_cache(_REMEMBERED)(self._check_signature)

    def verify(self, token: str, thumbprint: str) -> Actor:
        """Return who stands behind a call.

        Args:
            token: As sent.
            thumbprint: `x5t#S256` of the certificate it came with.

        Raises:
            RapportError: ACTOR_TOKEN_INVALID, ACTOR_TOKEN_EXPIRED or ACTOR_TOKEN_REPLAYED.
        """
        self._keys.current()
        if self._remembered_of != self._keys.generation:
            self._remembered_of = self._keys.generation
            self._signed.cache_clear()
        verified = self._signed(token)
        now = self._clock.now().timestamp()
        if verified.issued_at > now + _SKEW_S:
            raise _invalid("it was issued in the future")
        if now >= verified.expires_at:
            raise CHASSIS_ERRORS.error("ACTOR_TOKEN_EXPIRED", "the actor token has expired")
        if verified.thumbprint != thumbprint:
            raise CHASSIS_ERRORS.error("ACTOR_TOKEN_REPLAYED", "the actor token is bound to another certificate")
        return verified.actor

    def _check_signature(self, token: str) -> _Verified:
        """Check all that does not depend on the time or the presenter, so that it can be remembered."""
        if len(token) > _LONGEST or token.count(".") != 2:
            raise _invalid("it is not a signed token")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise _invalid("it is not a signed token") from None
        issuer, key = self._key(header)
        try:
            claims = _Claims.model_validate(
                jwt.decode(
                    token,
                    key,
                    audience=self.audience,
                    issuer=issuer,
                    options={
                        "require": ["exp", "iat", "aud", "iss", "sub"],
                        "strict_aud": True,
                        "verify_exp": False,  # compared with our clock, each time
                        "verify_iat": False,
                        "verify_nbf": False,
                    },
                )
            )
        except jwt.InvalidAudienceError:
            raise _invalid("it is meant for another service") from None
        except jwt.InvalidTokenError:
            raise _invalid("its signature or its claims do not hold") from None
        except ValidationError:
            raise _invalid("a claim is missing or malformed") from None
        if not 0 < claims.exp - claims.iat <= MAX_LIFETIME_S:
            raise _invalid(f"it is good for more than {MAX_LIFETIME_S} s")
        actor = Actor(claims.sub, tuple(claims.roles), issuer, datetime.fromtimestamp(claims.auth_time, UTC))
        return _Verified(actor, claims.cnf.thumbprint, claims.iat, claims.exp)

    def _key(self, header: Mapping[str, Any]) -> tuple[str, jwt.PyJWK]:
        found = self._keys.current().get(header.get("kid", ""))
        if found is None or header.get("alg") != found[1].algorithm_name:
            raise _invalid("no trusted issuer signed it")
        return found


def mint(
    key: jwt.PyJWK,
    *,
    issuer: str,
    audience: str,
    subject: str,
    roles: Sequence[str],
    auth_time: datetime,
    thumbprint: str,
    now: datetime,
    lifetime: timedelta = timedelta(seconds=MAX_LIFETIME_S),
) -> str:
    """Return a token for a human operator, signed with a private key that has a `kid`.

    Args:
        key: Private JWK, Ed25519 or P-256.
        issuer: The issuer's name in the issuers file.
        audience: The service it is for.
        subject: The operator.
        roles: What they act as.
        auth_time: When they logged in.
        thumbprint: `x5t#S256` of the certificate that will present it.
        now: When it is issued.
        lifetime: How long it is good for; services refuse more than five minutes.
    """
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "roles": list(roles),
        "auth_time": int(auth_time.timestamp()),
        "iat": issued_at,
        "exp": issued_at + int(lifetime.total_seconds()),
        "cnf": {"x5t#S256": thumbprint},
    }
    return jwt.encode(claims, key.key, algorithm=key.algorithm_name, headers={"kid": key.key_id})


def require_fresh_login(actor: Actor, clock: Clock, max_age: timedelta = timedelta(minutes=10)) -> None:
    """Return if the actor logged in recently enough for an action that asks for it.

    Raises:
        RapportError: LOGIN_NOT_FRESH.
    """
    if clock.now() - actor.auth_time > max_age:
        seconds = str(int(max_age.total_seconds()))
        raise CHASSIS_ERRORS.error(
            "LOGIN_NOT_FRESH", f"log in again: at most {seconds} s ago is asked for", metadata={"max_age_s": seconds}
        )


def _invalid(why: str) -> RapportError:
    return CHASSIS_ERRORS.error("ACTOR_TOKEN_INVALID", f"the actor token is refused: {why}")


def _read(path: Path) -> Mapping[str, tuple[str, jwt.PyJWK]]:
    keys: dict[str, tuple[str, jwt.PyJWK]] = {}
    for issuer in IssuersFile.model_validate_json(path.read_bytes()).issuers:
        for data in issuer.keys:
            key = jwt.PyJWK(data)
            if not key.key_id or key.algorithm_name not in _ALGORITHMS:
                raise ValueError(f"a key of {issuer.issuer} has no kid, or an algorithm other than {_ALGORITHMS}")
            if key.key_id in keys:
                raise ValueError(f"two keys have the kid {key.key_id}")
            keys[key.key_id] = (issuer.issuer, key)
    return keys
