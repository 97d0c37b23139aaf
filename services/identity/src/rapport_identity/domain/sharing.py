"""Identifiers that many hold: how far they still speak for one person, and the households and devices they reveal.

An identifier is as telling as the number of persons who hold it is small. The count is that of the present partition's
*distinct holders by name* (records whose given name and surname fold alike count once; those without a name are counted
apart, for each may be of one of the named), so it does not depend on how the records were joined, and whoever holds the
identifier is judged by the same count, early or late.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rapport_identity.domain import identifiers
from rapport_identity.domain.folding import Column, Columns
from rapport_identity.domain.records import RecordKey


class Sharing(StrEnum):
    """What an identifier is good for, by how many hold it."""

    PERSONAL = "personal"
    """Held by one person, as far as is known: full weight."""
    HOUSEHOLD = "household"
    """Held by a few: no evidence for one person, evidence for a household or a shared device."""
    COMMON = "common"
    """Held by many, or known to name nobody: no evidence for anything; it brings nobody together."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Up to how many distinct holders an identifier is personal, and up to how many it is a household's."""

    personal: int
    household: int


LIMITS: Final[Mapping[str, Limits]] = {
    "emails": Limits(personal=2, household=6),
    "phones": Limits(personal=2, household=8),
    "phone_tails": Limits(personal=2, household=8),
    "national_ids": Limits(personal=8, household=8),
    "accounts": Limits(personal=8, household=8),
    "devices": Limits(personal=2, household=8),
}
"""Two holders are allowed as personal, for one person may be known by two names, and the weights decide there. What is
issued to one person is personal until so many hold it that it can only be a placeholder: names are misspelt often."""


MOST_RECORDS: Final = 100
"""Records above which an identifier is common whatever names they have: as many as its blocking key brings together.
What so many records hold under one name is a terminal's or a test's, and would make one person of everybody there."""

_NAMELESS: Final = "?"


def holder(key: RecordKey, columns: Columns) -> str:
    """Return who a record says it is; one without a name counts for itself, among those without one."""
    given, surname, initial = columns["given"], columns["surname"], columns["given_initial"]
    if given is None and surname is None:
        return f"{_NAMELESS}{key.source}/{key.source_record_id}"
    return f"{initial or ''}|{columns['surname_sound'] or surname or ''}"


def judge(column: str, value: str, holders: Collection[str], records: int) -> Sharing:
    """Return what an identifier is good for, given who holds it at present, each once, and in how many records."""
    if records > MOST_RECORDS or (column == "emails" and identifiers.is_role_mailbox(value)):
        return Sharing.COMMON
    limits = LIMITS[column]
    if len(holders) <= limits.personal:
        return Sharing.PERSONAL
    nameless = sum(name.startswith(_NAMELESS) for name in holders)
    count = max(nameless, len(holders) - nameless)
    if count <= limits.personal:
        return Sharing.PERSONAL
    return Sharing.HOUSEHOLD if count <= limits.household else Sharing.COMMON


def without_shared(columns: Columns, sharing: Mapping[tuple[str, str], Sharing]) -> Columns:
    """Return the columns of a record less the identifiers that are not personal; the same where all are."""
    kept: dict[str, Column] = {}
    for column in LIMITS:
        values = columns[column]
        if isinstance(values, tuple) and any((column, value) in sharing for value in values):
            kept[column] = tuple(v for v in values if sharing.get((column, v), Sharing.PERSONAL) is Sharing.PERSONAL)
    if not kept:
        return columns
    if not kept.get("emails", columns["emails"]):
        kept["email"] = kept["email_local"] = None
    if not kept.get("national_ids", columns["national_ids"]):
        kept["national_id"] = None
        kept["national_spaces"] = ()
    return {**columns, **kept}
