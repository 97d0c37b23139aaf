"""After a restore of the ledger: what it has lost and its stream still tells is recorded anew, before it answers.

The backup knew the stream up to some sequence. What lies beyond it is read in the order of the positions that it tells
of, and what is not in the ledger is recorded at new ones, in the new epoch. Where the stream does not reach back to
that sequence, withdrawals may be lost with what aged out: grants decided before are withheld from every gate until an
officer decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Literal

from google.protobuf.message import DecodeError
from rapport.consent.v1 import events_pb2, ledger_pb2
from rapport_chassis.background import Background
from rapport_chassis.clock import Clock
from rapport_chassis.database.engine import Database
from rapport_chassis.database.pool import Connection
from rapport_chassis.errors import CHASSIS_ERRORS, RapportError
from rapport_chassis.events.catch_up import stored_messages
from rapport_chassis.events.contract import event_class
from rapport_chassis.events.jetstream import JetStreamApi, JetStreamError, StoredMessage
from rapport_chassis.events.names import stream_name
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.failpoints import failpoint
from rapport_chassis.settings import NatsSettings
from rapport_chassis.telemetry.logs import get_logger
from rapport_chassis.times import moment
from rapport_privacy.participant.replaying import RESTORED

from rapport_consent.adapters.ledger import LedgerStore, LedgerUnit
from rapport_consent.adapters.restored_purposes import purpose_told
from rapport_consent.domain.changes import LedgerChange, change_by
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.rows import RowKind
from rapport_consent.translate.replays import EVENTS, Told, row_of

_AT_ONCE: Final = 200
_RETRY_S: Final = 1.0
_SCHEMAS: Final = {event.DESCRIPTOR.full_name for event in EVENTS}

_PENDING: Final = """
SELECT min(sequence), (SELECT epoch FROM ledger_restores WHERE replayed_at IS NULL ORDER BY restored_at LIMIT 1),
    min(position)
FROM ledger_restores WHERE replayed_at IS NULL HAVING count(*) > 0
"""
_RECORDED: Final = "SELECT reference FROM ledger WHERE recorded_at >= %s AND reference = ANY (%s)"
_FOLLOWED: Final = """
SELECT EXISTS (SELECT FROM ledger WHERE named_id = %s AND kind IN ('merge', 'split')
    AND details->'partition'->>'identity_event_id' = %s)
