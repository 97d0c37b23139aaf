"""What a ledger write changes, as every gate is told of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rapport_consent.domain.history import History
from rapport_consent.domain.purposes import Purpose
from rapport_consent.domain.resolution import (
    resolve_fences,
    resolve_keys,
    resolve_restriction,
    resolve_subject,
    touched_keys,
)
from rapport_consent.domain.rows import LedgerRow, RowKind
from rapport_consent.domain.states import Fence, KeyState, Restriction


class SubjectChange(NamedTuple):
    """The resulting state of one profile.

    Attributes:
        profile_id: The id that stands for it.
        whole: Whether what is not listed does not exist; else only what is listed has changed.
        redirect_ids: Every other id of the closure, where whole.
        states: Resulting states of keys.
        restriction: The restriction in force, where `restriction_told`.
        restriction_told: Whether the restriction is part of what is told.
    """

    profile_id: str
    whole: bool = False
    redirect_ids: tuple[str, ...] = ()
    states: tuple[KeyState, ...] = ()
    restriction: Restriction | None = None
    restriction_told: bool = False


class LedgerChange(NamedTuple):
    """A row, and the resulting states of all that it touched."""

    row: LedgerRow
    current_id: str
    subjects: tuple[SubjectChange, ...] = ()
    purpose: Purpose | None = None
    fences: tuple[Fence, ...] = ()


def change_by(history: History, row: LedgerRow, *, purpose: Purpose | None = None) -> LedgerChange:
    """Add a row to the history and say what it changes.

    Args:
        history: Holds the families of all ids that the row names.
        row: The next row.
        purpose: The whole resulting purpose, in a row about one.
    """
    affected = history.add(row)
    current_id = history.partition.survivor(row.named_id)
    match row.kind:
        case RowKind.PURPOSE:
            return LedgerChange(row, row.named_id, purpose=purpose)
        case RowKind.MERGE | RowKind.SPLIT:
            return LedgerChange(row, current_id, _whole(history, affected), fences=_fences(history, affected))
        case RowKind.FENCE:
            return LedgerChange(row, current_id, _whole(history, [current_id]), fences=_fences(history, [row.named_id]))
        case RowKind.RESTRICT | RowKind.LIFT:
            restriction = resolve_restriction(history, current_id)
            subject = SubjectChange(current_id, restriction=restriction, restriction_told=True)
        case _:
            states = resolve_keys(history, current_id, touched_keys(history, row))
            subject = SubjectChange(current_id, states=tuple(states))
    return LedgerChange(row, current_id, (subject,))


def _whole(history: History, profile_ids: Iterable[str]) -> tuple[SubjectChange, ...]:
    return tuple(
        SubjectChange(
            profile_id=state.profile_id,
            whole=True,
            redirect_ids=state.redirect_ids,
            states=() if state.fences else state.states,
            restriction=state.restriction,
            restriction_told=state.restriction is not None,
        )
        for state in (resolve_subject(history, profile_id) for profile_id in sorted(profile_ids))
    )


def _fences(history: History, profile_ids: Iterable[str]) -> tuple[Fence, ...]:
    return tuple(fence for profile_id in sorted(profile_ids) for fence in resolve_fences(history, profile_id))
