"""Models and promotions in PostgreSQL: `ModelStore`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from rapport_chassis.database.pool import Connection
from rapport_chassis.events import outbox

from rapport_churn.app.models import ModelPlace, Promotion, PromotionPlace, Removed, Role, Stored
from rapport_churn.translate.models import gates_of, model_promoted

_MODEL: Final = "model_id, sha256, body, log_epoch, log_position, created_at"
_ADD: Final = f"INSERT INTO models ({_MODEL}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
_FIND: Final = f"SELECT {_MODEL} FROM models WHERE model_id = %s"  # noqa: S608 - constants
_PAGE: Final = f"""
SELECT {_MODEL} FROM models WHERE (created_at, model_id) < (%s, %s) ORDER BY created_at DESC, model_id DESC LIMIT %s
"""  # noqa: S608 - constants
_PROMOTION: Final = "role, version, model_id, previous_model_id, promoted_at, promoted_by, reason, despite_gates"
# The log is only added to, so what is locked is the right to add.
_HOLD: Final = "SELECT pg_advisory_xact_lock(hashtext('rapport'), hashtext('promotions'))"
_CURRENT: Final = f"""
SELECT DISTINCT ON (role) {_PROMOTION} FROM promotions ORDER BY role, version DESC
"""  # noqa: S608 - constants
_AT: Final = f"""
SELECT {_PROMOTION} FROM promotions WHERE role = %s AND promoted_at <= %s ORDER BY version DESC LIMIT 1
"""  # noqa: S608 - constants
_HAD: Final = "SELECT EXISTS (SELECT FROM promotions WHERE role = %s AND model_id = %s)"
_PROMOTE: Final = f"""
INSERT INTO promotions ({_PROMOTION}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""  # noqa: S608 - constants
_PROMOTIONS: Final = f"""
SELECT {_PROMOTION} FROM promotions
WHERE (%(role)s = 0 OR role = %(role)s) AND (promoted_at, role, version) < (%(at)s, %(before_role)s, %(version)s)
ORDER BY promoted_at DESC, role DESC, version DESC LIMIT %(limit)s
"""  # noqa: S608 - constants
# Positions of another life of the log mean nothing: then everybody who was ever taken out counts. Of whoever withdrew
# first and was erased then, the tombstone alone may tell.
_REMOVED: Final = """
SELECT profile_ids, removed_at,
    scope = 'all' OR EXISTS (SELECT FROM privacy_tombstones WHERE profile_id = ANY (profile_ids))
FROM removals, log_head
WHERE scope <> 'scores' AND (removals.position > %(position)s OR epoch <> %(epoch)s) ORDER BY removals.position
"""
_REMOVED_WITH: Final = "SELECT profile_ids FROM removals WHERE scope <> 'scores' AND %s = ANY (profile_ids)"
_EVER: Final = "infinity"


class DatabaseModels:
    """`ModelStore`.

    Args:
        connection: The transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, model: Stored) -> None:
        """Keep a new model."""
        await self._connection.execute(_ADD, model)

    async def find(self, model_id: str) -> Stored | None:
        """Return a model."""
        row = await (await self._connection.execute(_FIND, [model_id])).fetchone()
        return None if row is None else _stored(row)

    async def page(self, before: ModelPlace | None, limit: int) -> list[Stored]:
        """Return models, the newest first."""
        cursor = await self._connection.execute(_PAGE, (*(before or (_EVER, "")), limit))
        return [_stored(row) for row in await cursor.fetchall()]

    async def hold(self) -> None:
        """Let nobody else promote until the transaction ends."""
        await self._connection.execute(_HOLD)

    async def current(self) -> dict[Role, Promotion]:
        """Return who has which role."""
        rows = await (await self._connection.execute(_CURRENT)).fetchall()
        return {Role(row[0]): _promotion(row) for row in rows}

    async def at(self, role: Role, moment: datetime) -> Promotion | None:
        """Return who had a role at a time."""
        row = await (await self._connection.execute(_AT, (int(role), moment))).fetchone()
        return None if row is None else _promotion(row)

    async def had(self, role: Role, model_id: str) -> bool:
        """Whether a model ever had a role."""
        row = await (await self._connection.execute(_HAD, (int(role), model_id))).fetchone()
        return row is not None and bool(row[0])

    async def removed_since(self, model: Stored) -> list[Removed]:
        """Return whose facts were taken away that a model may have been trained on."""
        values = {"epoch": model.log_epoch, "position": model.log_position}
        rows = await (await self._connection.execute(_REMOVED, values)).fetchall()
        return [Removed(tuple(profile_ids), at, erased) for profile_ids, at, erased in rows]

    async def removed_with(self, profile_id: str) -> list[str]:
        """Return every id of a person whose facts were taken away."""
        rows = await (await self._connection.execute(_REMOVED_WITH, [profile_id])).fetchall()
        return sorted({each for (profile_ids,) in rows for each in profile_ids})

    def failed(self, model: Stored) -> frozenset[str]:
        """Return the gates that a model failed."""
        return frozenset(gate.name for gate in gates_of(model) if not gate.passed)

    async def promote(self, promotion: Promotion) -> None:
        """Give a role, and tell of it."""
        await self._connection.execute(_PROMOTE, (int(promotion.role), *promotion[1:]))
        stored = await self.find(promotion.model_id)
        assert stored is not None
        await outbox.append(self._connection, [model_promoted(promotion, stored)])

    async def promotions(self, role: Role | None, before: PromotionPlace | None, limit: int) -> list[Promotion]:
        """Return promotions, the newest first."""
        at, before_role, version = before or (_EVER, 0, 0)
        values = {"role": int(role or 0), "at": at, "before_role": before_role, "version": version, "limit": limit}
        return [_promotion(row) for row in await (await self._connection.execute(_PROMOTIONS, values)).fetchall()]


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(row[0], bytes(row[1]), bytes(row[2]), *row[3:])


def _promotion(row: Sequence[Any]) -> Promotion:
    return Promotion(Role(row[0]), *row[1:])
