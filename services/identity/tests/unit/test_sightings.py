"""Where touchpoints belong: at the record that says who uses what, and at a new one only where there is news."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.sightings import (
    MOST,
    SOURCE,
    Holder,
    Normal,
    Place,
    Sighted,
    Sightings,
    anchor,
    joined,
    key_of,
)

CRM = RecordKey("crm", "1")
KINDS = {"accounts": 3, "emails": 1, "phones": 2, "devices": 5}


def sighted(column: str, value: str) -> Sighted:
    return Sighted((column, value), KINDS[column], "", value)


ACCOUNT, EMAIL = sighted("accounts", "a"), sighted("emails", "e@x.org")
COOKIE, TABLET = sighted("devices", "c"), sighted("devices", "t")


class Known:
    """Records in memory: whoever shares a person's identifier with another is one person with it."""

    def __init__(self) -> None:
        self.records: list[tuple[RecordKey, set[Normal]]] = []

    def add(self, key: RecordKey, identifiers: Sequence[Sighted]) -> None:
        self.records = [each for each in self.records if each[0] != key]
        self.records.append((key, {each.normal for each in identifiers}))

    def profile(self, number: int) -> str:
        together = {number}
        while True:
            held = set().union(*(self.records[each][1] for each in together))
            more = {at for at, (_, holds) in enumerate(self.records) if held & holds}
            if more <= together:
                return f"prf_{min(together)}"
            together |= more

    def holders(self, normal: Normal) -> Sequence[Holder]:
        return [Holder(at, self.profile(at), key) for at, (key, holds) in enumerate(self.records) if normal in holds]

    def number_of(self, key: RecordKey) -> int | None:
        return next((at for at, (each, _) in enumerate(self.records) if each == key), None)

    def held(self, number: int) -> tuple[str, Collection[Normal]]:
        return self.profile(number), self.records[number][1]

    def is_known(self, profile_id: str) -> bool:
        return any(
            normal[0] != "devices"
            for at, (_, holds) in enumerate(self.records)
            if self.profile(at) == profile_id
            for normal in holds
        )


def take(known: Known, batch: Sequence[Sequence[Sighted]]) -> list[Place]:
    """Take a batch in as the use case does, and record its news."""
    sightings = Sightings(known)
    places = []
    for identifiers in batch:
        places.append(sightings.place(identifiers))
        sightings.take(places[-1], identifiers)
    for key, news in sightings.news.items():
        held = known.held(news.revises)[1] if news.revises is not None else ()
        before = [sighted(column, value) for column, value in held]
        known.add(key, joined(news.identifiers.values(), before))
    return places


def test_what_a_record_says_already_is_no_news() -> None:
    known = Known()
    known.add(CRM, [ACCOUNT, EMAIL])
    assert take(known, [[EMAIL], [ACCOUNT, EMAIL]]) == [Place(0, None, frozenset({"prf_0"}))] * 2
    assert len(known.records) == 1


def test_news_of_a_person_goes_into_one_sighting() -> None:
    known = Known()
    known.add(CRM, [EMAIL])
    take(known, [[EMAIL, ACCOUNT]])
    take(known, [[ACCOUNT, COOKIE]])
    take(known, [[EMAIL, TABLET]])
    (_, crm), (key, seen) = known.records
    assert key.source == SOURCE
    assert seen == {each.normal for each in (EMAIL, ACCOUNT, COOKIE, TABLET)}
    assert crm == {EMAIL.normal}


def test_devices_are_cut_off_where_they_would_be_linked_to_a_person() -> None:
    known = Known()
    sightings = Sightings(known)
    nobody = sightings.place([COOKIE, TABLET])
    assert sightings.links([COOKIE, TABLET], nobody) is None
    assert sightings.links([ACCOUNT], sightings.place([ACCOUNT])) is None
    both = [COOKIE, ACCOUNT, EMAIL]
    assert sightings.links(both, sightings.place(both)) == [ACCOUNT, EMAIL]
    known.add(CRM, [ACCOUNT, COOKIE])
    assert sightings.links([TABLET, COOKIE], sightings.place([TABLET, COOKIE])) == [COOKIE]


IDENTIFIERS = st.sampled_from([
    *(sighted("accounts", each) for each in "ab"), *(sighted("emails", f"{each}@x.org") for each in "ab"),
    *(sighted("devices", each) for each in "cdf"),
])  # fmt: skip
TOUCHPOINTS = st.lists(st.lists(IDENTIFIERS, min_size=1, max_size=3, unique=True), max_size=8)


@given(TOUCHPOINTS)
def test_after_a_touchpoint_was_taken_in_the_same_one_is_no_news(touchpoints: list[list[Sighted]]) -> None:
    known = Known()
    for identifiers in touchpoints:
        take(known, [identifiers])
        (place,) = take(known, [identifiers])
        assert place.number is not None
        assert place.profile_ids == {known.profile(place.number)}


@given(TOUCHPOINTS)
def test_a_batch_makes_the_same_people_as_its_touchpoints_one_by_one(touchpoints: list[list[Sighted]]) -> None:
    at_once, singly = Known(), Known()
    take(at_once, touchpoints)
    for identifiers in touchpoints:
        take(singly, [identifiers])

    def people(known: Known) -> set[frozenset[Normal]]:
        found: dict[str, set[Normal]] = {}
        for at, (_, holds) in enumerate(known.records):
            found.setdefault(known.profile(at), set()).update(holds)
        return {frozenset(each) for each in found.values()}

    assert people(at_once) == people(singly)


@given(TOUCHPOINTS)
def test_a_place_names_every_profile_that_its_identifiers_lead_to(touchpoints: list[list[Sighted]]) -> None:
    known = Known()
    for identifiers in touchpoints:
        led_to = {holder.profile_id for each in identifiers for holder in known.holders(each.normal)}
        assert Sightings(known).place(identifiers).profile_ids >= led_to
        take(known, [identifiers])


@given(st.lists(IDENTIFIERS, min_size=1), st.lists(IDENTIFIERS), st.integers(0, 200))
def test_a_sighting_keeps_its_anchor_and_not_more_than_the_contract_allows(
    news: list[Sighted], before: list[Sighted], more: int
) -> None:
    news = [*news, *(sighted("devices", str(number)) for number in range(more))]
    seen = joined(news, before)
    assert len(seen) == len({each.normal for each in seen}) <= MOST
    assert anchor(seen) == anchor([*news, *before])


def test_a_key_says_nothing_of_its_anchor() -> None:
    assert "x.org" not in key_of(EMAIL.normal).source_record_id
