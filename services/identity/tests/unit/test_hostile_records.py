"""One name, mailbox, telephone and device for everybody: what one more record costs does not grow with their number."""

from __future__ import annotations

import random
from dataclasses import replace

from rapport_identity.domain.bonds import Bonds
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.index import Index
from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey
from rapport_identity.domain.relinking import relink

LARGEST = 20
CROWDED, LAST = 280, 480
"""Records from which every key but the birthday is held by too many to bring anybody together, and all records."""


def full(number: int) -> Record:
    """A record that has all this, and a birthday and an address of its own."""
    draw = random.Random(number)
    return Record(
        RecordKey("crm", str(number)),
        given_name="Ann",
        surname="Lee",
        birth_date=f"{draw.randint(2000, 2003)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
        address=Address(
            house=str(draw.randint(1, 200)),
            street="".join(draw.choices("bcdfghklmnprst", k=7)) + " street",
            city="".join(draw.choices("bcdfghklmnprst", k=7)),
            postcode=f"N{draw.randint(1, 5)} 1AB",
        ),
        emails=("everybody@posteo.net",),
        phones=("+441603600000",),
        identifiers=(Identifier(IdentifierKind.DEVICE, "app", "kiosk"),),
    )


def test_what_is_linked_for_one_more_record_does_not_grow_with_their_number_and_nobody_is_a_crowd() -> None:
    index = Index(replace(default_matcher(), largest_component=LARGEST))
    index.settle()
    linked, largest = [], []
    for number in range(LAST):
        index.put(number, full(number))
        persons = relink(index, index.take_touched(), Bonds())
        linked.append(sum(map(len, persons)))
        largest.append(max(map(len, persons)))
    assert max(largest) <= LARGEST
    earlier, later = linked[CROWDED : CROWDED + 100], linked[LAST - 100 :]
    assert sum(later) <= 2 * sum(earlier)
    assert max(later) < LAST // 4
    print(f"records linked for one more: {sum(earlier) / len(earlier):.0f}, then {sum(later) / len(later):.0f}")  # noqa: T201
