"""What a ledger held at each moment, told from its changes: the truth by which decisions are judged.

It shares no code with the gate. A ledger that is restored or promoted goes on in another epoch from an earlier state;
what it lost then is no longer the truth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import Final, Generic, NamedTuple, TypeVar

from rapport.consent.v1 import ledger_pb2, purpose_pb2

T = TypeVar("T")
Key = tuple[str, str]

_DIRECT_MARKETING: Final = "direct_marketing.*"
_WITHOUT_CHOICE: Final = (
    purpose_pb2.LEGAL_BASIS_CONTRACT,
    purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION,
    purpose_pb2.LEGAL_BASIS_VITAL_INTEREST,
)
_OPEN_TO_OBJECTION: Final = (purpose_pb2.LEGAL_BASIS_PUBLIC_TASK, purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST)
_CONTINUING: Final = (purpose_pb2.LEGAL_BASIS_CONTRACT, purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION)
_PROVEN: Final = (ledger_pb2.EVIDENCE_KIND_CAPTURED, ledger_pb2.EVIDENCE_KIND_IMPORTED)


class Question(NamedTuple):
    """What a check asks: in no particular market, of no particular data."""

    person: str
    purpose: str
    brand: str = ""


class Moment(NamedTuple):
    """A commit of the ledger.

    Attributes:
        epoch: Its epoch.
        position: Its position.
        earliest: It was not committed before; by the clock since boot, as all times here.
        latest: It was committed by then.
    """

    epoch: str
    position: int
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Person:
    """What is in force for a profile and every id that redirects to it."""

    profile_id: str
    redirect_ids: frozenset[str]
    keys: dict[Key, ledger_pb2.KeyState]
    restricted: bool


@dataclass(frozen=True, slots=True)
class _Terms:
    """A version of a purpose, for all categories and markets."""

    active_from: datetime
    version: int
    basis: int
    brand_ids: frozenset[str]
    names: tuple[str, ...]
    despite_restriction: bool
    takes_declared: bool


class Chronicle:
    """The states of a ledger, one for each moment, numbered from 0."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._positions: list[int] = []  # of the present epoch, each with the number of what it holds
        self._latest: list[float] = []
        self._earliest: list[float] = []
        self._restores: list[int] = []
        self._people = _Shelf[Person]()
        self._fenced = _Shelf[bool]()
        self._purposes = _Shelf[tuple[_Terms, ...]]()

    def record(self, change: ledger_pb2.LedgerChange, *, earliest: float, latest: float) -> None:
        """Add the change that follows, as it was when it was written.

        Raises:
            ValueError: It does not follow the last one, in position or in time.
        """
        epoch = self.moments[-1].epoch if self.moments else change.epoch
        if (change.epoch, change.position) != (epoch, len(self._positions) + 1):
            raise ValueError(f"position {change.position} of {change.epoch} does not follow {len(self._positions)}")
        self._positions.append(len(self.moments))
        number = self._next(Moment(change.epoch, change.position, earliest, latest))
        for subject in change.subjects:
            self._record_subject(number, subject)
        for purpose in change.purposes:
            self._purposes.put(number, purpose.purpose_id, _versions(purpose))
        for fence in change.fences:
            self._fenced.put(number, fence.profile_id, True)

    def restore(self, epoch: str, position: int, *, earliest: float, latest: float) -> None:
        """Go on in another epoch from what was held at a position of the present one."""
        del self._positions[position:]
        kept = self._positions[-1]
        number = self._next(Moment(epoch, position, earliest, latest))
        for shelf in (self._people, self._fenced, self._purposes):
            shelf.restore(number, kept)
        self._restores.append(number)

    def number(self, epoch: str, position: int) -> int | None:
        """Return the number of a moment; None if the ledger was never there."""
        return self._numbers.get((epoch, position))

    def overtaken_at(self, number: int) -> float:
        """Return by when the state was no longer in force; infinite for the present one."""
        return self._latest[number + 1] if number + 1 < len(self.moments) else inf

    def is_head(self, number: int, at: float) -> bool:
        """Whether certainly nothing beyond was committed by then."""
        return number + 1 == len(self.moments) or self._earliest[number + 1] > at

    def closure(self, number: int, person: str) -> set[str]:
        """Return every id that stood for the same person."""
        found = self._people.at(number, person)
        return {person} if found is None else {found.profile_id, *found.redirect_ids}

    def permits_within(self, question: Question, wall: datetime, since: float, until: float) -> bool:
        """Whether a state that may have been in force between two times permits: after `since`, by `until`."""
        first = max(bisect_right(self._latest, since) - 1, 0)
        last = bisect_right(self._earliest, until) - 1
        changes = {
            *self._people.numbers(question.person, first, last),
            *self._purposes.numbers(question.purpose, first, last),
            *(number for number in self._restores if first < number <= last),
        }
        return any(self.permits(number, question, wall) for number in (first, *sorted(changes)) if number <= last)

    def permits(self, number: int, question: Question, wall: datetime) -> bool:
        """Whether the state of a moment permits, to somebody whose clock shows `wall`."""
        terms = self._terms(number, question, wall)
        if terms is None or any(self._fenced.at(number, each) for each in self.closure(number, question.person)):
            return False
        person = self._people.at(number, question.person)
        if person is not None and person.restricted and not terms.despite_restriction:
            return False
        if terms.basis in _WITHOUT_CHOICE:
            return True
        decided = None if person is None else _decided(person, terms, question)
        if decided is None:
            return terms.basis in _OPEN_TO_OBJECTION
        granted = decided.status == ledger_pb2.CONSENT_STATUS_GRANTED
        if terms.basis in _OPEN_TO_OBJECTION:
            return granted
        return terms.basis == purpose_pb2.LEGAL_BASIS_CONSENT and granted and _holds(decided, terms, wall)

    def continues(self, number: int, question: Question, wall: datetime) -> bool:
        """Whether the purpose may go on for a while without touch with the ledger: contract and legal duty."""
        terms = self._terms(number, question, wall)
        return terms is not None and terms.basis in _CONTINUING

    def _next(self, moment: Moment) -> int:
        number = len(self.moments)
        before = self.moments[-1] if self.moments else None
        if before is not None and (moment.earliest < before.earliest or moment.latest < before.latest):
            raise ValueError(f"{moment} lies before {before}")
        if moment.latest < moment.earliest:
            raise ValueError(f"{moment} ends before it begins")
        self.moments.append(moment)
        self._numbers[moment.epoch, moment.position] = number
        self._earliest.append(moment.earliest)
        self._latest.append(moment.latest)
        return number

    def _record_subject(self, number: int, subject: ledger_pb2.SubjectState) -> None:
        profile_id = subject.profile_id
        before = self._people.at(number, profile_id)
        if before is None or before.profile_id != profile_id:
            before = Person(profile_id, frozenset(), {}, False)
        keys = {(state.purpose_id, state.brand_id): state for state in subject.states}
        if subject.whole:
            after = Person(profile_id, frozenset(subject.redirect_ids), keys, subject.restriction.in_force)
            for left in before.redirect_ids - after.redirect_ids:
                now = self._people.at(number, left)
                if now is not None and now.profile_id == profile_id:
                    self._people.put(number, left, None)
        else:
            restricted = subject.restriction.in_force if subject.HasField("restriction") else before.restricted
            after = replace(before, keys={**before.keys, **keys}, restricted=restricted)
        for each in (profile_id, *sorted(after.redirect_ids)):
            self._people.put(number, each, after)

    def _terms(self, number: int, question: Question, wall: datetime) -> _Terms | None:
        """The terms in force for a brand; None where nothing is."""
        found = None
        for terms in self._purposes.at(number, question.purpose) or ():
            if terms.active_from <= wall:
                found = terms
        return found if found is not None and (not found.brand_ids or question.brand in found.brand_ids) else None


