"""Saying no: withdrawals, objections, signals and restrictions, ready to take a position in the ledger."""

from collections.abc import Sequence
from datetime import datetime

from rapport_privacy.vocabulary import DIRECT_MARKETING

from rapport_consent.domain.drafts import Draft, dated, negative
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.purposes import Purpose, Purposes, SignalKind, find_purpose
from rapport_consent.domain.rows import RowKind


def draft_withdrawals(
    purpose_ids: Sequence[str],
    brand_id: str,
    purposes: Purposes,
    *,
    occurred_at: datetime | None,
    now: datetime,
) -> list[Draft]:
    """Return a withdrawal from each purpose named, or from every purpose that rests on consent.

    Raises:
        RapportError: UNKNOWN_PURPOSE, OCCURRED_IN_FUTURE.
    """
    when = dated(occurred_at, now)
    if purpose_ids:
        chosen = _named(purpose_ids, purposes)
    else:
        chosen = [purposes[name] for name in sorted(purposes) if purposes[name].rests_on_consent]
    return [negative(RowKind.WITHDRAW, purpose, brand_id, when, now) for purpose in chosen]


def draft_objections(
    purpose_ids: Sequence[str],
    brand_id: str,
    purposes: Purposes,
    *,
    occurred_at: datetime | None,
    now: datetime,
) -> list[Draft]:
    """Return an objection to each purpose named, or, where none is, to direct marketing as a whole.

    Direct marketing without brands cannot be objected to in part: objecting at one brand reaches it as well.

    Raises:
        RapportError: UNKNOWN_PURPOSE, OCCURRED_IN_FUTURE.
    """
    when = dated(occurred_at, now)
    if purpose_ids:
        named = _named(purpose_ids, purposes)
        return [negative(RowKind.OBJECT, purpose, brand_id, when, now) for purpose in named]
    rows = [Draft(RowKind.OBJECT, when, DIRECT_MARKETING, brand_id)]
    if brand_id:
        traits = {name: purposes[name].traits for name in sorted(purposes)}
        unbranded = [n for n, trait in traits.items() if trait.direct_marketing and not trait.brand_scoped]
        rows += [negative(RowKind.OBJECT, purposes[name], "", when, now) for name in unbranded]
    return rows


def draft_opt_outs(
    signal: SignalKind,
    brand_id: str,
    purposes: Purposes,
    *,
    occurred_at: datetime | None,
    now: datetime,
) -> list[Draft]:
    """Return an opt-out of each purpose in force that the signal opts out of.

    Raises:
        RapportError: OCCURRED_IN_FUTURE.
    """
    when = dated(occurred_at, now)
    in_force = {name: purposes[name].in_force(now) for name in sorted(purposes)}
    return [
        negative(RowKind.OPT_OUT, purposes[name], brand_id, when, now)
        for name, version in in_force.items()
        if version is not None and signal in version.terms.signals and version.terms.exists_for_brand(brand_id)
    ]


def draft_restriction(ground: str, *, now: datetime) -> Draft:
    """Return a restriction of processing to storage, on a coded ground."""
    return Draft(RowKind.RESTRICT, now, ground=ground)


def draft_lift(subject_told_at: datetime, *, now: datetime) -> Draft:
    """Return the end of a restriction.

    Raises:
        RapportError: SUBJECT_NOT_TOLD: the person has not been told yet (GDPR Article 18(3)).
    """
    if subject_told_at > now:
        raise ERRORS.error("SUBJECT_NOT_TOLD", "the person is to be told before", field="subject_told_at")
    return Draft(RowKind.LIFT, now)


def _named(purpose_ids: Sequence[str], purposes: Purposes) -> list[Purpose]:
    return [find_purpose(purposes, name, f"purpose_ids[{i}]") for i, name in enumerate(purpose_ids)]
