"""Versions of a purpose, the bases it rests on, and terms that contradict themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rapport_chassis.errors import RapportError
from rapport_consent.domain.purposes import (
    BasisRule,
    Purpose,
    PurposeTerms,
    PurposeVersion,
    find_purpose,
    validate_terms,
    version_in_force,
)
from rapport_privacy.vocabulary import Basis

START = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = PurposeTerms((BasisRule(Basis.CONSENT),))


def version(number: int, day: int, terms: PurposeTerms = TERMS) -> PurposeVersion:
    return PurposeVersion(number, START + timedelta(days=day), terms)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def test_latest_version_whose_time_has_come_is_in_force() -> None:
    purpose = Purpose("news", (version(3, 2), version(1, 5), version(2, 5), version(4, 9)))
    in_force = [found.version if (found := purpose.in_force(at(day))) else None for day in (1, 2, 5, 8, 9)]
    assert in_force == [None, 3, 2, 2, 4]


def test_retired_purpose_has_no_version_in_force_but_terms_for_a_no() -> None:
    purpose = Purpose("news", (version(1, 5),), retired=True)
    assert purpose.in_force(at(6)) is None
    assert purpose.applicable(at(6)) == purpose.applicable(at(1)) == version(1, 5)
    assert Purpose("news").applicable(at(1)) is None
    assert version_in_force((), at(1)) is None


BASES = PurposeTerms(
    (
        BasisRule(Basis.CONSENT),
        BasisRule(Basis.CONTRACT, "contact"),
        BasisRule(Basis.LEGITIMATE_INTEREST, "", "US"),
        BasisRule(Basis.PUBLIC_TASK, "contact", "US-CA"),
    )
)


@pytest.mark.parametrize(
    ("category", "market", "basis"),
    [
        ("", "", Basis.CONSENT),
        ("behaviour", "DE", Basis.CONSENT),
        ("behaviour", "US", Basis.LEGITIMATE_INTEREST),
        ("behaviour", "US-NY", Basis.LEGITIMATE_INTEREST),
        ("contact", "US", Basis.CONTRACT),
        ("contact", "US-CA", Basis.PUBLIC_TASK),
        ("contact", "US-NY", Basis.CONTRACT),
    ],
)
def test_most_special_rule_names_the_basis(category: str, market: str, basis: Basis) -> None:
    assert BASES.basis(category, market) is basis


def test_purpose_rests_on_consent_if_any_rule_of_any_version_does() -> None:
    other = PurposeTerms((BasisRule(Basis.CONTRACT),))
    assert Purpose("p", (version(1, 0, BASES), version(2, 1, other))).rests_on_consent
    assert not Purpose("p", (version(2, 1, other),)).rests_on_consent


def test_traits_are_those_of_all_versions() -> None:
    marketing = replace(TERMS, direct_marketing=True, brand_scoped=True)
    traits = Purpose("p", (version(1, 0, marketing),)).traits
    assert (traits.brand_scoped, traits.direct_marketing) == (True, True)
    assert not Purpose("p").traits.direct_marketing


def test_brands_and_markets_bound_where_a_purpose_exists() -> None:
    bounded = replace(TERMS, brand_ids=frozenset({"north"}), markets=frozenset({"US-CA", "DE"}))
    assert [bounded.exists_for_brand(brand) for brand in ("", "north", "south")] == [True, True, False]
    markets = [bounded.exists_in_market(market) for market in ("", "DE", "US-CA", "US", "DE-BY")]
    assert markets == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("terms", "earlier", "fields"),
    [
        ({"bases": ()}, {}, ["terms.bases"]),
        ({"bases": (BasisRule(Basis.CONSENT, "contact"),)}, {}, ["terms.bases"]),
        ({"bases": (BasisRule(Basis.CONSENT), BasisRule(Basis.CONTRACT))}, {}, ["terms.bases[1]"]),
        ({"bases": (BasisRule(Basis.UNSPECIFIED),)}, {}, ["terms.bases[0].basis"]),
        ({"bases": (BasisRule(Basis.CONTRACT),), "direct_marketing": True}, None, ["terms.bases[0].basis"]),
        ({"brand_scoped": True, "direct_marketing": True}, {}, ["terms.brand_scoped", "terms.direct_marketing"]),
        (
            {"expires_after": timedelta(0), "reask_after": -timedelta(1)},
            {},
            ["terms.expires_after", "terms.reask_after"],
        ),
    ],
)
def test_terms_that_contradict_are_refused(
    terms: dict[str, Any], earlier: dict[str, Any] | None, fields: list[str]
) -> None:
    with pytest.raises(RapportError) as caught:
        validate_terms(replace(TERMS, **terms), [] if earlier is None else [replace(TERMS, **earlier)])
    assert caught.value.reason.name == "TERMS_INVALID"
    assert [violation.path for violation in caught.value.fields] == fields


def test_sound_terms_are_taken() -> None:
    validate_terms(BASES, [TERMS])


def test_unknown_purpose_is_refused_with_near_names() -> None:
    with pytest.raises(RapportError) as caught:
        find_purpose({"marketing.email": Purpose("marketing.email")}, "marketing.emial", "purpose_id")
    assert caught.value.metadata == {"near": "marketing.email"}
    with pytest.raises(RapportError) as caught:
        find_purpose({}, "marketing.email", "purpose_id")
    assert caught.value.metadata == {}