"""
_LEFT: Final = "SELECT profile_id FROM restored_erasures ORDER BY profile_id LIMIT %s"
_DONE_WITH: Final = "DELETE FROM restored_erasures WHERE profile_id = ANY (%s)"
_COUNT: Final = "UPDATE ledger_restores SET recorded = recorded + %s WHERE replayed_at IS NULL"
_OPEN: Final = """
WITH done AS (
    UPDATE ledger_restores SET replayed_at = %(now)s, doubted_until = %(doubted)s WHERE replayed_at IS NULL
    RETURNING recorded
), opened AS (
    UPDATE ledger_head SET restoring = false, doubted_until = greatest(doubted_until, %(doubted)s)
)
SELECT sum(recorded)::bigint FROM done
"""


@dataclass(frozen=True, slots=True)
class _Lost:
    """What the stream has beyond the backup.

    Attributes:
        sequences: Of its events, in the order of the positions that they tell of.
        doubted_until: Where it does not reach back: from when on it does; else None.
    """

    sequences: Sequence[int]
    doubted_until: datetime | None


class LedgerRestoring(Background):
    """The component that sees a restore through and then ends. Any number of processes may; a kill loses nothing.

    Args:
        database: Where the ledger is.
        store: Writes to it.
        nats: Where the stream is.
        service: The user that reads it.
        clock: The time.
    """

    name = "ledger-restored"
    role: Literal["events"] = "events"

    def __init__(self, database: Database, store: LedgerStore, nats: NatsSettings, service: str, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._nats = nats
        self._service = service
        self._stream = stream_name(nats.stream_prefix, service)
        self._clock = clock
        self._is_restored = False

    async def check(self) -> None:
        """Say, for health, whether the ledger knows what its stream tells.

        Raises:
            RapportError: NOT_READY: it was restored, and does not yet.
        """
        if self._is_restored:  # for good: whoever restores does so while nothing runs
            return
        async with self._database.transaction() as connection:
            if await _pending(connection) is not None:
                raise CHASSIS_ERRORS.error("NOT_READY", "the ledger was restored and takes in what its stream tells")
        self._is_restored = True

    async def run(self) -> None:
        """Take in what the stream tells, as often as it takes."""
        while True:
            try:
                return await self.restore()
            except (RapportError, WireError, JetStreamError) as error:
                get_logger().warning("step_failed", component=self.name, reason=type(error).__name__)
            except Exception as fault:
                get_logger().error("step_failed", component=self.name, exc_info=fault)
            await self._clock.sleep(_RETRY_S)

    async def restore(self) -> None:
        """Take in what the stream tells, if the ledger was restored.

        Raises:
            RapportError: NOT_READY, BROKER_UNAVAILABLE.
            WireError: The broker cannot be reached.
        """
        async with self._database.transaction() as connection:
            pending = await _pending(connection)
        if pending is None:
            return
        wire = await Wire.open(self._nats, user=self._service)
        try:
            lost = await self._look(wire, *pending)
            for start in range(0, len(lost.sequences), _AT_ONCE):
                await self._take_in(await self._read(wire, lost.sequences[start : start + _AT_ONCE]))
        finally:
            wire.close()
        while await self._fence():
            pass
        failpoint("ledger.restoring")
        async with self._database.transaction() as connection:
            values = {"now": self._clock.now(), "doubted": lost.doubted_until}
            row = await (await connection.execute(_OPEN, values)).fetchone()
        doubted = {"reason": "STREAM_TOO_SHORT"} if lost.doubted_until else {}
        get_logger().info("ledger_restored", count=(row and row[0]) or 0, **doubted)

    async def _look(self, wire: Wire, known: int, epoch: str, position: int) -> _Lost:
        """Find what the ledger may lack: events beyond what the backup knew of the stream."""
        api = JetStreamApi(wire, domain=self._nats.domain)
        try:
            state = (await api.stream_info(self._stream))["state"]
        except RapportError as error:
            if error.reason.name != "STREAM_MISSING":
                raise
            return _Lost((), self._clock.now())
        first, last = int(state["first_seq"]), int(state["last_seq"])
        reaches_back = first <= known + 1 and last >= known
        begun = max(first, known + 1) if last >= known else first
        epochs: dict[str, int] = {}
        found: list[tuple[int, int, int]] = []
        for start in range(begun, last + 1, _AT_ONCE):
            for sequence, change in await self._changes(wire, range(start, min(start + _AT_ONCE, last + 1))):
                if (change.epoch, change.position <= position) != (epoch, True):
                    found.append((epochs.setdefault(change.epoch, len(epochs)), change.position, sequence))
        since = datetime.fromisoformat(state["first_ts"]).astimezone(UTC) if state["messages"] else self._clock.now()
        return _Lost([sequence for _, _, sequence in sorted(found)], None if reaches_back else since)

    async def _changes(self, wire: Wire, sequences: Sequence[int]) -> list[tuple[int, ledger_pb2.LedgerChange]]:
        stored = await self._stored(wire, sequences)
        return [(each.sequence, events_pb2.PositionedEvent.FromString(each.data).change) for each in stored]

    async def _read(self, wire: Wire, sequences: Sequence[int]) -> list[Told]:
        stored = {each.sequence: each for each in await self._stored(wire, sequences)}
        return [self._told(stored[sequence]) for sequence in sequences if sequence in stored]

    async def _stored(self, wire: Wire, sequences: Sequence[int]) -> list[StoredMessage]:
        subject = JetStreamApi(wire, domain=self._nats.domain).get_subject(self._stream)
        return [each for each in await stored_messages(wire, subject, sequences) if _schema(each) in _SCHEMAS]

    def _told(self, stored: StoredMessage) -> Told:
        message_class = event_class(_schema(stored))
        if message_class is None:
            raise DecodeError(f"there is no event {_schema(stored)}")
        message: Any = message_class.FromString(stored.data)
        occurred_at = moment(message.change.recorded_at)
        with suppress(KeyError, ValueError):
            occurred_at = datetime.fromisoformat(stored.headers["ce-time"]).astimezone(UTC)
        return Told(message, occurred_at, f"{self._stream} {stored.sequence}", sha256(stored.data).digest())

    async def _take_in(self, page: Sequence[Told]) -> None:
        waiting: list[Told] = []
        for told in page:
            if told.stands_alone:
                await self._record(waiting)
                waiting = []
                await self._record([told])
            else:
                waiting.append(told)
        await self._record(waiting)

    async def _record(self, page: Sequence[Told]) -> None:
        """Record what is not in the ledger yet, in one transaction."""
        if not page:
            return
        async with self._store.restoring_unit() as unit:
            if isinstance(page[0].message, events_pb2.PurposeChanged):
                recorded = await purpose_told(unit, page[0].message, now=page[0].occurred_at)
            else:
                recorded = await _record_rows(unit, page)
            await unit.connection.execute(_COUNT, (recorded,))

    async def _fence(self) -> bool:
        """Fence some of those who are known from elsewhere to be erased; return whether there were any."""
        async with self._store.restoring_unit() as unit:
            left = [i for (i,) in await (await unit.connection.execute(_LEFT, (_AT_ONCE,))).fetchall()]
            known = await unit.lock(left)
            drafts = {i: Draft(RowKind.FENCE, self._clock.now(), ground=RESTORED) for i in left}
            unfenced = [i for i in left if known.history.fence(i) is None]
            await unit.write(known, [change_by(known.history, known.take(i, drafts[i])) for i in unfenced])
            await unit.blank(left)
            await unit.connection.execute(_DONE_WITH, (left,))
        return bool(left)


async def _pending(connection: Connection) -> tuple[int, str, int] | None:
    return await (await connection.execute(_PENDING)).fetchone()


async def _record_rows(unit: LedgerUnit, page: Sequence[Told]) -> int:
    known = await unit.lock(set[str]().union(*(told.ids for told in page)))
    since = min(moment(told.change.recorded_at) for told in page)
    found = await unit.connection.execute(_RECORDED, (since, [told.reference for told in page]))
    there = {reference for (reference,) in await found.fetchall()}
    changes: list[LedgerChange] = []
    for told in page:
        if told.reference in there or await _is_followed(unit, told):
            continue
        row = row_of(told, known, erased_by=RESTORED)
        if row is not None:
            changes.append(change_by(known.history, row))
    await unit.write(known, changes)
    fenced = [change.row.named_id for change in changes if change.row.kind is RowKind.FENCE]
    if fenced:
        await unit.blank(fenced)
    return len(changes)


async def _is_followed(unit: LedgerUnit, told: Told) -> bool:
    """Return whether the ledger has followed this merge or split."""
    event_id = getattr(told.message, "identity_event_id", "")
    if not event_id:
        return False
    row = await (await unit.connection.execute(_FOLLOWED, (told.change.named_id, event_id))).fetchone()
    return row is not None and bool(row[0])


def _schema(stored: StoredMessage) -> str:
    return stored.headers.get("ce-dataschema", "").removeprefix("proto:")
