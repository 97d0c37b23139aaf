"""What the ledger's own service does for a privacy request about what it holds itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.ids import new_id
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.adapters.holds import HoldRows
from rapport_consent.adapters.ledger import LedgerStore
from rapport_consent.adapters.privacy_holding import ConsentHolding, known_from
from rapport_consent.domain.holds import HeldRecords, Hold
from rapport_privacy.participant.holding import Held, Subject
from rapport_privacy.participant.retention import Retention
from rapport_testing.clock import TestClock
from rapport_testing.databases import Database as MadeDatabase

HOLDING = ConsentHolding()


@pytest.fixture
async def opened(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database, as the service has it."""
    database = Database(settings, service="consent")
    await database.open()
    yield database
    await database.close()


def write(made: MadeDatabase, position: int, profile_id: str, kind: str = "grant") -> None:
    made.execute(
        "INSERT INTO ledger (position, epoch, recorded_at, reference, named_id, kind, purpose_id, details)"
        f" VALUES ({position}, 'e', now(), 'led_{position}', '{profile_id}', '{kind}', 'promo',"
        ' \'{"said": "yes"}\')'
    )


def fence(made: MadeDatabase, profile_id: str) -> None:
    made.execute(f"INSERT INTO fences VALUES ('{profile_id}', 'erased', 9, 'req_000000000')")


def packaged(made: MadeDatabase, request_id: str, profile_id: str, state: str) -> None:
    made.execute(
        "INSERT INTO privacy_requests"
        " (request_id, state, profile_id, rights, next_action, received_at, closed_at, document)"
        f" VALUES ('{request_id}', '{state}', '{profile_id}', '{{ACCESS}}', '', now(), '2026-05-01', '{{}}')"
    )
    made.execute(
        "INSERT INTO privacy_packages VALUES"
        f" ('{request_id}', 'ACCESS', '\\x01', '\\x02', 1, now(), now() + interval '9 days')"
    )
    made.execute(f"INSERT INTO privacy_package_pieces VALUES ('{request_id}', 'ACCESS', 1, '\\x03')")
    upload = f"imp_{request_id}"
    made.execute(
        f"INSERT INTO privacy_handed_records VALUES ('tsk_{request_id}', '{request_id}', '{upload}', '\\x04', now())"
    )
    made.execute(f"INSERT INTO privacy_handed_pieces VALUES ('{upload}', 0, '\\x05', now())")


async def test_what_a_person_decided_is_handed_out_and_blanked_and_nobody_elses(
    opened: Database, made_database: MadeDatabase
) -> None:
    person, absorbed, other = (new_id("profile") for _ in range(3))
    for at, each in enumerate((person, absorbed, other)):
        write(made_database, at + 1, each, "refuse")
    subject = Subject(new_id("privacy_request"), (person, absorbed))
    async with opened.transaction() as connection:
        copy = [each async for each in HOLDING.export(connection, subject)]
    assert [(each.store, each.record_id, each.content["details"]) for each in copy] == [
        ("consents", "led_1", {"said": "yes"}),
        ("consents", "led_2", {"said": "yes"}),
    ]
    for each in (person, absorbed):
        fence(made_database, each)
    async with opened.transaction() as connection:
        erased = await HOLDING.erase(connection, subject)
        assert (await HOLDING.count(connection, subject)).nothing_held
    assert {each.store: each.acted for each in erased.stores}["consents"] == 2
    kinds = made_database.execute("SELECT kind, details IS NULL FROM ledger ORDER BY position")
    assert kinds == [("blank", True), ("blank", True), ("refuse", False)]


@pytest.mark.parametrize(
    ("held", "kinds"),
    [
        (Held(record_ids=("led_2",), ground="LEGAL_CLAIM"), ["blank", "grant"]),
        (Held(True, (), "LEGAL_CLAIM"), ["grant"] * 2),
    ],
    ids=["a record", "all"],
)
async def test_what_a_hold_keeps_is_blanked_once_it_is_released(
    opened: Database, made_database: MadeDatabase, held: Held, kinds: list[str]
) -> None:
    person, request_id = new_id("profile"), new_id("privacy_request")
    write(made_database, 1, person)
    write(made_database, 2, person)
    fence(made_database, person)
    found = [*kinds, *(["blank"] * 2)]
    for holds in ({"consents": held}, {}):
        async with opened.transaction() as connection:
            erased = await HOLDING.erase(connection, Subject(request_id, (person,), holds))
        rows = made_database.execute("SELECT kind FROM ledger ORDER BY position")
        assert [kind for (kind,) in rows] == [found.pop(0), found.pop(0)]
        kept = [(each.store, each.count, each.ground) for each in erased.kept]
        assert kept == ([("consents", kinds.count("grant"), "LEGAL_CLAIM")] if holds else [])


