"""Saying no needs never more than saying yes did."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_chassis.errors import RapportError
from rapport_consent.domain.drafts import Draft
from rapport_consent.domain.negatives import (
    draft_lift,
    draft_objections,
    draft_opt_outs,
    draft_restriction,
    draft_withdrawals,
)
from rapport_consent.domain.purposes import BasisRule, Purpose, PurposeTerms, PurposeVersion, SignalKind
from rapport_consent.domain.rows import RowKind
from rapport_privacy.vocabulary import DIRECT_MARKETING, Basis

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
REASK = timedelta(days=365)
GPC = frozenset({SignalKind.GPC})


def purpose(purpose_id: str, basis: Basis = Basis.CONSENT, **terms: Any) -> Purpose:
    rules = PurposeTerms((BasisRule(basis),), reask_after=REASK, **terms)
    return Purpose(purpose_id, (PurposeVersion(1, NOW - timedelta(days=1), rules),))


PURPOSES = {
    p.purpose_id: p
    for p in (
        purpose("news", brand_scoped=True, direct_marketing=True, signals=GPC, brand_ids=frozenset({"north"})),
        purpose("post", Basis.LEGITIMATE_INTEREST, direct_marketing=True),
        purpose("sale", Basis.LEGITIMATE_INTEREST, signals=GPC),
        replace(purpose("gone", signals=GPC), retired=True),
        purpose("order", Basis.CONTRACT),
    )
}


def told(rows: list[Draft]) -> list[tuple[str, str]]:
    return [(row.purpose_id, row.brand_id) for row in rows]


def test_withdrawal_without_purposes_takes_back_all_that_rests_on_consent() -> None:
    rows = draft_withdrawals([], "north", PURPOSES, occurred_at=None, now=NOW)
    assert told(rows) == [("gone", ""), ("news", "north")]
    assert {row.kind for row in rows} == {RowKind.WITHDRAW}
    assert {(row.occurred_at, row.reask_not_before) for row in rows} == {(NOW, NOW + REASK)}


def test_withdrawal_from_a_purpose_without_brands_holds_wholly() -> None:
    assert told(draft_withdrawals(["sale"], "north", PURPOSES, occurred_at=None, now=NOW)) == [("sale", "")]


def test_objection_to_direct_marketing_holds_for_the_class() -> None:
    (row,) = draft_objections([], "", PURPOSES, occurred_at=None, now=NOW)
    assert (row.kind, row.purpose_id, row.brand_id) == (RowKind.OBJECT, DIRECT_MARKETING, "")
    assert row.reask_not_before is None


def test_objection_at_one_brand_reaches_direct_marketing_without_brands() -> None:
    rows = draft_objections([], "north", PURPOSES, occurred_at=None, now=NOW)
    assert told(rows) == [(DIRECT_MARKETING, "north"), ("post", "")]
    assert {row.kind for row in rows} == {RowKind.OBJECT}


def test_objection_to_named_purposes_is_to_them() -> None:
    rows = draft_objections(["news", "order"], "north", PURPOSES, occurred_at=None, now=NOW)
    assert told(rows) == [("news", "north"), ("order", "")]


def test_signal_opts_out_of_the_purposes_in_force_that_name_it() -> None:
    rows = draft_opt_outs(SignalKind.GPC, "north", PURPOSES, occurred_at=NOW - REASK, now=NOW)
    assert told(rows) == [("news", "north"), ("sale", "")]
    assert {(row.kind, row.reask_not_before) for row in rows} == {(RowKind.OPT_OUT, NOW)}
    elsewhere = draft_opt_outs(SignalKind.GPC, "south", PURPOSES, occurred_at=None, now=NOW)
    assert told(elsewhere) == [("sale", "")]


def test_unknown_purpose_is_refused_with_its_place() -> None:
    with pytest.raises(RapportError) as caught:
        draft_withdrawals(["news", "nevs"], "", PURPOSES, occurred_at=None, now=NOW)
    assert (caught.value.reason.name, caught.value.fields[0].path) == ("UNKNOWN_PURPOSE", "purpose_ids[1]")
    with pytest.raises(RapportError, match="UNKNOWN_PURPOSE"):
        draft_objections(["nevs"], "", PURPOSES, occurred_at=None, now=NOW)


@pytest.mark.parametrize("draft", [draft_withdrawals, draft_objections])
def test_no_dated_in_the_future_is_refused(draft: Any) -> None:
    with pytest.raises(RapportError, match="OCCURRED_IN_FUTURE"):
        draft([], "", PURPOSES, occurred_at=NOW + timedelta(days=1), now=NOW)


def test_restriction_is_lifted_only_once_the_person_was_told() -> None:
    assert draft_restriction("CLAIMS", now=NOW).ground == "CLAIMS"
    assert draft_lift(NOW, now=NOW).kind is RowKind.LIFT
    with pytest.raises(RapportError, match="SUBJECT_NOT_TOLD"):
        draft_lift(NOW + timedelta(seconds=1), now=NOW)
