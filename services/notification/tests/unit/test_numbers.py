import pytest
from rapport_notification.domain.whereabouts import whereabouts
from rapport_notification.numbers import evidence_of
from rapport_notification.reference import load_quiet_hours, zones_of_countries

ZONES = zones_of_countries()


def zones_and_countries(number: str) -> tuple[set[str], set[str]]:
    found = evidence_of(number, ZONES).candidates
    return {zone for zone, _ in found}, {country for _, country in found}


def test_a_line_in_a_house_is_where_the_house_is() -> None:
    assert zones_and_countries("+4930123456") == ({"Europe/Berlin"}, {"DE"})
    zones, countries = zones_and_countries("+61892221234")
    assert "Australia/Perth" in zones
    assert "Australia/Sydney" not in zones
    assert countries == {"AU"}


@pytest.mark.parametrize(
    ("number", "some", "country", "least"),
    [
        ("+61412345678", "Australia/Perth", "AU", 8),
        ("+18005551234", "Pacific/Honolulu", "US", 40),
        ("+12125551234", "America/Los_Angeles", "US", 40),
        ("+447700900123", "Europe/Jersey", "JE", 4),
    ],
)
def test_a_number_that_moves_may_be_anywhere_its_calling_code_is(
    number: str, some: str, country: str, least: int
) -> None:
    zones, countries = zones_and_countries(number)
    assert some in zones
    assert country in countries
    assert len(zones) >= least
    load_quiet_hours().places(evidence_of(number, ZONES).candidates)


@pytest.mark.parametrize("number", ["", "hello", "+", "0151 1234", "+999123456789"])
def test_what_is_no_number_says_nothing(number: str) -> None:
    assert whereabouts([evidence_of(number, ZONES)]).candidates == ()
