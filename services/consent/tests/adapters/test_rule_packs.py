"""The laws as data: what ships is sound, and another law or version needs no code."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from rapport_consent.adapters.rule_packs import read_packs, shipped_document, shipped_packs
from rapport_consent.domain.deadlines import Span, Unit
from rapport_consent.domain.rule_packs import Assurance, Need, Right, pack_for

PACKS = shipped_packs()
TODAY = date(2026, 11, 22)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shipped_document())
    return found


@pytest.mark.parametrize(
    ("market", "law"),
    [
        ("DE", "GDPR.1"),
        ("FR-75", "GDPR.1"),
        ("GB", "UK_GDPR.1"),
        ("US-CA", "CCPA.1"),
        ("CN", "PIPL.1"),
        ("US-NY", None),
    ],
)
def test_a_market_has_the_law_of_its_subdivision_or_country(market: str, law: str | None) -> None:
    found = pack_for(PACKS, market, TODAY)
    assert (found.name if found else None) == law


def test_a_law_holds_from_its_day_and_one_that_is_disabled_never() -> None:
    assert pack_for(PACKS, "DE", date(2018, 5, 24)) is None
    later = pack_for(PACKS, "DE", date(2030, 1, 1))
    assert later is not None
    assert later.name == "GDPR.1"
    enabled = document()
    for each in enabled["packs"]:
        each["enabled"] = True
    omnibus = pack_for(read_packs(json.dumps(enabled)), "DE", date(2030, 1, 1))
    assert omnibus is not None
    assert omnibus.name == "GDPR.2"
    assert omnibus.may_refuse(Right.ACCESS, "ABUSE_OF_ACCESS", [Need.EVIDENCE]) == (Need.SECOND_APPROVAL,)


def test_an_opt_out_in_california_has_a_time_of_its_own_and_needs_no_identity() -> None:
    california = pack_for(PACKS, "US-CA", TODAY)
    assert california is not None
    assert california.rights[Right.OBJECTION].clock.answer == Span(15, Unit.WORKING_DAYS)
    assert california.rights[Right.ACCESS].clock.answer == Span(45, Unit.CALENDAR_DAYS)
    assert california.rights[Right.ACCESS].clock.acknowledge == Span(10, Unit.WORKING_DAYS)
    assert california.rights[Right.OBJECTION].assurance is Assurance.NONE
    assert (california.rights[Right.ACCESS].assurance, california.rights[Right.ACCESS].fallback) == (
        Assurance.HIGH,
        "CATEGORIES",
    )
    assert Right.RESTRICTION not in california.rights


def test_a_refusal_names_what_it_still_needs_and_a_ground_the_law_does_not_know_is_none() -> None:
    europe = pack_for(PACKS, "DE", TODAY)
    assert europe is not None
    assert europe.may_refuse(Right.ERASURE, "EXCESSIVE", []) == (Need.EVIDENCE, Need.SECOND_APPROVAL)
    assert europe.may_refuse(Right.ERASURE, "EXCESSIVE", [Need.SECOND_APPROVAL, Need.EVIDENCE]) == ()
    assert europe.may_refuse(Right.ERASURE, "RIGHTS_OF_OTHERS", []) is None
    assert europe.may_refuse(Right.ERASURE, "TOO_MUCH_WORK", []) is None


def test_every_pack_that_ships_says_where_its_law_is_written_and_gives_its_rights() -> None:
    for pack in PACKS:
        assert pack.sources
        assert {Right.ACCESS, Right.ERASURE, Right.RECTIFICATION} <= pack.rights.keys()
        assert "REASONS" in pack.refusal_tells
        for ground, refusal in pack.refusals.items():
            assert refusal.rights <= pack.rights.keys(), ground


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"extension_reasons": []}, "has reasons for it"),
        ({"version": 0}, "greater than 0"),
        ({"markets": ["Germany"]}, "pattern"),
        ({"clock": {"answer": {"count": 1, "unit": "fortnights"}}}, "fortnights"),
        ({"colour": "blue"}, "not permitted"),
    ],
)
def test_a_pack_that_says_what_nobody_can_act_on_is_refused(change: dict[str, Any], said: str) -> None:
    made = document()
    made["packs"][0] |= change
    with pytest.raises(ValueError, match=said):
        read_packs(json.dumps(made))


def test_one_version_of_a_law_comes_once() -> None:
    made = document()
    made["packs"].append(made["packs"][0])
    with pytest.raises(ValueError, match="same version"):
        read_packs(json.dumps(made))
