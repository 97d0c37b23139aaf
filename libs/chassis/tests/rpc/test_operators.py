"""Calls that a human operator must stand behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from rapport_chassis.auth.actor_tokens import mint
from rapport_chassis.auth.certificates import thumbprint_of
from rapport_chassis.rpc.pipeline import current_call
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.capture import assert_absent
from rapport_testing.waiting import eventually


def token(probe: Any, **changes: Any) -> str:
    now = datetime.now(UTC)
    arguments: dict[str, Any] = {
        "issuer": probe.operators.issuer,
        "audience": "probe",
        "subject": "officer-1",
        "roles": ["officer"],
        "auth_time": now,
        "thumbprint": thumbprint_of(probe.tls("caller").certificate),
        "now": now,
    }
    return mint(probe.operators.key, **arguments | changes)


async def decide(probe: Any, actor_token: str | None, name: str = "caller") -> Any:
    return await probe.stub(name, actor_token=actor_token).Decide(probe.new())


async def test_an_operator_with_the_role_gets_through_and_is_known_to_the_handler(probe: Any) -> None:
    actors: list[Any] = []

    async def note(request: Any, context: Any) -> Any:
        actors.append(current_call().actor)
        return request

    probe.servicer.behaviours["Decide"] = note
    await decide(probe, token(probe))
    assert (actors[0].subject, actors[0].roles, actors[0].issuer) == ("officer-1", ("officer",), probe.operators.issuer)


async def test_without_a_token_the_call_is_refused(probe: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await decide(probe, None)
    assert (caught.value.reason.name, caught.value.reason.code) == ("ACTOR_TOKEN_MISSING", "UNAUTHENTICATED")


def unsigned(probe: Any) -> str:
    claims = jwt.decode(token(probe), options={"verify_signature": False})
    return jwt.encode(claims, key="", algorithm="none", headers={"kid": probe.operators.key.key_id})


@pytest.mark.parametrize("bare", ["officer-1", "officer-1@example.org", "a.b.c", "..", ""], ids=repr)
async def test_a_bare_name_is_no_token(probe: Any, bare: str) -> None:
    stub = probe.stub()
    with pytest.raises(RemoteError) as caught:
        await stub.Decide(probe.new(), metadata=(("rapport-actor-token", bare),))
    assert caught.value.reason.name == "ACTOR_TOKEN_INVALID"


async def test_a_refused_token_is_repeated_nowhere(probe: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await decide(probe, "officer-1@example.org")
    spans = "".join(span.to_json() for span in probe.spans.get_finished_spans())
    assert_absent("officer-1@example.org", probe.log.getvalue(), spans, str(caught.value))


async def test_an_unsigned_token_is_no_token(probe: Any) -> None:
    with pytest.raises(RemoteError, match="ACTOR_TOKEN_INVALID"):
        await decide(probe, unsigned(probe))


async def test_an_expired_token_is_refused(probe: Any) -> None:
    with pytest.raises(RemoteError, match="ACTOR_TOKEN_EXPIRED"):
        await decide(probe, token(probe, now=datetime.now(UTC) - timedelta(minutes=6)))


async def test_a_token_presented_with_another_certificate_is_a_replay(probe: Any) -> None:
    probe.authority.issue("thief", uris=["spiffe://rapport.local/caller"])
    stolen = token(probe)
    await decide(probe, stolen)
    with pytest.raises(RemoteError, match="ACTOR_TOKEN_REPLAYED"):
        await decide(probe, stolen, "thief")


async def test_a_role_without_the_permission_is_refused_by_name(probe: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        await decide(probe, token(probe, roles=["clerk", "unheard-of"]))
    assert (caught.value.reason.name, caught.value.reason.code) == ("ACTOR_PERMISSION_DENIED", "PERMISSION_DENIED")
    assert caught.value.metadata == {"permission": "probe.decisions.make"}


async def test_the_certificate_needs_the_permission_whatever_the_operator_may(probe: Any) -> None:
    bound = token(probe, thumbprint=thumbprint_of(probe.tls("reader").certificate))
    with pytest.raises(RemoteError, match=r"^PERMISSION_DENIED"):
        await decide(probe, bound, "reader")


async def test_a_bad_token_is_refused_even_where_none_is_needed(probe: Any) -> None:
    with pytest.raises(RemoteError, match="ACTOR_TOKEN_INVALID"):
        await probe.stub(actor_token="officer-1").Answer(probe.new())


async def test_keys_of_issuers_change_without_a_restart(probe: Any) -> None:
    old = token(probe)
    await decide(probe, old)
    probe.operators.rotate("second")

    async def refused() -> bool:
        try:
            await decide(probe, old)
        except RemoteError as error:
            return error.reason.name == "ACTOR_TOKEN_INVALID"
        return False

    await eventually(refused)
    await decide(probe, token(probe))
