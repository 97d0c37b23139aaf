"""Whatever linking would make of people, those who are frozen stay exactly who they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.freezing import hold_still

NUMBERS = range(12)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[list[int]], dict[int, str], dict[str, set[int]], set[str]]:
    """Persons as linking has them, profiles as they are, and who is frozen; some records are new."""
    owners = {number: f"prf_{owner}" for number in NUMBERS if (owner := draw(st.integers(0, 4))) < 4}
    members: dict[str, set[int]] = {}
    for number, profile_id in owners.items():
        members.setdefault(profile_id, set()).add(number)
    groups: dict[int, list[int]] = {}
    for number in NUMBERS:
        groups.setdefault(draw(st.integers(0, 3)), []).append(number)
    frozen = {each for each in members if draw(st.booleans())}
    return list(groups.values()), owners, members, frozen


@given(situations())
def test_a_frozen_profile_keeps_its_records_and_every_record_is_of_one_person(
    situation: tuple[list[list[int]], dict[int, str], dict[str, set[int]], set[str]],
) -> None:
    persons, owners, members, frozen = situation
    held = hold_still(persons, owners, members, frozen)
    found = [set(each) for each in held.persons]
    assert sorted(number for each in held.persons for number in each) == list(NUMBERS)
    assert all(members[each] in found for each in frozen)
    for person in map(set, persons):
        if frozen.isdisjoint(owners.get(number, "") for number in person):
            assert person in found
        else:
            kept_out = {number for number in person if owners.get(number) not in frozen}
            assert held.parked.keys() >= kept_out
    assert all(by in frozen for by in held.parked.values())
    assert not any(owners.get(number) in frozen for number in held.parked)


def test_new_records_that_met_only_through_a_frozen_person_are_not_taken_for_one() -> None:
    held = hold_still([[1, 2, 3]], {1: "prf_frozen"}, {"prf_frozen": {1}}, {"prf_frozen"})
    assert sorted(held.persons) == [[1], [2], [3]]
    assert held.parked == {2: "prf_frozen", 3: "prf_frozen"}
