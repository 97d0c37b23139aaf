"""The send ledger in PostgreSQL: every step is a compare-and-set on state and fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox
from rapport_chassis.events.envelope import Event
from rapport_chassis.failpoints import failpoint
from rapport_privacy.participant import living

from rapport_notification.adapters.rows import (
    ATTEMPT,
    COLUMNS,
    MOVING,
    asked_values,
    attempt_values,
    attempts_of,
    cancel_keys,
    moving_values,
    stored_in,
)
from rapport_notification.adapters.templates import TemplateShelf
from rapport_notification.app.ledger import Step
from rapport_notification.app.messages import REFUNDED, AttemptRow, Stored
from rapport_notification.app.templates import Prepared
from rapport_notification.translate.events import told

_ADD: Final = f"""
INSERT INTO notifications ({COLUMNS}) VALUES ({", ".join(["%s"] * (COLUMNS.count(",") + 1))})
ON CONFLICT (recipient_id, cause) WHERE cause <> '' DO NOTHING
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
_ADD_ATTEMPT: Final = f"INSERT INTO attempts ({ATTEMPT}) VALUES ({', '.join(['%s'] * len(AttemptRow._fields))})"  # noqa: S608 - made of constants
_END_ATTEMPT: Final = """
UPDATE attempts SET ended_us = %s, outcome = %s, code = %s, status = %s, reference = %s, place_state = %s
WHERE notification_id = %s AND attempt = %s
"""
_REFUND: Final = "UPDATE cap_counts SET taken = taken - 1 WHERE profile_id = %s AND cap = %s AND day = %s"
_SEAL: Final = "INSERT INTO receipts (notification_id, number, canonical, digest) VALUES (%s, %s, %s, %s)"
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
        self._events: list[Event] | None = None

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

        Args:
            profile_ids: To whom; of others it is asked as it comes.
        """
        self._living = await living.writable(self.connection, profile_ids)
        self._asked = frozenset(profile_ids)
        self._events = []
        yield
        events, self._events = self._events, None
        await outbox.append(self.connection, events)

    async def lock(self, *names: str) -> None:
        """Have other transactions that lock one of these names wait for this one."""
        await self.connection.execute(_LOCK, (sorted(names),))

    async def add(self, stored: Stored) -> bool:
        """Keep a new message; False if its recipient has one of its cause."""
        cursor = await self.connection.execute(_ADD, (*asked_values(stored), *moving_values(stored)))
        return cursor.rowcount == 1

    async def caused(self, recipient_ids: Sequence[str], cause: str) -> Stored | None:
        """Return the message of a cause; None if there is none."""
        row = await (await self.connection.execute(_CAUSED, (list(recipient_ids), cause))).fetchone()
        return stored_in(row) if row is not None else None

    async def find(self, notification_id: str) -> Stored | None:
        """Return a message; None if there is none."""
        row = await (await self.connection.execute(_FIND, ([notification_id],))).fetchone()
        return stored_in(row) if row is not None else None

    async def hold(self, notification_ids: Sequence[str]) -> list[Stored]:
        """Return messages, which nobody else changes until the transaction ends."""
        cursor = await self.connection.execute(_HOLD, (list(notification_ids),))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def same_key(self, recipient_ids: Sequence[str], supersede_key: str) -> list[Stored]:
        """Return a recipient's messages that say the same thing, and hold them."""
        cursor = await self.connection.execute(_SAME_KEY, (list(recipient_ids), supersede_key))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def cancellable(self, event: str, fields: Mapping[str, str], recipient_ids: Sequence[str]) -> list[Stored]:
        """Return waiting messages that an event may make pointless, and hold them.

        Args:
            event: Its name.
            fields: What it says.
            recipient_ids: Only to these; empty for all.
        """
        ids = list(recipient_ids)
        cursor = await self.connection.execute(_CANCELLED_BY, (cancel_keys(event, fields.items()), ids, ids))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def of_trigger(self, trigger_id: str) -> list[Stored]:
        """Return waiting messages that a trigger asked for, and hold them."""
        cursor = await self.connection.execute(_OF_TRIGGER, (trigger_id,))
        return [stored_in(row) for row in await cursor.fetchall()]

    async def take(self, steps: Sequence[Step]) -> list[bool]:
        """Take steps, tell of them, and say of each whether it was still possible: nothing of another is kept.

        Attempts, receipts and events are kept with those that were.
        """
        # What is new was added as it stands.
        moves = [
            (*moving_values(step.after), step.after.notification_id, int(step.before.state), step.before.fence)
            for step in steps
            if not step.new
        ]
        moved: list[bool] = []
        async with self.connection.cursor() as cursor:
            # All go out at once; each answers whether it found the message where the step begins.
            if moves:
                await cursor.executemany(_SET, moves, returning=True)
            while moves:
                moved.append(cursor.rowcount == 1)
                if not cursor.nextset():
                    break
            answers = iter(moved)
            taken = [step.new or next(answers) for step in steps]
            done = [step for step, each in zip(steps, taken, strict=True) if each]
            if begun := [step.begun for step in done if step.begun is not None]:
                await cursor.executemany(_ADD_ATTEMPT, [attempt_values(each) for each in begun])
            if ended := [step.ended for step in done if step.ended is not None]:
                await cursor.executemany(
                    _END_ATTEMPT,
                    [(*each[5:10], each.place_state, each.notification_id, each.attempt) for each in ended],
                )
            if refunded := [
                (each.person_id, cap, day) for each in ended if each.place_state == REFUNDED for cap, day in each.places
            ]:
                await cursor.executemany(_REFUND, sorted(refunded))
            if sealed := [(step, step.receipt) for step in done if step.receipt is not None]:
                await cursor.executemany(
                    _SEAL,
                    [
                        (step.after.notification_id, step.after.receipts, receipt, step.after.digest)
                        for step, receipt in sealed
                    ],
                )
        events = [event for step in done for event in told(step)]
        if self._events is not None:
            self._events += events
        else:
            await outbox.append(self.connection, events)
        failpoint("notification.steps.taken")
        return taken

    async def attempts(self, notification_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """Return the attempts of messages, oldest first."""
        return await attempts_of(self.connection, notification_ids)

    async def receipts(self, notification_id: str) -> list[tuple[bytes, bytes]]:
        """Return the decisions about a message, oldest first: as they were sealed, and their digests."""
        cursor = await self.connection.execute(_RECEIPTS, (notification_id,))
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
        return [stored_in(row) for row in await (await self.connection.execute(_LIST, values)).fetchall()]
