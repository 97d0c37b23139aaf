"""Records for the unit tests: a few people, written down well and badly."""

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey

settings.register_profile(
    "unit", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("unit")

GIVEN = ["william", "bill", "mary", "anne", "john", "jon", "peter", "susan", "sue", "omar", "lea", "k"]
SURNAMES = ["smith", "smyth", "jones", "garcia lopez", "garcia", "okafor", "nowak", "larsen"]
STREETS = ["12 High Street", "12 high st", "4 Mill Lane", "7 Mill Lane", "PO box 9"]
PLACES = ["leeds", "leds", "york", "hull", None]


def invented(count: int, seed: int) -> list[Record]:
    """Return records of people who are alike enough to be confused."""
    draw = random.Random(seed)

    def maybe(value: str | None, share: float = 0.75) -> str | None:
        return value if draw.random() < share else None

    records = []
    for index in range(count):
        year, month, day = draw.choice([1980, 1981, 1990]), draw.randint(1, 3), draw.choice([1, 2, 11, 28])
        mail = f"{draw.choice(GIVEN)}.{draw.choice('abc')}@mail.org"
        records.append(
            Record(
                RecordKey(draw.choice(["crm", "shop"]), f"{index:04}"),
                given_name=maybe(draw.choice(GIVEN)),
                middle_names=maybe(draw.choice(["j", "james", "mae", "m"]), 0.3),
                surname=maybe(draw.choice(SURNAMES) + draw.choice(["", "", "", " jr"]), 0.9),
                birth_date=maybe(f"{year}-{month:02}-{day:02}"),
                birth_place=maybe(draw.choice(PLACES), 0.4),
                address=Address(
                    street=maybe(draw.choice(STREETS)), city=draw.choice(PLACES), postcode=maybe("ls1 4ab")
                ),
                employer=maybe(draw.choice(["acme", "acme ltd", "bakery"]), 0.3),
                emails=(mail,) if draw.random() < 0.4 else (),
                phones=(f"+44113496{draw.randint(1000, 1020)}",) if draw.random() < 0.4 else (),
                identifiers=(Identifier(IdentifierKind.NATIONAL_ID, "nino", f"ab{draw.randint(100, 115)}c"),)
                if draw.random() < 0.4
                else (),
            )
        )
    return records


@pytest.fixture
def people() -> Callable[[int, int], list[Record]]:
    return invented
