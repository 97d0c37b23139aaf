"""Finds statements in migrations that would lock out a running service or break the release before."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command

from rapport_chassis.database.migration_files import Kind, configuration, read_migrations

_SPACES: Final = re.compile(r"\s+")
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED: Final = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'", re.DOTALL)
_TABLE: Final = r'(?:IF EXISTS )?(?:ONLY )?"?(?P<table>[\w.]+)"?'
_CREATED: Final = re.compile(rf"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_TABLE}", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    advice: str
    kinds: tuple[Kind, ...] = ("expand", "contract")


def _rule(pattern: str, advice: str, *kinds: Kind) -> _Rule:
    return _Rule(re.compile(pattern, re.IGNORECASE), advice, kinds or ("expand", "contract"))


# A rule holds for tables that exist already; one that this migration creates is empty and nobody uses it.
_RULES: Final = (
    _rule(rf"^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*? ON {_TABLE}", "build the index CONCURRENTLY"),
    _rule(r"^DROP INDEX (?!CONCURRENTLY)", "drop the index CONCURRENTLY"),
    _rule(r"^REINDEX (?!.*CONCURRENTLY)", "reindex CONCURRENTLY"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)\b(?!.*NOT VALID)",
          "add the constraint NOT VALID and validate it in a later migration"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*USING INDEX)",
          "build a unique index CONCURRENTLY and add the constraint USING INDEX"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bADD (?!CONSTRAINT|CHECK|FOREIGN|UNIQUE|PRIMARY)(?!.*\bDEFAULT\b).*\bNOT NULL\b",
          "give the column a DEFAULT, or allow NULL"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bADD (?:COLUMN )?.*\bGENERATED (?:ALWAYS|BY DEFAULT) AS\b",
          "a generated column rewrites the table: fill a plain column instead"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b",
          "a change of type rewrites the table: add a column, copy, contract later"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bSET NOT NULL\b", "check with a validated constraint instead"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bRENAME\b", "a rename breaks the release before: add, copy, contract later"),
    _rule(rf"^ALTER TABLE {_TABLE} .*\bDROP (?:COLUMN|CONSTRAINT)\b", "removing belongs in a contract", "expand"),
    _rule(rf"^DROP TABLE {_TABLE}", "removing belongs in a contract", "expand"),
    _rule(rf"^(?:LOCK TABLE|TRUNCATE(?: TABLE)?|CLUSTER|VACUUM FULL) {_TABLE}", "locks out every reader"),
    _rule(rf"^(?:UPDATE|DELETE FROM) {_TABLE}(?!.*\bWHERE\b)",
          "touches every row in one transaction: go in bounded steps"),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A statement that a running service would feel: where, which, and what to do instead."""

    migration: str
    statement: str
    advice: str


def lint_migrations(folder: Path) -> list[Finding]:
    """Return what is wrong with the SQL of a service's migrations, without a database.

    Raises:
        MigrationError: The files break a rule.
    """
    findings: list[Finding] = []
    previous = "base"
    for migration in read_migrations(folder):
        config = configuration(folder, dialect_name="postgresql", runtime_role="runtime")
        config.output_buffer = io.StringIO()
        command.upgrade(config, f"{previous}:{migration.number}", sql=True)
        findings += [
            Finding(migration.name, statement, advice)
            for statement, advice in lint_sql(config.output_buffer.getvalue(), migration.kind)
        ]
        previous = migration.number
    return findings


def lint_sql(sql: str, kind: Kind) -> list[tuple[str, str]]:
    """Return each statement of a migration that locks too much or breaks too early, with what to do instead."""
    created: set[str] = set()
    found: list[tuple[str, str]] = []
    for statement in _statements(sql):
        if creation := _CREATED.match(statement):
            created.add(creation["table"])
            continue
        for rule in _RULES:
            match = rule.pattern.match(statement)
            if match is not None and kind in rule.kinds and _concerns_existing(match, created):
                found.append((statement, rule.advice))
    return found


def _concerns_existing(match: re.Match[str], created: set[str]) -> bool:
    return match.groupdict().get("table") not in created | {"alembic_version"}


def _statements(sql: str) -> list[str]:
    """Split at semicolons outside quotes; what is quoted is blanked, so that no rule reads it."""
    plain = _QUOTED.sub("''", _COMMENT.sub(" ", sql))
    return [_SPACES.sub(" ", part).strip() for part in plain.split(";") if part.strip()]
