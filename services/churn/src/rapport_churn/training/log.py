"""The event log as a table of whole numbers: each fact once, of whom it is now, nobody erased. It spills to disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import numpy as np

from rapport_churn.domain.facts import DAY, Fact, FactKind
from rapport_churn.domain.labels import Gaps
from rapport_churn.training.frame import Integers

_AT_ONCE: Final = 100_000
_ISSUES: Final = """
CREATE TABLE issues (
    fact_id VARCHAR, profile_id VARCHAR, owner_version BIGINT, kind UTINYINT, occurred_at BIGINT, arrived_at BIGINT,
    value BIGINT, quantity BIGINT, channel UTINYINT
)
"""
_REPEATED: Final = """
CREATE TEMP TABLE repeated AS SELECT hash(fact_id) AS code FROM issues GROUP BY code HAVING count(*) > 1
"""
_LATEST: Final = """
CREATE TABLE latest AS FROM issues WHERE hash(fact_id) IN (FROM repeated)
QUALIFY row_number() OVER (PARTITION BY fact_id ORDER BY owner_version DESC, profile_id, occurred_at, arrived_at) = 1;
DELETE FROM issues WHERE hash(fact_id) IN (FROM repeated);
INSERT INTO issues FROM latest;
DROP TABLE latest;
"""
_OWNED: Final = """
CREATE VIEW owned AS
SELECT issues.*, coalesce(redirects.current_id, issues.profile_id) AS current_id
FROM issues LEFT JOIN redirects USING (profile_id)
WHERE issues.profile_id NOT IN (FROM erased) AND coalesce(redirects.current_id, issues.profile_id) NOT IN (FROM erased)
"""
_PEOPLE: Final = """
CREATE TABLE people AS
SELECT (row_number() OVER (ORDER BY current_id) - 1)::INTEGER AS profile, current_id
FROM (SELECT DISTINCT current_id FROM owned ORDER BY md5(current_id) LIMIT $most)
"""
_FACTS: Final = """
CREATE TABLE facts AS
SELECT profile, kind, channel, occurred_at AS occurred,
    CASE WHEN arrived_at < $assumed THEN occurred_at ELSE arrived_at END AS arrived, value, quantity
