"""Touchpoints are held against what is declared, and cut to what is permitted, never more and never less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.errors import RapportError
from rapport_identity.domain.declarations import (
    AttributeTerms,
    AttributeType,
    Declared,
    InForce,
    Kind,
    SourceTerms,
    Terms,
    TypeTerms,
    declared_at,
    validate_terms,
)
from rapport_identity.domain.permission import together
from rapport_identity.domain.touchpoints import AHEAD, Attribute, Touchpoint, asked, cut, is_whole, violations
from rapport_privacy.vocabulary import Reason

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PURPOSES = ("delivery", "analytics", "offers", "support")
CATEGORIES = ("behaviour", "health")
DECLARED = Declared(
    {"shop": SourceTerms("delivery")},
    {"viewed": TypeTerms(("analytics",))},
    {
        "size": AttributeTerms(AttributeType.CODE, "behaviour", frozenset({"s", "m"})),
        "age": AttributeTerms(AttributeType.INTEGER, "health"),
    },
)


def attribute(
    key: str = "size", category: str = "behaviour", kind: AttributeType = AttributeType.CODE, code: str = "s"
) -> Attribute:
    return Attribute(key, category, kind, code, b"")


def touchpoint(**fields: object) -> Touchpoint:
    made = Touchpoint(
        NOW, "viewed", b"", 1, "ses_1", journey_stage=2, purpose_ids=("analytics",), decision_ids=("dec",)
    )
    return replace(made, **fields)  # type: ignore[arg-type] # by name


def test_what_is_declared_is_found_without_fault() -> None:
    made = touchpoint(attributes=(attribute(), attribute("age", "health", AttributeType.INTEGER, "")))
    assert violations("shop", made, DECLARED, NOW) == []
    assert violations("shop", touchpoint(occurred_at=datetime(1999, 1, 1, tzinfo=UTC)), DECLARED, NOW) == []


@pytest.mark.parametrize(
    ("source", "fields", "path"),
    [
        ("elsewhere", {}, "source"),
        ("shop", {"type": ""}, "touchpoint.type"),
        ("shop", {"type": "searched"}, "touchpoint.searched"),
        ("shop", {"occurred_at": NOW + AHEAD + timedelta(seconds=1)}, "touchpoint.occurred_at"),
        ("shop", {"attributes": (attribute("remark"),)}, "touchpoint.attributes[0].key"),
        ("shop", {"attributes": (attribute(), attribute())}, "touchpoint.attributes[1].key"),
        ("shop", {"attributes": (attribute(category="health"),)}, "touchpoint.attributes[0].data_category"),
        ("shop", {"attributes": (attribute(code="Anna"),)}, "touchpoint.attributes[0].code"),
        ("shop", {"attributes": (attribute("age", "health"),)}, "touchpoint.attributes[0].code"),
    ],
)
def test_what_is_not_declared_is_named_by_its_path(source: str, fields: dict[str, object], path: str) -> None:
    assert [each.path for each in violations(source, touchpoint(**fields), DECLARED, NOW)] == [path]


TERMS = st.builds(
    lambda purposes, bare: TypeTerms(tuple(purposes), frozenset(bare) & frozenset(purposes)),
    st.lists(st.sampled_from(PURPOSES), min_size=1, unique=True),
    st.sets(st.sampled_from(PURPOSES)),
)
OFFERED = st.builds(
    lambda purposes, attributes: touchpoint(purpose_ids=tuple(purposes), attributes=tuple(attributes)),
    st.lists(st.sampled_from(PURPOSES), min_size=1, unique=True),
    st.lists(st.builds(attribute, st.sampled_from(["size", "age"]), st.sampled_from(CATEGORIES)), max_size=3),
)
SOME = st.sets(st.sampled_from(PURPOSES))


@given(OFFERED, TERMS, SOME, st.fixed_dictionaries(dict.fromkeys(CATEGORIES, SOME)))
def test_kept_is_exactly_what_is_offered_declared_and_permitted(
    offered: Touchpoint, terms: TypeTerms, permitted: set[str], categories: dict[str, set[str]]
) -> None:
    kept = cut(offered, terms, permitted, categories)
    may = set(offered.purpose_ids) & set(terms.purpose_ids) & permitted
    if not may:
        assert kept is None
        return
    assert kept is not None
    assert set(kept.purpose_ids) == may <= set(asked(offered, terms))
    assert (kept.occurred_at, kept.type, kept.body) == (offered.occurred_at, offered.type, offered.body)
    full = may - terms.bare_purpose_ids
    if not full:
        assert (kept.session_id, kept.journey_stage, kept.decision_ids, kept.attributes) == ("", 0, (), ())
        assert not is_whole(kept, offered)
    for each in offered.attributes:
        assert (each in kept.attributes) == (bool(full) and full <= categories[each.data_category])


class Answered(NamedTuple):
    permitted: bool
    reason: Reason


YES, SILENCE = Answered(True, Reason.GRANTED), Answered(False, Reason.NO_DECISION)
KNOWN_NOES = [Answered(False, each) for each in (Reason.REFUSED, Reason.WITHDRAWN, Reason.ERASED)]
NOES = [*KNOWN_NOES, Answered(False, Reason.STALE)]


@given(st.lists(st.sampled_from([YES, SILENCE, *NOES]), min_size=1))
def test_of_several_ids_a_no_wins_and_silence_is_neutral(answers: list[Answered]) -> None:
    decided = together(answers)
    if any(each in NOES for each in answers):
        assert decided in (KNOWN_NOES if any(each in KNOWN_NOES for each in answers) else NOES)
    else:
        assert decided == (YES if YES in answers else SILENCE)


def test_latest_version_whose_time_has_come_is_in_force() -> None:
    def version(number: int, day: int, purpose: str) -> InForce:
        return InForce(Kind.SOURCE, "shop", number, NOW + timedelta(days=day), SourceTerms(purpose))

    versions = [version(3, 0, "three"), version(1, 0, "one"), version(2, 5, "two")]
    assert declared_at(versions, NOW - timedelta(1)).sources == {}
    assert declared_at(versions, NOW).sources["shop"].purpose_id == "three"
    assert declared_at(versions, NOW + timedelta(days=5)).sources["shop"].purpose_id == "two"


@pytest.mark.parametrize(
    ("name", "terms", "path"),
    [
        ("touchpoints", SourceTerms("a"), "name"),
        ("viewed", TypeTerms(("a",), frozenset({"b"})), "terms.touchpoint_type.bare_purpose_ids"),
        ("danced", TypeTerms(("a",)), "name"),
        ("dress-size", AttributeTerms(AttributeType.FLAG, "behaviour"), "name"),
        ("size", AttributeTerms(AttributeType.CODE, "behaviour"), "terms.attribute.codes"),
        ("size", AttributeTerms(AttributeType.FLAG, "behaviour", frozenset({"s"})), "terms.attribute.codes"),
        ("size", AttributeTerms(AttributeType.FLAG, "behaviour"), "terms.attribute.type"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_path(name: str, terms: Terms, path: str) -> None:
    earlier = [AttributeTerms(AttributeType.CODE, "behaviour", frozenset({"s"}))] if name == "size" else []
    with pytest.raises(RapportError) as refused:
        validate_terms(name, terms, earlier)
    assert path in [each.path for each in refused.value.fields]
