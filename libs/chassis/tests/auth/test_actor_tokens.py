"""Which tokens are believed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from rapport_chassis.auth.actor_tokens import Actor, ActorTokenVerifier, mint, require_fresh_login
from rapport_chassis.errors import RapportError
from rapport_testing.clock import TestClock

ISSUER = "https://login.rapport.local"
MINE = "x" * 43


def ed25519_key(kid: str | None = "k1") -> dict[str, Any]:
    return {
        **jwt.algorithms.OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True),
        **({"kid": kid} if kid else {}),
    }


def p256_key(kid: str = "k1") -> dict[str, Any]:
    return {**jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True), "kid": kid}


def public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "d"}


def write_issuers(file: Path, *keys: dict[str, Any], issuer: str = ISSUER) -> None:
    file.write_text(json.dumps({"issuers": [{"issuer": issuer, "keys": [public(key) for key in keys]}]}))


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def key() -> dict[str, Any]:
    return ed25519_key()


@pytest.fixture
def verifier(tmp_path: Path, key: dict[str, Any], clock: TestClock) -> ActorTokenVerifier:
    write_issuers(tmp_path / "issuers.json", key)
    return ActorTokenVerifier(tmp_path / "issuers.json", "consent", clock)


def token(key: dict[str, Any], clock: TestClock, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": "consent",
        "subject": "officer-1",
        "roles": ["officer", "auditor"],
        "auth_time": clock.now() - timedelta(minutes=3),
        "thumbprint": MINE,
        "now": clock.now(),
    }
    return mint(jwt.PyJWK(key), **arguments | changes)


def signed(key: dict[str, Any], clock: TestClock, **claims: Any) -> str:
    """A token with any claims; None leaves one out."""
    now = int(clock.now().timestamp())
    usual = {
        "iss": ISSUER,
        "aud": "consent",
        "sub": "officer-1",
        "roles": ["officer"],
        "auth_time": now,
        "iat": now,
        "exp": now + 60,
        "cnf": {"x5t#S256": MINE},
    }
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    jwk = jwt.PyJWK(key)
    return jwt.encode(kept, jwk.key, algorithm=jwk.algorithm_name, headers={"kid": key["kid"]})


def refusal(verifier: ActorTokenVerifier, presented: str, thumbprint: str = MINE) -> str:
    with pytest.raises(RapportError) as caught:
        verifier.verify(presented, thumbprint)
    return caught.value.reason.name


@pytest.mark.parametrize("make_key", [ed25519_key, p256_key])
def test_a_minted_token_says_who_stands_behind_the_call(make_key: Any, tmp_path: Path, clock: TestClock) -> None:
    key = make_key()
    write_issuers(tmp_path / "issuers.json", key)
    verifier = ActorTokenVerifier(tmp_path / "issuers.json", "consent", clock)
    assert verifier.verify(token(key, clock), MINE) == Actor(
        "officer-1", ("officer", "auditor"), ISSUER, clock.now() - timedelta(minutes=3)
    )


def test_a_token_is_good_until_it_expires_and_not_a_moment_longer(
    verifier: ActorTokenVerifier, key: dict[str, Any], clock: TestClock
) -> None:
    presented = token(key, clock)
    clock.advance(299)
    verifier.verify(presented, MINE)
    clock.advance(1)
    assert refusal(verifier, presented) == "ACTOR_TOKEN_EXPIRED"


def test_a_token_verified_before_is_still_a_replay_elsewhere(
    verifier: ActorTokenVerifier, key: dict[str, Any], clock: TestClock
) -> None:
    presented = token(key, clock)
    verifier.verify(presented, MINE)
    assert refusal(verifier, presented, "y" * 43) == "ACTOR_TOKEN_REPLAYED"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "pricing"},
        {"aud": ["consent", "pricing"]},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"roles": None},
        {"roles": "officer"},
        {"auth_time": None},
        {"iat": None},
        {"exp": None},
        {"exp": 9_999_999_999},
        {"exp": 1},
        {"cnf": None},
        {"cnf": {"jkt": MINE}},
        {"cnf": {"x5t#S256": ""}},
        {"iat": 9_999_999_000, "exp": 9_999_999_100},
    ],
    ids=repr,
)
def test_a_token_with_wrong_claims_is_refused(
    verifier: ActorTokenVerifier, key: dict[str, Any], clock: TestClock, claims: dict[str, Any]
) -> None:
    verifier.verify(signed(key, clock), MINE)
    assert refusal(verifier, signed(key, clock, **claims)) == "ACTOR_TOKEN_INVALID"


def test_a_token_signed_with_a_key_of_nobody_is_refused(
    verifier: ActorTokenVerifier, key: dict[str, Any], clock: TestClock
) -> None:
    assert refusal(verifier, token(ed25519_key("k1"), clock)) == "ACTOR_TOKEN_INVALID"
    assert refusal(verifier, token(ed25519_key("k2"), clock)) == "ACTOR_TOKEN_INVALID"


def test_the_public_key_is_no_shared_secret(
    verifier: ActorTokenVerifier, key: dict[str, Any], clock: TestClock
) -> None:
    claims = jwt.decode(token(key, clock), options={"verify_signature": False})
    forged = jwt.encode(claims, key["x"] + "0" * 32, algorithm="HS256", headers={"kid": key["kid"]})
    assert refusal(verifier, forged) == "ACTOR_TOKEN_INVALID"


@pytest.mark.parametrize("text", ["", "officer-1", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 100_000], ids=len)
def test_what_is_no_token_is_refused(verifier: ActorTokenVerifier, text: str) -> None:
    assert refusal(verifier, text) == "ACTOR_TOKEN_INVALID"


@pytest.mark.parametrize(
    "keys",
    [
        [ed25519_key(None)],
        [ed25519_key("k1"), ed25519_key("k1")],
        [
            {
                **jwt.algorithms.RSAAlgorithm.to_jwk(
                    rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), as_dict=True
                ),
                "kid": "k1",
            }
        ],
    ],
    ids=["no kid", "same kid twice", "RSA"],
)
def test_issuers_with_unusable_keys_are_refused_at_start(keys: list[dict[str, Any]], tmp_path: Path) -> None:
    write_issuers(tmp_path / "issuers.json", *keys)
    with pytest.raises(ValueError, match="kid"):
        ActorTokenVerifier(tmp_path / "issuers.json", "consent")


def test_a_login_is_fresh_for_ten_minutes(clock: TestClock) -> None:
    actor = Actor("officer-1", (), ISSUER, clock.now())
    clock.advance(600)
    require_fresh_login(actor, clock)
    clock.advance(1)
    with pytest.raises(RapportError) as caught:
        require_fresh_login(actor, clock)
    assert caught.value.reason.name == "LOGIN_NOT_FRESH"
    require_fresh_login(actor, clock, max_age=timedelta(hours=1))
