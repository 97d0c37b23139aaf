"""The send ledger in PostgreSQL: every step is a compare-and-set on state and fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

from psycopg import AsyncCursor
from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event
from rapport_chassis.failpoints import failpoint
from rapport_privacy.participant import living

from rapport_notification.adapters.rows import (
    ATTEMPT,
    COLUMNS,
    MOVING,
    asked_in,
    attempts_of,
    cancel_keys,
    moving_in,
    stored_in,
    written,
)
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import REFUNDED, AttemptRow, Stored
from rapport_notification.app.templates import Prepared
from rapport_notification.translate.events import told

_ADD: Final = f"""
INSERT INTO notifications ({COLUMNS})
SELECT {COLUMNS} FROM json_populate_recordset(NULL::notifications, %s::json)
ON CONFLICT (recipient_id, cause) WHERE cause <> '' DO NOTHING RETURNING notification_id
"""  # noqa: S608 - made of constants
_SET: Final = f"""
UPDATE notifications SET ({MOVING}) = ROW ({", ".join(["%s"] * (MOVING.count(",") + 1))})
WHERE notification_id = %s AND state = %s AND fence = %s RETURNING 1
"""  # noqa: S608 - made of constants
_FIND: Final = f"SELECT {COLUMNS} FROM notifications WHERE notification_id = ANY (%s)"  # noqa: S608 - made of constants
_HOLD: Final = f"{_FIND} FOR UPDATE"
_CAUSED: Final = f"SELECT {COLUMNS} FROM notifications WHERE recipient_id = ANY (%s) AND cause = %s"  # noqa: S608 - made of constants
_SAME_KEY: Final = f"""
SELECT {COLUMNS} FROM notifications WHERE recipient_id = ANY (%s) AND supersede_key = %s FOR UPDATE
"""  # noqa: S608 - made of constants
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(key, 7)) FROM unnest(%s::text[]) AS key"
_CANCELLED_BY: Final = f"""
SELECT {COLUMNS} FROM notifications WHERE state IN (1, 2) AND cancel_keys && %s::text[]
    AND (cardinality(%s::text[]) = 0 OR recipient_id = ANY (%s)) FOR UPDATE
"""  # noqa: S608 - made of constants
_OF_TRIGGER: Final = f"""
SELECT {COLUMNS} FROM notifications WHERE state IN (1, 2) AND trigger_id = %s FOR UPDATE
"""  # noqa: S608 - made of constants
_ADD_ATTEMPTS: Final = f"""
INSERT INTO attempts ({ATTEMPT}) SELECT {ATTEMPT} FROM json_populate_recordset(NULL::attempts, %s::json)
"""  # noqa: S608 - made of constants
_END_ATTEMPT: Final = """
UPDATE attempts SET ended_us = %s, outcome = %s, code = %s, status = %s, reference = %s, place_state = %s
WHERE notification_id = %s AND attempt = %s
"""
_REFUND: Final = "UPDATE cap_counts SET taken = taken - 1 WHERE profile_id = %s AND cap = %s AND day = %s"
_SEAL: Final = """
INSERT INTO receipts (notification_id, number, canonical, digest)
SELECT notification_id, number, canonical, digest FROM json_populate_recordset(NULL::receipts, %s::json)
"""
_RECEIPTS: Final = "SELECT canonical, digest FROM receipts WHERE notification_id = %s ORDER BY number"
_LIST: Final = f"""
SELECT {COLUMNS} FROM notifications
WHERE (accepted_us, notification_id) < (%(before)s, %(id)s)
    AND (cardinality(%(recipients)s::text[]) = 0 OR recipient_id = ANY (%(recipients)s))
    AND (%(state)s = 0 OR state = %(state)s) AND (%(verdict)s = 0 OR verdict = %(verdict)s)
