"""Who holds each identifier, and what the identifier is good for by that."""

from collections.abc import Iterator
from itertools import islice

from rapport_identity.domain import sharing
from rapport_identity.domain.entries import Entry
from rapport_identity.domain.folding import Columns
from rapport_identity.domain.sharing import Sharing

Identifier = tuple[str, str]
"""A column, and a value of it in its normal form."""


def identifiers_in(columns: Columns) -> Iterator[Identifier]:
    """Yield the identifiers of a record."""
    for column in sharing.LIMITS:
        for value in columns[column] or ():
            yield column, value


class Holders:
    """The records that hold identifiers, by who they say they are.

    Attributes:
        shared: What identifiers are good for; one that is not here is personal.
    """

    def __init__(self) -> None:
        self.shared: dict[Identifier, Sharing] = {}
        self._held: dict[Identifier, dict[str, list[Entry]]] = {}

    def add(self, identifier: Identifier, name: str, entry: Entry) -> None:
        """Have a record that says it is somebody hold an identifier."""
        self._held.setdefault(identifier, {}).setdefault(name, []).append(entry)

    def remove(self, identifier: Identifier, name: str, entry: Entry) -> None:
        """Have it hold the identifier no more."""
        held = self._held[identifier]
        held[name].remove(entry)
        if not held[name]:
            del held[name]
        if not held:
            del self._held[identifier]

    def of(self, identifier: Identifier) -> list[Entry]:
        """Return the records that hold an identifier."""
        return [entry for group in self._held.get(identifier, {}).values() for entry in group]

    def verdict(self, identifier: Identifier) -> Sharing:
        """Return what an identifier is good for by who holds it now; personal where nobody does."""
        held = self._held.get(identifier)
        if held is None:
            return Sharing.PERSONAL
        column, value = identifier
        # Of the named, or of the nameless, that many are enough, and of records one more than may be.
        names = list(islice(held, 2 * sharing.LIMITS[column].household + 1))
        records = 0
        for group in held.values():
            records += len(group)
            if records > sharing.MOST_RECORDS:
                break
        return sharing.judge(column, value, names, records)

    def judge(self, identifier: Identifier, verdict: Sharing) -> None:
        """Have an identifier be good for this from now on."""
        if verdict is Sharing.PERSONAL:
            self.shared.pop(identifier, None)
        else:
            self.shared[identifier] = verdict

    def judge_all(self) -> None:
        """Judge every identifier by who holds it now."""
        for identifier in self._held:
            self.judge(identifier, self.verdict(identifier))
