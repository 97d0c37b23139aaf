"""Neither a dump nor the outbox names anybody: no name, street, e-mail or telephone of anyone stored is in clear."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

from anniversary_teller import NOON, OFFERS, Teller, person
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.consent.v1 import purpose_pb2
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import event_of
from rapport_identity.adapters.partition import PartitionStore
from rapport_identity.domain.identifiers import PLACEHOLDERS
from rapport_testing.clock import TestClock
from rapport_testing.ledger_model import LedgerModel
from rapport_testing.postgres_binaries import binary

_SHORT = 5
"""Shorter words may stand in random letters or in the schema by chance."""


def said_by(payload: bytes) -> set[str]:
    """Everything in a record that could name its person, in pieces too."""
    message = record_pb2.Record.FromString(payload)
    person = message.person
    texts = [message.key.source_record_id, person.birth_place, person.employer]
    texts += [each.value for each in person.identifiers]
    texts += [text for name in person.names for text in (name.given_names, name.middle_names, name.surname)]
    texts += [text for each in person.addresses for text in (each.street, each.house_number, each.city)]
    pieces = {piece for text in texts for piece in (text, *re.split(r"[\s@.+-]+", text))}
    # A placeholder such as 0000000000 or "customer" is nobody's.
    return {
        piece
        for piece in pieces
        if len(piece) >= _SHORT and len(set(piece)) > 2 and piece.casefold() not in PLACEHOLDERS
    }


def dumped(made: Any) -> str:
    done = subprocess.run([binary("pg_dump"), "--inserts", made.database.dsn()], check=True, capture_output=True)
    return done.stdout.decode()


async def test_dump_and_outbox_hold_nobody_in_clear(
    desk: Any, store: PartitionStore, made_identity: Any, made_keys: Any
) -> None:
    before = dumped(made_identity) + dumped(made_keys)  # names of tables, and what is declared from the start
    shipped = set(re.split(r"[\W_]+", before.lower()))
    drafts = desk.people(1000)
    for start in range(0, len(drafts), 250):
        await desk.take_in(drafts[start : start + 250])
    ids = [row[0] for row in made_identity.database.execute("SELECT profile_id FROM profiles LIMIT 200")]
    at = Timestamp(seconds=1_700_000_000)
    made = [
        events_pb2.ProfileCreated(
            profile_id=each,
            version=1,
            state=events_pb2.ProfileState(record_count=1),
            occurred_at=at,
            recorded_at=at,
        )
        for each in ids
    ]
    async with store.unit() as unit:
        now = (await unit.read()).recorded_at
        await outbox.append(unit.connection, [event_of(each, source="identity", occurred_at=now) for each in made])

    canaries = set[str]().union(*(said_by(draft.payload) for draft in drafts))
    assert len(canaries) > 2000
    for text in (dumped(made_identity), dumped(made_keys)):
        assert "COPY" in text or "INSERT INTO" in text
        # Bytes are written in hexadecimal: what is in clear in them is looked for too.
        clear = text + b"".join(bytes.fromhex(found) for found in re.findall(r"'\\x([0-9a-f]+)'", text)).decode(
            "latin1"
        )
        words = set(re.split(r"[^\w@.+-]+", clear)) | set(re.split(r"[\W_]+", clear))
        assert not {each for each in canaries & words if each.lower() not in shipped}
        long = [each for each in canaries if len(each) >= 8]
        assert not [each for each in long if each in clear and each.lower() not in shipped]


async def test_canaries_are_found_where_they_are_in_clear(desk: Any, made_identity: Any) -> None:
    """The check above would see a leak: the same look at a table that does hold a payload finds it."""
    (draft,) = desk.people(1)
    made_identity.database.execute("CREATE TABLE leak (value bytea)")
    made_identity.database.execute(f"INSERT INTO leak VALUES ('\\x{draft.payload.hex()}')")
    found = re.findall(r"'\\x([0-9a-f]+)'", dumped(made_identity))
    clear = b"".join(bytes.fromhex(each) for each in found).decode("latin1")
    assert any(each in clear for each in said_by(draft.payload))


def dates_in(text: str) -> set[str]:
    """Month and day of every date in a dump, and of the one looked for where a stored message holds it."""
    bytes_ = b"".join(bytes.fromhex(each) for each in re.findall(r"'\\x([0-9a-f]+)'", text))
    held = {"05-04"} if person(1).person.birth_date.SerializeToString() in bytes_ or b"-05-04" in bytes_ else set()
    return held | set(re.findall(r"\b\d{4}-(\d\d-\d\d)\b", text))


async def test_dump_holds_no_birthday_though_it_was_told_that_it_has_come(
    start: Any, opened: Any, test_clock: TestClock, made_identity: Any
) -> None:
    ledger = LedgerModel()
    ledger.define(OFFERS, purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, active_from=datetime(2020, 1, 1, tzinfo=UTC))
    teller = Teller(await start(), opened, test_clock, ledger)
    test_clock.set(NOON)
    await teller.process.resolve([person(1)])
    await teller.look()
    assert len(await teller.told()) == 1
    test_clock.set(NOON + timedelta(days=2))
    await teller.look()
    assert "05-04" not in dates_in(dumped(made_identity))
    for leak in ("'1981-05-04'", f"'\\x{person(1).SerializeToString().hex()}'"):
        assert "05-04" in dates_in(dumped(made_identity) + leak)