ORDER BY accepted_us DESC, notification_id DESC LIMIT %(limit)s
"""  # noqa: S608 - made of constants


class MessageBook:
    """Messages in one transaction.

    Args:
        connection: The transaction.
        shelf: Templates.
    """

    def __init__(self, connection: Connection, shelf: TemplateShelf) -> None:
        self.connection = connection
        self._shelf = shelf
        self._asked: Collection[str] = ()
        self._living: Collection[str] = ()
        self._added: list[Stored] = []
        self._told: list[tuple[str, Event]] | None = None

    async def template(self, template_id: str, brand_id: str) -> Prepared | None:
        """Return the version of a template in force now for a brand, or for all brands; None if there is none."""
        return await self._shelf.in_force(self.connection, template_id, brand_id)

    async def writable(self, profile_id: str) -> bool:
        """Say whether a person may still be written about; an erasure waits for this transaction."""
        if profile_id in self._asked:
            return profile_id in self._living
        return bool(await living.writable(self.connection, [profile_id]))

    @asynccontextmanager
    async def together(self, profile_ids: Collection[str]) -> AsyncIterator[None]:
        """Take on messages to several people: that they may be written about is asked once, and all is told at once.

        New messages are written as late as can be, many at a time: before anything else is asked of the ledger.

        Args:
            profile_ids: To whom; of others it is asked as it comes.
        """
        self._living = await living.writable(self.connection, profile_ids)
        self._asked = frozenset(profile_ids)
        self._told = []
        yield
        await self._write_added()
        told_of, self._told = self._told, None
        await outbox.append(self.connection, [event for _, event in told_of])

    async def lock(self, *names: str) -> None:
        """Have other transactions that lock one of these names wait for this one."""
        await self.connection.execute(_LOCK, (sorted(names),))

    async def add(self, stored: Stored) -> bool:
        """Keep a new message; False if its recipient has one of its cause.

        Of those taken on together that turns out later; nothing is then kept or told of it.
        """
        self._added.append(stored)
        return self._told is not None or stored.notification_id in await self._write_added()

    async def _write_added(self) -> set[str]:
        """Write new messages, and return those whose recipients have none of their cause."""
        added, self._added = self._added, []
        if not added:
            return set()
        rows = written([asked_in(each) | moving_in(each) for each in added])
        kept = {row[0] for row in await (await self.connection.execute(_ADD, (rows,))).fetchall()}
        if self._told is not None and len(kept) < len(added):
            gone = {each.notification_id for each in added} - kept
            self._told = [(of, event) for of, event in self._told if of not in gone]
        return kept

    async def execute(
        self, statement: LiteralString, values: Sequence[Any] | Mapping[str, Any]
    ) -> AsyncCursor[tuple[Any, ...]]:
        """Ask something of the ledger, with all that was added in it."""
        await self._write_added()
        return await self.connection.execute(statement, values)

    async def caused(self, recipient_ids: Sequence[str], cause: str) -> Stored | None:
        """Return the message of a cause; None if there is none."""
        row = await (await self.execute(_CAUSED, (list(recipient_ids), cause))).fetchone()
        return stored_in(row) if row is not None else None

    async def find(self, notification_id: str) -> Stored | None:
        """Return a message; None if there is none."""
        row = await (await self.execute(_FIND, ([notification_id],))).fetchone()
        return stored_in(row) if row is not None else None

    async def hold(self, notification_ids: Sequence[str]) -> list[Stored]:
        """Return messages, which nobody else changes until the transaction ends."""
        cursor = await self.execute(_HOLD, (list(notification_ids),))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def same_key(self, recipient_ids: Sequence[str], supersede_key: str) -> list[Stored]:
        """Return a recipient's messages that say the same thing, and hold them."""
        cursor = await self.execute(_SAME_KEY, (list(recipient_ids), supersede_key))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def cancellable(self, event: str, fields: Mapping[str, str], recipient_ids: Sequence[str]) -> list[Stored]:
        """Return waiting messages that an event may make pointless, and hold them.

        Args:
            event: Its name.
            fields: What it says.
            recipient_ids: Only to these; empty for all.
        """
        ids = list(recipient_ids)
        cursor = await self.execute(_CANCELLED_BY, (cancel_keys(event, fields.items()), ids, ids))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def of_trigger(self, trigger_id: str) -> list[Stored]:
        """Return waiting messages that a trigger asked for, and hold them."""
        cursor = await self.execute(_OF_TRIGGER, (trigger_id,))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def take(self, steps: Sequence[Step]) -> list[bool]:
        """Take steps, tell of them, and say of each whether it was still possible: nothing of another is kept.

        Attempts, receipts and events are kept with those that were.
        """
        # What is new was added as it stands.
        moves = [step for step in steps if not step.new]
        answers = iter(await self._set(moves) if moves else ())
        taken = [step.new or next(answers) for step in steps]
        done = [step for step, each in zip(steps, taken, strict=True) if each]
        if begun := [step.begun._asdict() for step in done if step.begun is not None]:
            await self.connection.execute(_ADD_ATTEMPTS, (written(begun),))
        if sealed := [_receipt(step.after, step.receipt) for step in done if step.receipt is not None]:
            await self.connection.execute(_SEAL, (written(sealed),))
        if ended := [step.ended for step in done if step.ended is not None]:
            await self._end(ended)
        events = [(step.after.notification_id, event) for step in done for event in told(step)]
        if self._told is not None:
            self._told += events
        else:
            await outbox.append(self.connection, [event for _, event in events])
        failpoint("notification.steps.taken")
        return taken

    async def _set(self, steps: Sequence[Step]) -> list[bool]:
        """Move messages on, and say of each whether it was found where its step begins. All go out at once."""
        await self._write_added()
        moves = [
            (*moving_in(step.after).values(), step.after.notification_id, int(step.before.state), step.before.fence)
            for step in steps
        ]
        found = []
        async with self.connection.cursor() as cursor:
            await cursor.executemany(_SET, moves, returning=True)
            found.append(cursor.rowcount == 1)
            while cursor.nextset():
                found.append(cursor.rowcount == 1)
        return found

    async def _end(self, attempts: Sequence[AttemptRow]) -> None:
        """Keep what came of attempts, and give back the places of those that did not go."""
        ended = [(*each[5:10], each.place_state, each.notification_id, each.attempt) for each in attempts]
        refunded = [
            (each.person_id, *place) for each in attempts if each.place_state == REFUNDED for place in each.places
        ]
        async with self.connection.cursor() as cursor:
            await cursor.executemany(_END_ATTEMPT, ended)
            if refunded:
                await cursor.executemany(_REFUND, sorted(refunded))

    async def attempts(self, notification_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """Return the attempts of messages, oldest first."""
        return await attempts_of(self.connection, notification_ids)

    async def receipts(self, notification_id: str) -> list[tuple[bytes, bytes]]:
        """Return the decisions about a message, oldest first: as they were sealed, and their digests."""
        cursor = await self.execute(_RECEIPTS, (notification_id,))
        return [(row[0], row[1]) for row in await cursor.fetchall()]

    async def page(
        self, recipient_ids: Sequence[str], state: int, verdict: int, before: tuple[int, str], limit: int
    ) -> list[Stored]:
        """Return messages, newest first, those before a place; of all recipients where none is named."""
        values = {
            "recipients": list(recipient_ids),
            "state": state,
            "verdict": verdict,
            "before": before[0],
            "id": before[1],
            "limit": limit,
        }
        return [stored_in(row) for row in await (await self.execute(_LIST, values)).fetchall()]


def _receipt(stored: Stored, canonical: bytes) -> dict[str, Any]:
    return {
        "notification_id": stored.notification_id,
        "number": stored.receipts,
        "canonical": canonical,
        "digest": stored.digest,
    }
