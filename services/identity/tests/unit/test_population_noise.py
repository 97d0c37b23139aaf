"""Each kind of noise happens in the share that the mix states, and does what it is called."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import date
from functools import cache
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain.records import Record
from rapport_identity.population import Household, Mix, Noise, Person, Population
from rapport_identity.population.draw import Draw, Weighted, number, scatter
from rapport_identity.population.garble import misheard, swapped, typo, wrong_date

SEED, RECORDS = 11, 30_000
RESERVED = (".example", "@example.com", "@example.org", "@example.net")  # RFC 2606
Case = tuple[Record, Person, Household, frozenset[Noise]]


@cache
def cases() -> list[Case]:
    population, found = Population(SEED), []
    household_of = cache(population.household)
    for sighting, truth in population.labelled(RECORDS):
        household = household_of(truth.household)
        (person,) = (one for one in household.members if one.serial == truth.person)
        found.append((sighting.record, person, household, frozenset(truth.noise)))
    return found


def has_mail(record: Record, noise: frozenset[Noise], *before: Noise) -> bool:
    return bool(record.emails) and not noise & set(before)


OWN_MAIL = (Noise.PLACEHOLDER_EMAIL, Noise.ROLE_MAILBOX, Noise.FAMILY_EMAIL)

# Kind -> whether it is possible in a case.
POSSIBLE: dict[Noise, Callable[[Record, Person, Household, frozenset[Noise]], bool]] = {
    Noise.TYPO: lambda r, p, h, n: bool(r.surname) and r.key.source != "call_centre",
    Noise.SHORT_FORM: lambda r, p, h, n: bool(r.surname) and p.given in {"William", "Robert", "Jennifer", "James"},
    Noise.SWAPPED_NAME: lambda r, p, h, n: bool(r.surname),
    Noise.SHORT_STREET: lambda r, p, h, n: r.address is not None,
    Noise.PLACEHOLDER_DATE: lambda r, p, h, n: r.birth_date is not None,
    Noise.SWAPPED_DATE: lambda r, p, h, n: (
        r.birth_date is not None and swapped(p.birth_date) is not None and Noise.PLACEHOLDER_DATE not in n
    ),
    Noise.WRONG_DATE: lambda r, p, h, n: (
        r.birth_date is not None and not n & {Noise.PLACEHOLDER_DATE, Noise.SWAPPED_DATE}
    ),
    Noise.PLACEHOLDER_EMAIL: lambda r, p, h, n: has_mail(r, n),
    Noise.ROLE_MAILBOX: lambda r, p, h, n: bool(p.work_email) and has_mail(r, n, *OWN_MAIL[:1]),
    Noise.FAMILY_EMAIL: lambda r, p, h, n: bool(h.email) and has_mail(r, n, *OWN_MAIL[:2]),
    Noise.WRONG_EMAIL: lambda r, p, h, n: has_mail(r, n, *OWN_MAIL),
    Noise.SHARED_PHONE: lambda r, p, h, n: (
        bool(h.phone and r.phones and p.mobiles) and Noise.PLACEHOLDER_PHONE not in n
    ),
    Noise.LOGOUT_NOT_RESET: lambda r, p, h, n: (
        len(h.members) > 1 and any(one.namespace == "web" for one in r.identifiers)
    ),
    Noise.KIOSK: lambda r, p, h, n: r.key.source == "shop",
    Noise.LOST_ACCENT: lambda r, p, h, n: bool(r.surname) and not p.surname.isascii() and not p.maiden_name,
}  # fmt: skip


@pytest.mark.parametrize("kind", POSSIBLE)
def test_noise_happens_in_its_share_of_the_records_where_it_can(kind: Noise) -> None:
    share = getattr(Mix(), kind.value)
    happened = [kind in case[3] for case in cases() if POSSIBLE[kind](*case)]
    assert len(happened) > 100
    assert sum(happened) / len(happened) == pytest.approx(share, abs=5 * sqrt(share * (1 - share) / len(happened)))


@pytest.mark.parametrize("kind", Noise)
def test_every_kind_of_noise_happens(kind: Noise) -> None:
    assert any(kind in noise for _, _, _, noise in cases())


def of(kind: Noise) -> list[Case]:
    found = [case for case in cases() if kind in case[3]]
    assert found
    return found


def test_a_nickname_is_not_the_name() -> None:
    for record, person, _, noise in of(Noise.SHORT_FORM):
        if Noise.SWAPPED_NAME not in noise:
            assert record.given_name
            assert record.given_name.split(" ")[0] != person.given


def test_an_old_address_is_that_of_before_the_move() -> None:
    for record, _, household, noise in of(Noise.OLD_ADDRESS):
        assert record.address
        assert household.former_address
        assert record.address.house == household.former_address.house
        assert (record.address == household.former_address) != (Noise.SHORT_STREET in noise)


def test_a_lost_accent_loses_nothing_else() -> None:
    for record, person, _, noise in of(Noise.LOST_ACCENT):
        if not noise & {Noise.TYPO, Noise.MISHEARD, Noise.SWAPPED_NAME, Noise.SHORT_FORM, Noise.INITIAL}:
            said = f"{record.given_name} {record.surname}"
            assert said.isascii()
            assert not f"{person.given} {person.middle} {person.surname} {person.maiden_name}".isascii()


def test_a_role_mailbox_is_the_employers() -> None:
    for record, person, _, _ in of(Noise.ROLE_MAILBOX):
        assert record.emails == (person.work_email,)
        assert person.employer


def test_a_wrong_email_is_none_of_the_persons_own() -> None:
    for record, person, _, _ in of(Noise.WRONG_EMAIL):
        assert not set(record.emails) & set(person.emails)


def test_no_mailbox_or_number_could_reach_anybody() -> None:
    for record, _, _, noise in cases():
        assert all(email.endswith(RESERVED) for email in record.emails)
        if Noise.PLACEHOLDER_PHONE not in noise:
            assert all("".join(filter(str.isdigit, phone))[-9] == "9" for phone in record.phones)


def test_a_browser_not_reset_is_another_members() -> None:
    for record, person, household, _ in of(Noise.LOGOUT_NOT_RESET):
        held = {one.value for one in record.identifiers if one.namespace in {"web", "app"}}
        others = {value for one in household.members if one is not person for value in (*one.cookies, one.device)}
        assert held
        assert held <= others


def test_misheard_names_come_from_calls_alone() -> None:
    assert {record.key.source for record, _, _, _ in of(Noise.MISHEARD)} == {"call_centre"}
    assert "call_centre" not in {record.key.source for record, _, _, _ in of(Noise.TYPO)}


@given(st.integers(0, 2**63), st.text("abcxyzéø'", min_size=3, max_size=12))
def test_a_typo_changes_a_word_and_keeps_its_first_letter(seed: int, word: str) -> None:
    wrong = typo(Draw(seed), word)
    assert wrong
    assert wrong != word
    assert wrong[0] == word[0]
    assert abs(len(wrong) - len(word)) <= 1


@given(st.integers(0, 2**63), st.dates(date(1900, 1, 1), date(2020, 12, 31)))
def test_a_wrong_date_is_a_date_and_another_one(seed: int, day: date) -> None:
    assert wrong_date(Draw(seed), day) != day


@given(st.integers(0, 2**63), st.text("phckt", max_size=8))
def test_what_is_misheard_is_written_otherwise(seed: int, word: str) -> None:
    assert misheard(Draw(seed), word, [("ph", "f"), ("ck", "k")]) != word


@given(st.integers(1, 400), st.integers(0, 2**63))
def test_scattered_numbers_never_repeat(size: int, seed: int) -> None:
    assert sorted(scatter(index, size, seed) for index in range(size)) == list(range(size))


def test_values_are_drawn_by_their_weight() -> None:
    weighted = Weighted("abc", (0.5, 0.3, 0.2))
    assert [weighted.at(share) for share in (0.0, 0.49, 0.51, 0.79, 0.81, 0.999)] == list("aabbcc")


@given(st.integers(), st.text(), st.integers(), st.text())
def test_a_number_depends_on_every_part(one: int, name: str, other: int, word: str) -> None:
    assert (number(one, name) == number(other, word)) == ((one, name) == (other, word))


def test_accents_are_in_the_names_that_are_drawn() -> None:
    names = {person.surname for _, person, _, _ in cases()}
    assert any(unicodedata.normalize("NFKD", name) != name for name in names)
