"""Which contact points a decision covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.contact_points import ContactRecord, Ground, covered

ANNA, BERT = "prf_anna", "prf_bert"
START = datetime(2026, 1, 1, tzinfo=UTC)
MAIL, PHONE = ("emails", "a@b.example"), ("phones", "+4930123456")


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def record(number: int, *identifiers: tuple[str, str], under: str = ANNA, day: int | None = None) -> ContactRecord:
    return ContactRecord(number, under, at(number if day is None else day), frozenset(identifiers))


def consent(day: int, *ids: str) -> Ground:
    return Ground(permitted=True, decided_at=at(day), granting_ids=frozenset(ids or (ANNA,)))


def test_a_denial_covers_nothing() -> None:
    assert covered([record(1, MAIL)], {ANNA: Ground(permitted=False)}) == set()


def test_a_basis_other_than_consent_covers_everything() -> None:
    assert covered([record(1, MAIL), record(2, PHONE)], {ANNA: Ground(permitted=True)}) == {1, 2}


def test_what_was_known_when_the_person_decided_is_covered() -> None:
    assert covered([record(1, MAIL), record(2, PHONE)], {ANNA: consent(2)}) == {1, 2}


def test_what_joined_by_probability_alone_waits_for_the_next_decision() -> None:
    records = [record(1, MAIL), record(5, PHONE)]
    assert covered(records, {ANNA: consent(3)}) == {1}
    assert covered(records, {ANNA: consent(6)}) == {1, 5}


def test_what_an_identifier_ties_to_what_was_known_is_covered_in_however_many_steps() -> None:
    records = [record(1, MAIL), record(5, MAIL, PHONE), record(6, PHONE), record(7, ("devices", "app:1"))]
    assert covered(records, {ANNA: consent(3)}) == {1, 5, 6}


def test_a_decision_of_the_past_that_was_imported_covers_the_record_it_was_imported_beside() -> None:
    assert covered([record(10, MAIL), record(11, PHONE)], {ANNA: consent(-400)}) == {10}


def test_an_id_whose_own_rows_do_not_grant_is_not_covered_by_its_survivor() -> None:
    records = [record(1, MAIL), record(2, PHONE, under=BERT)]
    assert covered(records, {ANNA: consent(5, ANNA), BERT: consent(5, ANNA)}) == {1}
    assert covered(records, {ANNA: consent(5, ANNA, BERT), BERT: consent(5, ANNA, BERT)}) == {1, 2}


def test_an_identifier_does_not_tie_what_was_recorded_under_another_id() -> None:
    records = [record(1, MAIL), record(2, under=BERT), record(9, MAIL, under=BERT)]
    assert covered(records, {ANNA: consent(5, ANNA, BERT), BERT: consent(5, ANNA, BERT)}) == {1, 2}


identifiers = st.frozensets(st.sampled_from([MAIL, PHONE, ("devices", "app:1"), ("accounts", "shop:7")]), max_size=2)
records = st.lists(
    st.builds(
        ContactRecord,
        number=st.integers(1, 10_000),
        recorded_under=st.sampled_from([ANNA, BERT]),
        recorded_at=st.integers(0, 20).map(at),
        identifiers=identifiers,
    ),
    unique_by=lambda each: each.number,
    max_size=8,
)


@given(records, st.integers(0, 20), st.integers(0, 5))
def test_a_later_decision_covers_no_less_and_the_order_of_records_does_not_matter(
    held: list[ContactRecord], day: int, later: int
) -> None:
    grounds = {ANNA: consent(day, ANNA), BERT: Ground(permitted=False)}
    found = covered(held, grounds)
    assert found == covered(list(reversed(held)), grounds)
    assert found <= covered(held, {**grounds, ANNA: consent(day + later, ANNA)})
    assert all(each.recorded_under == ANNA for each in held if each.number in found)