async def test_a_fence_leaves_what_a_hold_keeps_and_reads_the_holds_itself(
    opened: Database, made_database: MadeDatabase
) -> None:
    person, now = new_id("profile"), datetime(2026, 11, 20, tzinfo=UTC)
    write(made_database, 1, person)
    write(made_database, 2, person)
    fence(made_database, person)
    ledger = LedgerStore(opened, lambda _: None)
    records = (HeldRecords("consent", "consents", ("led_1",)), HeldRecords("churn", "notes"))
    hold = Hold("hld_1", "req_1", person, records, "case-7", "LEGAL_CLAIM", now, now, "officer-1")
    async with ledger.unit() as unit:
        await HoldRows(unit.connection).add(hold)
        await unit.blank([person])
    assert made_database.execute("SELECT kind FROM ledger ORDER BY position") == [("grant",), ("blank",)]
    async with ledger.unit() as unit:
        await HoldRows(unit.connection).release("hld_1", "officer-2", now)
        await unit.blank([person])
    assert made_database.execute("SELECT kind FROM ledger ORDER BY position") == [("blank",), ("blank",)]


async def test_nothing_is_blanked_before_the_erasure_is_recorded(opened: Database, made_database: MadeDatabase) -> None:
    person = new_id("profile")
    write(made_database, 1, person)
    with pytest.raises(RapportError, match="NOT_READY"):
        async with opened.transaction() as connection:
            await HOLDING.erase(connection, Subject(new_id("privacy_request"), (person,)))
    assert made_database.execute("SELECT kind FROM ledger") == [("grant",)]


async def test_packages_of_earlier_requests_go_and_the_requests_stay_on_record_for_24_months(
    opened: Database, made_database: MadeDatabase
) -> None:
    person, earlier, present = new_id("profile"), new_id("privacy_request"), new_id("privacy_request")
    packaged(made_database, earlier, person, "COMPLETED")
    packaged(made_database, present, person, "RUNNING")
    fence(made_database, person)
    async with opened.transaction() as connection:
        erased = await HOLDING.erase(connection, Subject(present, (person,)))
    assert made_database.execute("SELECT request_id FROM privacy_packages") == [(present,)]
    assert made_database.execute("SELECT request_id FROM privacy_package_pieces") == [(present,)]
    assert made_database.execute("SELECT request_id FROM privacy_handed_records") == [(present,)]
    assert made_database.execute("SELECT upload_id FROM privacy_handed_pieces") == [(f"imp_{present}",)]
    ((store, count, ground, until),) = [(each.store, each.count, each.ground, each.until) for each in erased.kept]
    assert (store, count, ground) == ("privacy_requests", 1, "ACCOUNTABILITY")
    assert until is not None
    assert f"{until:%Y-%m-%d}" == "2028-04-30"


async def test_the_ledger_knows_all_of_itself(opened: Database, made_database: MadeDatabase) -> None:
    made_database.execute("UPDATE ledger_head SET position = 7")
    known = await known_from(opened)()
    assert (known.position, known.fresh) == (7, True)
    assert known.epoch


async def test_requests_are_forgotten_after_24_months_but_for_who_is_held_or_asks_again(
    opened: Database, made_database: MadeDatabase
) -> None:
    old, held, asking = (new_id("profile") for _ in range(3))
    requests = {each: new_id("privacy_request") for each in (old, held, asking)}
    for person, request_id in requests.items():
        packaged(made_database, request_id, person, "COMPLETED")
    made_database.execute("UPDATE privacy_requests SET stage = 'CLOSED'")
    made_database.execute(f"INSERT INTO privacy_letters VALUES ('{requests[old]}', 'COMPLETION', '{{}}', NULL)")
    made_database.execute(f"INSERT INTO privacy_active_rights VALUES ('{asking}', 'ACCESS', 'req_another')")
    made_database.execute(
        f"INSERT INTO privacy_held VALUES ('hld_1', '{held}', '', '{{}}', 'LEGAL_CLAIM', NULL) ON CONFLICT DO NOTHING"
    )
    retention = Retention(HOLDING, opened, TestClock())
    assert await retention.sweep(datetime(2028, 4, 29, tzinfo=UTC)) == {}
    assert await retention.sweep(datetime(2028, 5, 2, tzinfo=UTC)) == {"privacy_requests": 1}
    left = made_database.execute("SELECT profile_id FROM privacy_requests")
    assert {person for (person,) in left} == {held, asking}
    assert made_database.execute("SELECT FROM privacy_letters") == []
