"""What identity does for privacy requests within its databases: holds, keys destroyed on record, retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_chassis.signing import SigningKeys
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.adapters.privacy_holding import IdentityHolding
from rapport_identity.adapters.suppressions import Suppressions
from rapport_privacy.participant.holding import Answer, Held, Subject

YEAR = timedelta(days=365)


@pytest.fixture
def signing(tmp_path: Path) -> SigningKeys:
    """What the destruction of keys is signed with."""
    (tmp_path / "signing").mkdir()
    return SigningKeys.load(tmp_path / "signing")


@pytest.fixture
def holding(
    opened: Database, store: PartitionStore, key_store: PostgresKeyStore, signing: SigningKeys
) -> IdentityHolding:
    """What identity holds."""
    return IdentityHolding(opened, store, key_store, Suppressions(key_store), signing, SystemClock(), YEAR)


def records_of_one(count: int) -> list[record_pb2.Record]:
    """Records of one person, each of a source of its own."""
    address = f"m{uuid4().hex[:15]}@posteo.net"
    made = []
    for at in range(count):
        record = record_pb2.Record(
            key=record_pb2.RecordKey(source=f"crm{at}", source_record_id=uuid4().hex), market="GB"
        )
        record.person.names.add(given_names="Wilhelmina", surname="Ostrander")
        record.person.identifiers.add(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=address)
        made.append(record)
    return made


async def erase(opened: Database, holding: IdentityHolding, subject: Subject) -> Answer:
    """Erase somebody, keys included."""
    async with opened.transaction() as connection:
        answer = await holding.erase(connection, subject)
    await holding.purge(subject)
    return answer


async def test_what_a_hold_keeps_can_be_read_until_it_is_let_go_and_the_rest_is_gone(
    start: Any, opened: Database, holding: IdentityHolding, made_identity: Any, made_keys: Any, signing: SigningKeys
) -> None:
    process = await start()
    first, second = await process.resolve(records_of_one(2))
    assert first.profile_id == second.profile_id
    ((kept,), _) = made_identity.database.execute("SELECT record_id FROM records ORDER BY record_no")
    request_id, ids = new_id("privacy_request"), (first.profile_id,)
    held = Subject(request_id, ids, {"records": Held(record_ids=(kept,), ground="LITIGATION")})
    answer = await erase(opened, holding, held)
    assert [(each.store, each.count, each.ground) for each in answer.kept] == [("records", 1, "LITIGATION")]
    async with opened.transaction() as connection:
        copy = [each.record_id async for each in holding.export(connection, held) if each.store == "records"]
    assert copy == [kept]
    assert made_identity.database.execute("SELECT count(*) FROM profiles WHERE status = 'erased'") == [(0,)]

    assert (await erase(opened, holding, Subject(request_id, ids))).kept == ()
    assert made_identity.database.execute("SELECT count(*) FROM records WHERE NOT erased") == [(0,)]
    assert made_identity.database.execute("SELECT status FROM profiles") == [("erased",)]
    assert made_identity.database.execute("SELECT count(*) FROM doomed_keys") == [(0,)]
    entries = made_keys.database.execute(
        "SELECT request_id, destroyed_at, keys, digest, kid, signature FROM destructions"
    )
    assert [keys for _, _, keys, *_ in entries] == [1, 1]
    for named, at, keys, digest, kid, signature in entries:
        said = f"{named}\n{at.astimezone(UTC).isoformat()}\n{keys}\n{digest.hex()}\n"
        assert signing.verify(kid, said.encode(), signature)


async def test_touchpoints_that_are_old_go_but_for_those_of_who_is_frozen(
    opened: Database, holding: IdentityHolding, made_identity: Any
) -> None:
    frozen, other = new_id("profile"), new_id("profile")
    for at, (profile_id, age) in enumerate([(frozen, "2 years"), (other, "2 years"), (other, "1 day")]):
        made_identity.database.execute(
            "INSERT INTO facts"
            " (fact_id, record_no, profile_id, owner_version, type, payload, occurred_at, position, recorded_at)"
            f" VALUES ('fct_{at}', {at}, '{profile_id}', 1, 'viewed', '', now(), 1, now() - interval '{age}')"
        )
    made_identity.database.execute(f"INSERT INTO privacy_freezes VALUES ('{frozen}', 'req_00000000')")
    (touchpoints,) = (each for each in holding.stores if each.kept_for is not None)
    async with opened.transaction() as connection:
        assert await holding.expire(connection, touchpoints, datetime.now(UTC) - YEAR, 100) == 1
    assert made_identity.database.execute("SELECT fact_id FROM facts ORDER BY 1") == [("fct_0",), ("fct_2",)]
