"""The hot index: every record as it is matched, and for any change exactly the records whose links it may alter.

It holds the very graph that `resolution.resolve` draws over all records at once: who shares a key that few enough hold,
at what weight. Edges are drawn when somebody asks and kept until they change, so that a start need not draw them all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from rapport_identity.domain import sharing
from rapport_identity.domain.blocking import RULES, Keys, Rule
from rapport_identity.domain.entries import COLUMNS, Block, Entry
from rapport_identity.domain.folding import Column, Columns, fold_record
from rapport_identity.domain.holders import Holders, Identifier, identifiers_in
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.sharing import Sharing
from rapport_identity.domain.weighing import Prepared

_REMEMBERED: Final = 250_000
"""Scores that are kept of records that many hang together with: those of two components of the largest size."""

_STEP: Final = 1000
"""Records that are brought together in one step."""


class Index:
    """Records, by number, by key and by what brings them together.

    Args:
        matcher: The version that weighs.
        rules: What brings records together.
    """

    def __init__(self, matcher: Matcher, rules: Sequence[Rule] = RULES) -> None:
        self.matcher = matcher
        self._rules = rules
        self._keys = Keys(rules)
        self._entries: dict[int, Entry] = {}
        self._by_key: dict[RecordKey, Entry] = {}
        self._blocks: dict[str, Block] = {}
        self._holders = Holders()
        self._shared: Mapping[Identifier, Sharing] = self._holders.shared
        self._touched: set[Entry] = set()
        self._scored: dict[tuple[int, int], tuple[Prepared, Prepared, float]] = {}
        self._settled = False

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._entries)

    def __contains__(self, number: int) -> bool:
        """Whether the record is here."""
        return number in self._entries

    def __iter__(self) -> Iterator[Entry]:
        """Yield all records, in no order that means anything."""
        return iter(self._entries.values())

    def __getitem__(self, number: int) -> Entry:
        """Return a record.

        Raises:
            KeyError: It is not here.
        """
        return self._entries[number]

    def number_of(self, key: RecordKey) -> int | None:
        """Return the number of a record by what its source calls it."""
        entry = self._by_key.get(key)
        return entry.number if entry else None

    def use(self, matcher: Matcher) -> None:
        """Have another matcher weigh from now on; keys and what is shared do not depend on it."""
        self.matcher = matcher
        for entry in self._entries.values():
            entry.prepared = entry.edges = None

    def settle(self) -> None:
        """Say that all records so far were linked before: from now on changes are followed."""
        for _ in self.settling():
            pass

    def settling(self) -> Iterator[None]:
        """Do what `settle` does, in steps between which others may work, but not on this index.

        What is shared is judged once, when all who hold it are here, and not again with each of them.
        """
        self._holders.judge_all()
        for at, entry in enumerate(self._entries.values()):
            self._enter(entry, self._keys(sharing.without_shared(entry.columns, self._shared)))
            if at % _STEP == 0:
                yield
        self._settled = True

    def put(self, number: int, record: Record) -> None:
        """Add a record, or a new version of one."""
        self._put(number, record.key, fold_record(record))

    def put_folded(self, number: int, key: RecordKey, values: tuple[Column, ...]) -> None:
        """Add a record as it was folded: what `Entry.values` was puts it back."""
        self._put(number, key, dict(zip(COLUMNS, values, strict=True)))

    def _put(self, number: int, key: RecordKey, columns: Columns) -> None:
        entry = self._entries.get(number)
        if entry is None:
            entry = Entry(number, key, tuple(columns.values()))
            self._entries[number] = self._by_key[key] = entry
            self._hold(entry, columns)
        else:
            self._see([entry])
            self._release(entry)
            entry.values = tuple(columns.values())
            self._hold(entry, columns)
            self._loosen(entry)
        if self._settled:
            self._join(entry, columns)

    def remove(self, number: int) -> None:
        """Take a record out; nothing happens if it is not here."""
        entry = self._entries.get(number)
        if entry is None:
            return
        self._see([entry])
        self._release(entry)
        self._loosen(entry)
        self._enter(entry, ())
        del self._entries[number], self._by_key[entry.key]
        self._touched.discard(entry)

    def touch(self, numbers: Iterable[int]) -> None:
        """Have these records linked anew, as when a constraint on them changes."""
        self._touched.update(self._entries[number] for number in numbers if number in self._entries)

    def take_touched(self) -> list[Entry]:
        """Return the records whose links may have changed since this was last asked, in the order of their numbers."""
        touched = sorted(self._touched, key=lambda entry: entry.number)
        self._touched.clear()
        return touched

    def edges(self, entry: Entry) -> Mapping[Entry, float]:
        """Return who a record may be one person with."""
        if entry.edges is None:
            seen, score, least = self.prepared(entry), self.matcher.score, self.matcher.fracture
            entry.edges = {
                other: bits
                for other in self.met(entry)
                if (bits := score(seen, other.prepared or self.prepared(other))) >= least
            }
        return entry.edges

    def score(self, one: Entry, other: Entry) -> float:
        """Return the bits of any two records."""
        known = one.edges.get(other) if one.edges is not None else None
        if known is not None:
            return known
        return self.matcher.score(one.prepared or self.prepared(one), other.prepared or self.prepared(other))

    def remembered_score(self, one: Entry, other: Entry) -> float:
        """Return the bits of any two records of many that are linked together again with each that joins them."""
        a, b = self.prepared(one), self.prepared(other)
        pair = (one.number, other.number)
        known = self._scored.get(pair)
        if known is not None and known[0] is a and known[1] is b:
            return known[2]
        if len(self._scored) >= _REMEMBERED:
            self._scored.clear()
        bits = self.matcher.score(a, b)
        self._scored[pair] = a, b, bits
        return bits

    def prepared(self, entry: Entry) -> Prepared:
        """Return what the matcher sees of a record."""
        if entry.prepared is None:
            entry.prepared = self.matcher.prepare_columns(entry.key, self.visible(entry))
        return entry.prepared

    def visible(self, entry: Entry) -> Columns:
        """Return the columns of a record without what it shares with many."""
        return sharing.without_shared(entry.columns, self._shared)

    def search(self, record: Record) -> tuple[dict[Entry, float], list[str]]:
        """Return who a record that is not here would meet, with the bits, and the kinds of its keys that many hold."""
        columns = self._personal(record)
        probe = self.matcher.prepare_columns(record.key, columns)
        found: dict[Entry, float] = {}
        capped = []
        for rule in self._rules:
            for key in rule.keys(columns):
                block = self._blocks.get(key)
                if block is None:
                    continue
                if not block.open:
                    capped.append(rule.name)
                    continue
                for other in block.members:
                    if other not in found:
                        found[other] = self.matcher.score(probe, self.prepared(other))
        return found, sorted(set(capped))

    def average(self, record: Record, entries: Sequence[Entry]) -> float:
        """Return the average weight between a record that is not here and others that are."""
        probe = self.probe(record)
        return sum(self.matcher.score(probe, self.prepared(entry)) for entry in entries) / len(entries)

    def probe(self, record: Record) -> Prepared:
        """Return what the matcher sees of a record that is not here."""
        return self.matcher.prepare_columns(record.key, self._personal(record))

    def _personal(self, record: Record) -> Columns:
        return sharing.without_shared(fold_record(record), self._shared)

    def holders(self, column: str, value: str) -> tuple[Sharing, list[Entry]]:
        """Return what an identifier in its normal form is good for, and the records that hold it."""
        identifier = column, value
        return self._shared.get(identifier, Sharing.PERSONAL), self._holders.of(identifier)

    def sharers(self, entry: Entry, sharing_: Sharing) -> Iterator[Entry]:
        """Yield those who hold an identifier of a record's that is good for this, some more than once."""
        for identifier in identifiers_in(entry.columns):
            if self._shared.get(identifier) is sharing_:
                yield from (each for each in self._holders.of(identifier) if each is not entry)

    def met(self, entry: Entry) -> set[Entry]:
        """Return the records that a key brings together with one."""
        met = {other for block in entry.blocks if block.open for other in block.members}
        met.discard(entry)
        return met

    def _see(self, entries: Iterable[Entry]) -> None:
        """Have records seen as they are before something changes, so that the edges they had can still be drawn."""
        if self._settled:
            for entry in entries:
                self.prepared(entry)

    def _loosen(self, entry: Entry) -> None:
        """Forget the edges of a record that is about to change; whoever had one may be linked otherwise."""
        if self._settled:
            for other in self.edges(entry):
                if other.edges is not None:
                    other.edges.pop(entry, None)
                self._touched.add(other)
        entry.edges = None

    def _join(self, entry: Entry, columns: Columns) -> None:
        """Have a record, of which no edge is known, seen as it now is, and draw its edges."""
        columns = sharing.without_shared(columns, self._shared)
        entry.prepared = self.matcher.prepare_columns(entry.key, columns)
        self._enter(entry, self._keys(columns))
        for other, bits in self.edges(entry).items():
            if other.edges is not None:
                other.edges[entry] = bits
        self._touched.add(entry)

    def _enter(self, entry: Entry, keys: Sequence[tuple[str, int]]) -> None:
        """Have a record hold exactly these keys."""
        wanted = dict(keys)
        if not entry.blocks:
            entry.blocks = tuple([self._enter_block(entry, key, cap) for key, cap in wanted.items()])
            return
        held = {block.key: block for block in entry.blocks}
        for key, block in held.items():
            if key not in wanted:
                self._leave_block(entry, block)
        for key, cap in wanted.items():
            if key not in held:
                held[key] = self._enter_block(entry, key, cap)
        entry.blocks = tuple(held[key] for key in wanted)

    def _enter_block(self, entry: Entry, key: str, cap: int) -> Block:
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = Block(key, cap, [entry])
            return block
        closes = self._settled and len(block.members) == cap
        if closes:
            for member in block.members:
                self.edges(member)
        block.members.append(entry)
        if closes:
            self._part(block, entry)
        return block

    def _leave_block(self, entry: Entry, block: Block) -> None:
        block.members.remove(entry)
        if not block.members:
            del self._blocks[block.key]
        elif len(block.members) == block.cap and self._settled:
            for member in block.members:  # it brings them together again
                member.edges = None
            self._touched.update(block.members)

    def _part(self, block: Block, newcomer: Entry) -> None:
        """Drop the edges between members whom only this block had brought together."""
        members = set(block.members) - {newcomer}
        for one in members:
            for other in [other for other in one.edges or () if other in members and not _meet(one, other)]:
                assert one.edges is not None
                del one.edges[other]
                self._touched.add(one)

    def _hold(self, entry: Entry, columns: Columns) -> None:
        name = sharing.holder(entry.key, columns)
        for identifier in identifiers_in(columns):
            self._holders.add(identifier, name, entry)
            self._judge(identifier, entry)

    def _release(self, entry: Entry) -> None:
        columns = entry.columns
        name = sharing.holder(entry.key, columns)
        for identifier in identifiers_in(columns):
            self._holders.remove(identifier, name, entry)
            self._judge(identifier, entry)

    def _judge(self, identifier: Identifier, cause: Entry) -> None:
        """Judge an identifier by who holds it now; all of them see it if it became or stopped being personal."""
        if not self._settled:
            return
        verdict = self._holders.verdict(identifier)
        before = self._shared.get(identifier, Sharing.PERSONAL)
        flips = (before is Sharing.PERSONAL) != (verdict is Sharing.PERSONAL)
        others = [each for each in self._holders.of(identifier) if each is not cause] if flips else []
        self._see(others)
        self._holders.judge(identifier, verdict)
        for other in others:
            self._loosen(other)
            self._join(other, other.columns)


def _meet(one: Entry, other: Entry) -> bool:
    return not {block for block in one.blocks if block.open}.isdisjoint(other.blocks)
