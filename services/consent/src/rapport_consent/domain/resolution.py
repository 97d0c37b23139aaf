"""The state that the rows come to, for a key and for a whole profile."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from rapport_privacy.vocabulary import DIRECT_MARKETING, EvidenceKind, Status

from rapport_consent.domain.claims import Claim, claims_on, unlifted
from rapport_consent.domain.history import History, Scope, is_declared
from rapport_consent.domain.rows import RESTRICTIVENESS, STATUS_OF, LedgerRow, RowKind
from rapport_consent.domain.states import Fence, GrantingId, Key, KeyState, Restriction, SubjectState

_AFFIRMATIVES: Final = frozenset({RowKind.GRANT, RowKind.LIFT})
_GRANT: Final = RowKind.GRANT
_OBJECT: Final = RowKind.OBJECT
_IN_ORDER: Final = attrgetter("occurred_at", "position")


class _Weighed(NamedTuple):
    """What is to be weighed over a closure.

    Attributes:
        closure: Its ids.
        claims: What speaks against it.
        affirmatives: Grants, or lifts, of its ids: the legally latest first, which lifts most.
    """

    closure: frozenset[str]
    claims: list[Claim]
    affirmatives: list[LedgerRow]


def resolve_key(history: History, profile_id: str, key: Key) -> KeyState | None:
    """Return the decision in force for one key over the closure of a profile; None if there is none."""
    return next(iter(resolve_keys(history, profile_id, (key,))), None)


def resolve_keys(history: History, profile_id: str, keys: Iterable[Key]) -> list[KeyState]:
    """Return the decisions in force for several keys, in their order; keys without one are left out."""
    if history.partition.is_alone(profile_id):
        rows = history.decisions(profile_id)
        states = [_resolve_alone(profile_id, rows, history.scope(key)) for key in keys]
    else:
        weighed = _weigh(history, profile_id, history.decisions)
        states = [_resolve_closure(history, profile_id, weighed, history.scope(key)) for key in keys]
    return [state for state in states if state is not None]


def resolve_restriction(history: History, profile_id: str) -> Restriction | None:
    """Return the restriction in force over the closure of a profile; None if there is none."""
    if history.partition.is_alone(profile_id) and not history.restrictions(profile_id):
        return None
    _, claims, lifts = _weigh(history, profile_id, history.restrictions)
    standing = unlifted(claims, lifts, history.partition)
    if not standing:
        return None
    row = max((claim.row for claim in standing), key=_IN_ORDER)
    return Restriction(row.ground, row.occurred_at, row.reference)


def resolve_fences(history: History, profile_id: str) -> tuple[Fence, ...]:
    """Return the fences around ids of the closure of a profile; any of them fences the whole."""
    partition = history.partition
    closure = (profile_id,) if partition.is_alone(profile_id) else sorted(partition.closure_of(profile_id))
    return tuple(fence for i in closure if (fence := history.fence(i)) is not None)


def resolve_subject(history: History, profile_id: str) -> SubjectState:
    """Return the whole state of the profile that an id is part of."""
    partition = history.partition
    current = partition.survivor(profile_id)
    return SubjectState(
        profile_id=current,
        redirect_ids=tuple(sorted(partition.closure_of(current) - {current})),
        states=tuple(resolve_keys(history, current, sorted(existing_keys(history, current)))),
        restriction=resolve_restriction(history, current),
        fences=resolve_fences(history, current),
    )


def existing_keys(history: History, profile_id: str) -> set[Key]:
    """Return the keys that have a state of their own over the closure of a profile."""
    if history.partition.is_alone(profile_id):
        return {history.key_of(row) for row in history.decisions(profile_id)}
    _, claims, grants = _weigh(history, profile_id, history.decisions)
    return {history.key_of(row) for row in (*(claim.row for claim in claims), *grants)}


def touched_keys(history: History, row: LedgerRow) -> list[Key]:
    """Return the keys whose state a decision may have changed, once it is in the history, in order.

    A wide negative touches every narrower key that exists.
    """
    key = history.key_of(row)
    if row.kind is _GRANT or (key.brand_id and key.purpose_id != DIRECT_MARKETING):
        return [key]
    return sorted(key for key in existing_keys(history, row.named_id) if history.scope(key).hears(row))


def _weigh(history: History, profile_id: str, rows_of: Callable[[str], Sequence[LedgerRow]]) -> _Weighed:
    partition = history.partition
    closure = partition.closure_of(profile_id)
    negatives = {}
    for i in sorted(partition.family_of(profile_id)):
        rows = [row for row in rows_of(i) if row.kind not in _AFFIRMATIVES]
        if rows:
            negatives[i] = rows
    claims = [claim for i in sorted(closure) for claim in claims_on(i, negatives, partition)]
    affirmatives = [row for i in closure for row in rows_of(i) if row.kind in _AFFIRMATIVES]
    return _Weighed(closure, claims, sorted(affirmatives, key=_IN_ORDER, reverse=True))


def _resolve_alone(profile_id: str, rows: Sequence[LedgerRow], scope: Scope) -> KeyState | None:
    """Resolve one id that was never joined to another: the hot path, with the outcome of the general one."""
    grant = grant_by_person = None
    negatives = []
    purpose_id = scope.purpose_id
    for row in rows:
        if (row.purpose_id != purpose_id and not scope.direct_marketing) or not scope.hears(row):
            continue
        if row.kind is not _GRANT:
            negatives.append(row)
            continue
        if grant is None or row.occurred_at >= grant.occurred_at:
            grant = row
        if not is_declared(row) and (grant_by_person is None or row.occurred_at >= grant_by_person.occurred_at):
            grant_by_person = row
    standing = []
    for row in negatives:
        lifting = grant_by_person if row.kind is _OBJECT else grant
        if lifting is None or lifting.occurred_at <= row.occurred_at:
            standing.append(row)
    if standing:
        return _negative(scope, standing)
    if grant is None:
        return None
    return _granted(scope, grant, (GrantingId(profile_id, grant.expires_at),))


def _resolve_closure(history: History, profile_id: str, weighed: _Weighed, scope: Scope) -> KeyState | None:
    claims = [claim for claim in weighed.claims if scope.hears(claim.row)]
    grants = [row for row in weighed.affirmatives if scope.hears(row)]
    standing = unlifted(claims, grants, history.partition)
    if standing:
        return _negative(scope, [claim.row for claim in standing])
    if not grants:
        return None
    return _granted(scope, grants[0], _granting(history, profile_id, weighed.closure, claims, grants))


def _granting(
    history: History, profile_id: str, closure: frozenset[str], claims: Sequence[Claim], grants: Sequence[LedgerRow]
) -> tuple[GrantingId, ...]:
    """The ids whose own rows grant, or that the survivor's decision covers, made after it was joined to them."""
    partition = history.partition
    survivor = partition.survivor(profile_id)
    against: dict[str, list[Claim]] = {i: [] for i in closure}
    for claim in claims:
        against[claim.owner].append(claim)
    own: dict[str, list[LedgerRow]] = {i: [] for i in closure}
    for row in grants:
        own[row.named_id].append(row)

    def grant_of(owner: str, rows: Sequence[LedgerRow]) -> LedgerRow | None:
        return max(rows, key=_IN_ORDER) if rows and not unlifted(against[owner], rows, partition) else None

    decision = grant_of(survivor, own[survivor])
    found = []
    for i in sorted(closure):
        rows = own[i]
        if decision is not None and i != survivor and decision.position > (partition.joined_at(i, survivor) or 0):
            rows = [*rows, decision]
        grant = grant_of(i, rows)
        if grant is not None:
            found.append(GrantingId(i, grant.expires_at))
    return tuple(found)


