"""Experiments in PostgreSQL: who was given which arm, and what that earned."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from rapport_chassis.database.pool import Connection

from rapport_pricing.app.decisions import Kept
from rapport_pricing.app.trial_report import UnitFigures
from rapport_pricing.app.trials import Assigned

_GIVEN: Final = """
INSERT INTO experiment_units AS before (
    experiment_id, version, unit_id, profile_id, arm, propensity, first_at, quotes, currency
)
SELECT * FROM unnest(
    %s::text[], %s::integer[], %s::text[], %s::text[], %s::text[], %s::double precision[], %s::timestamptz[],
    %s::bigint[], %s::text[]
)
ON CONFLICT (experiment_id, version, unit_id) DO UPDATE SET quotes = before.quotes + excluded.quotes
"""
_EARNED: Final = """
UPDATE experiment_units SET redeemed = redeemed + 1, earned = earned + %s
WHERE (experiment_id, version, unit_id) = (%s, %s, %s)
"""
_UNITS: Final = """
SELECT arm, propensity, quotes, redeemed, earned, currency, first_at FROM experiment_units
WHERE (experiment_id, version) = (%s, %s) ORDER BY first_at, unit_id LIMIT 500000
"""
_ALLOCATED: Final = """
SELECT EXISTS (SELECT FROM experiment_allocations WHERE (experiment_id, version, since_us) = (%s, %s, %s))
"""
_ALLOCATE: Final = """
INSERT INTO experiment_allocations (experiment_id, version, since_us, position, shares) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""


class _Unit(NamedTuple):
    name: str
    version: int
    unit_id: str


async def given(connection: Connection, kept: Collection[Kept]) -> None:
    """Note which arms new quotes were given."""
    units: dict[_Unit, tuple[str, str, float, datetime, int, str]] = {}
    for decision in kept:
        for each in decision.assigned:
            unit = _Unit(each.name, each.version, each.unit_id)
            quotes = units[unit][4] + 1 if unit in units else 1
            who = decision.profile_id if each.is_account else ""
            units[unit] = who, each.arm, each.propensity, decision.issued_at, quotes, decision.currency
    if units:
        rows = [(*unit, *units[unit]) for unit in sorted(units)]
        await connection.execute(_GIVEN, [list(column) for column in zip(*rows, strict=True)])


async def earned(connection: Connection, assigned: Sequence[Assigned], contribution: int) -> None:
    """Note what a redeemed quote earned in the arms that it was given."""
    for each in sorted(assigned):
        await connection.execute(_EARNED, (contribution, each.name, each.version, each.unit_id))


async def units(connection: Connection, name: str, version: int) -> list[UnitFigures]:
    """Return what accounts or stretches earned, in the order in which they were given an arm."""
    rows = await (await connection.execute(_UNITS, (name, version))).fetchall()
    return [UnitFigures(*row) for row in rows]


async def is_allocated(connection: Connection, name: str, version: int, since_us: int) -> bool:
    """Return whether it is settled how a stretch is given its arm."""
    row = await (await connection.execute(_ALLOCATED, (name, version, since_us))).fetchone()
    return row is not None and bool(row[0])


async def allocate(
    connection: Connection, name: str, version: int, since_us: int, position: int, shares: Mapping[str, int]
) -> None:
    """Settle how stretches from one on are given their arms."""
    await connection.execute(_ALLOCATE, (name, version, since_us, position, json.dumps(shares)))