class _Shelf(Generic[T]):
    """Values by name, each from a moment on."""

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[list[int], list[T | None]]] = {}

    def put(self, number: int, name: str, value: T | None) -> None:
        numbers, values = self._by_name.setdefault(name, ([], []))
        numbers.append(number)
        values.append(value)

    def at(self, number: int, name: str) -> T | None:
        if name not in self._by_name:
            return None
        numbers, values = self._by_name[name]
        found = bisect_right(numbers, number)
        return values[found - 1] if found else None

    def numbers(self, name: str, after: int, until: int) -> Iterator[int]:
        """The moments after one and up to another at which the value changed."""
        numbers = self._by_name.get(name, ([], []))[0]
        yield from numbers[bisect_right(numbers, after) : bisect_right(numbers, until)]

    def restore(self, number: int, kept: int) -> None:
        """Take up again, for each name, what it had at an earlier moment."""
        for name in self._by_name:
            then = self.at(kept, name)
            if self.at(number, name) is not then:
                self.put(number, name, then)


def _versions(purpose: ledger_pb2.PurposeState) -> tuple[_Terms, ...]:
    """The versions in order of time; none of a purpose that has ended."""
    if purpose.retired:
        return ()
    versions = [
        _Terms(
            active_from=rule.active_from.ToDatetime(UTC),
            version=rule.version,
            basis=next((each.basis for each in rule.terms.bases if not (each.data_category or each.market)), 0),
            brand_ids=frozenset(rule.terms.brand_ids),
            names=(purpose.purpose_id, *([_DIRECT_MARKETING] if rule.terms.direct_marketing else [])),
            despite_restriction=rule.terms.despite_restriction,
            takes_declared=not (rule.terms.explicit or rule.terms.separate),
        )
        for rule in purpose.rules
    ]
    return tuple(sorted(versions, key=lambda terms: (terms.active_from, terms.version)))


def _decided(person: Person, terms: _Terms, question: Question) -> ledger_pb2.KeyState | None:
    """The most special decision: of the purpose before that of all direct marketing, of the brand before all brands."""
    for name in terms.names:
        for brand in (question.brand, ""):
            state = person.keys.get((name, brand))
            if state is not None and state.status != ledger_pb2.CONSENT_STATUS_UNSPECIFIED:
                return state
    return None


def _holds(grant: ledger_pb2.KeyState, terms: _Terms, wall: datetime) -> bool:
    """Whether a grant has not expired and its proof is good enough."""
    if grant.HasField("expires_at") and grant.expires_at.ToDatetime(UTC) <= wall:
        return False
    return grant.evidence in _PROVEN or (terms.takes_declared and grant.evidence == ledger_pb2.EVIDENCE_KIND_DECLARED)