def _granted(scope: Scope, grant: LedgerRow, granting: tuple[GrantingId, ...]) -> KeyState:
    return KeyState(
        key=Key(scope.purpose_id, scope.brand_id),
        status=Status.GRANTED,
        decided_at=grant.occurred_at,
        reference=grant.reference,
        position=grant.position,
        expires_at=grant.expires_at,
        notice_id=grant.notice_id,
        notice_version=grant.notice_version,
        evidence=EvidenceKind.UNSPECIFIED if grant.evidence is None else grant.evidence.kind,
        granting=granting,
    )


def _negative(scope: Scope, standing: Sequence[LedgerRow]) -> KeyState:
    row = standing[0] if len(standing) == 1 else max(standing, key=_precedence)
    return KeyState(
        key=Key(scope.purpose_id, scope.brand_id),
        status=STATUS_OF[row.kind],
        decided_at=row.occurred_at,
        reference=row.reference,
        position=row.position,
        notice_id=row.notice_id,
        notice_version=row.notice_version,
        evidence=EvidenceKind.UNSPECIFIED if row.evidence is None else row.evidence.kind,
        reask_not_before=max((r.reask_not_before for r in standing if r.reask_not_before is not None), default=None),
    )


def _precedence(row: LedgerRow) -> tuple[object, ...]:
    """An objection stands before all others, then the legally latest, the more restrictive, the higher position."""
    return row.kind is _OBJECT, row.occurred_at, RESTRICTIVENESS[row.kind], row.position