FROM owned JOIN people USING (current_id) ORDER BY kind, occurred
"""
_ASKED: Final = """
CREATE OR REPLACE TEMP TABLE asked AS
SELECT place::INTEGER AS place, profile::INTEGER AS profile, cutoff, instant FROM added
"""
_GAPS: Final = f"""
WITH days AS (
    SELECT DISTINCT profile, occurred // {DAY} AS day FROM facts
    WHERE kind = {FactKind.ORDER:d} AND occurred <= $now AND arrived <= $now
), gaps AS (
    SELECT lead(day) OVER (PARTITION BY profile ORDER BY day) AS next, day FROM days
)
SELECT next IS NOT NULL, coalesce(next, $now // {DAY}) - day, count(*) FROM gaps GROUP BY ALL
"""  # noqa: S608 - made of constants
_DELAYS: Final = f"""
SELECT greatest(arrived - occurred, 0) // {DAY}, count(*) FROM facts WHERE arrived <= $now GROUP BY ALL
"""  # noqa: S608 - made of constants


class EventLog:
    """A log to rebuild features from: issues of facts are added, then settled once.

    Args:
        folder: Where it may keep its files; None for memory alone.
        memory_mb: Memory it may use before it spills to the folder.
    """

    def __init__(self, folder: Path | None = None, memory_mb: int = 1024) -> None:
        self.connection = duckdb.connect(str(folder / "log.duckdb") if folder else ":memory:")
        # One thread and one order: two rebuilds of a log are the same to the last bit.
        self.connection.execute(f"SET threads = 1; SET memory_limit = '{int(memory_mb)}MB'")
        self.connection.execute("SET preserve_insertion_order = false")
        if folder:
            self.connection.execute("SET temp_directory = $folder", {"folder": str(folder)})
        self.connection.execute(_ISSUES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()

    def add(self, facts: Iterable[Fact]) -> None:
        """Add issues of facts, in any order and however often."""
        rows = iter(facts)
        while batch := list(islice(rows, _AT_ONCE)):
            columns = zip(Fact._fields, zip(*batch, strict=True), strict=True)
            self.add_table(
                {name: np.array(column, object if name.endswith("_id") else None) for name, column in columns}
            )

    def add_table(self, table: Any) -> None:
        """Add issues of facts from an Arrow table, or from arrays by name, with the fields of a fact as columns."""
        self.connection.register("added", table)
        try:
            self.connection.execute("INSERT INTO issues BY NAME FROM added")
        finally:
            self.connection.unregister("added")

    def add_file(self, path: Path) -> None:
        """Add issues of facts from a file: Parquet, or CSV with a head, with the fields of a fact as columns."""
        self.connection.execute(f"INSERT INTO issues BY NAME FROM '{str(path).replace(chr(39), 2 * chr(39))}'")

    def settle(
        self,
        redirects: Mapping[str, str] | None = None,
        erased: Collection[str] = (),
        arrival_assumed_before: int = 0,
        most_people: int | None = None,
    ) -> None:
        """Keep one issue of each fact, give it to whom it belongs now, and forget the ids.

        Args:
            redirects: The current id of each id that another one stands for.
            erased: Ids of which nothing may be kept, and that may be current or not.
            arrival_assumed_before: A fact that arrived before this instant was loaded from history: it is taken as
                known since it happened.
            most_people: If there are more people, as many are drawn, and the facts of the others are forgotten. Chance
                goes by the id: who is drawn stays drawn whoever else comes or goes.
        """
        pairs = sorted((redirects or {}).items())
        self._list("redirects", {"profile_id": [each for each, _ in pairs], "current_id": [each for _, each in pairs]})
        self._list("erased", {"profile_id": sorted(erased)})
        self.connection.execute(_REPEATED)
        # Most logs hold each fact once.
        if self.connection.execute("FROM repeated LIMIT 1").fetchall():
            self.connection.execute(_LATEST)
        self.connection.execute(_OWNED)
        self.connection.execute(_PEOPLE, {"most": most_people})
        self.connection.execute(_FACTS, {"assumed": arrival_assumed_before})
        self.connection.execute("DROP VIEW owned; DROP TABLE issues; DROP TABLE redirects; DROP TABLE erased")

    def ask_about(self, profiles: Integers, cutoffs: Integers, instants: Integers) -> None:
        """Keep rows that queries answer for as the table `asked`, numbered from 0, in place of earlier ones.

        Args:
            profiles: Number of the person of each row.
            cutoffs: What its labels follow.
            instants: When its features were known.
        """
        columns = {"place": np.arange(len(profiles)), "profile": profiles, "cutoff": cutoffs, "instant": instants}
        self.connection.register("added", columns)
        self.connection.execute(_ASKED)
        self.connection.unregister("added")

    def people(self) -> list[str]:
        """Return the current id of each person, by number."""
        return [
            each for (each,) in self.connection.execute("SELECT current_id FROM people ORDER BY profile").fetchall()
        ]

    def span(self) -> tuple[int, int]:
        """Return when the first fact happened and when the last one arrived; zeros for an empty log."""
        row = self.connection.execute(
            "SELECT coalesce(min(occurred), 0), coalesce(max(arrived), 0) FROM facts"
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def gaps(self, now: int) -> Gaps:
        """Count how long people stayed away between days with a purchase, as known at an instant."""
        rows = self.connection.execute(_GAPS, {"now": now}).fetchall()
        closed = {days: count for ended, days, count in rows if ended}
        return Gaps(closed, {days: count for ended, days, count in rows if not ended})

    def delays(self, now: int) -> dict[int, int]:
        """Count the facts that arrived so many whole days after they happened, until an instant."""
        return dict(self.connection.execute(_DELAYS, {"now": now}).fetchall())

    def _list(self, name: str, columns: Mapping[str, list[str]]) -> None:
        fields = ", ".join(f"{column} VARCHAR" for column in columns)
        self.connection.execute(f"CREATE TEMP TABLE {name} ({fields})")
        self.connection.register("added", {column: np.array(rows, object) for column, rows in columns.items()})
        self.connection.execute(f"INSERT INTO {name} FROM added")
        self.connection.unregister("added")
