"""The customers of the story: a made-up town, what every channel writes down of it, what each allows and prefers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from random import Random
from typing import Final

from rapport.consent.v1 import ledger_pb2
from rapport.identity.v1 import events_pb2, record_pb2
from rapport_chassis.times import stamp
from rapport_identity.population import Household, Person, Population, Truth
from rapport_identity.population.messages import message_of

from rapport_local.demo.lives import Event, life
from rapport_local.demo.scenes import ANALYTICS, EMAIL, NORTH, PERSONAL_PRICES, PROFILING

ACCOUNTS: Final = "shop.accounts"
_SOURCES: Final = {"web": "webshop", "shop": "store", "call_centre": "support"}
"""What those of the generator are called that a fresh installation declares by another name."""

_ANSWERS: Final = {ANALYTICS: (0.90, 0.05), PROFILING: (0.88, 0.07), PERSONAL_PRICES: (0.85, 0.09), EMAIL: (0.80, 0.12)}
"""Purpose -> share of customers who said yes, and of those who said no; the others were never asked."""

_NO_OFFERS: Final = 0.15


@dataclass(frozen=True)
class Customer:
    """Somebody who has an account at the shop.

    Attributes:
        person: Who they are.
        events: What happened between them and the shop, in order of time.
        answers: Purpose -> granted, or refused.
        wants_offers: Whether they want to hear of offers, whatever they allowed.
    """

    person: Person
    events: tuple[Event, ...]
    answers: dict[str, ledger_pb2.ConsentStatus.ValueType]
    wants_offers: bool

    @property
    def account(self) -> record_pb2.Identifier:
        """The account at the shop."""
        kind = events_pb2.IDENTIFIER_KIND_ACCOUNT
        return record_pb2.Identifier(kind=kind, namespace=ACCOUNTS, value=self.person.account)

    @property
    def email(self) -> record_pb2.Identifier:
        """The address they usually give."""
        return record_pb2.Identifier(kind=events_pb2.IDENTIFIER_KIND_EMAIL, value=self.person.emails[0])

    def record(self) -> record_pb2.Record:
        """Return what the shop's own file of customers holds."""
        made = record_pb2.Record(
            key=record_pb2.RecordKey(source="crm", source_record_id=self.person.account),
            occurred_at=stamp(self.events[0].at),
            brand_id=NORTH,
            market="US",
        )
        made.person.names.add(given_names=self.person.given, surname=self.person.surname)
        made.person.identifiers.extend((self.account, self.email))
        return made

    def allows(self, *purpose_ids: str) -> bool:
        """Whether they said yes to all of these."""
        return all(self.answers.get(each) == ledger_pb2.CONSENT_STATUS_GRANTED for each in purpose_ids)

    def bought_since(self, since: datetime) -> bool:
        """Whether they ordered anything from then on."""
        return any(each.kind == "order" and each.at >= since for each in self.events)


@dataclass(frozen=True)
class Town:
    """A town, as it is in truth.

    Attributes:
        households: Who lives with whom.
        customers: Those who live there; each has an account.
        sightings: Each record that a channel has of somebody, with the truth about it.
    """

    households: tuple[Household, ...]
    customers: tuple[Customer, ...]
    sightings: tuple[tuple[record_pb2.Record, Truth], ...]


def town(people: int, seed: int, now: datetime) -> Town:
    """Return a town of at least so many people; the same seed makes the same one, up to the day it is told."""
    population, households = Population(seed=seed), []
    for number in count():
        households.append(population.household(number))
        if sum(len(each.members) for each in households) >= people:
            break
    last = households[-1].number
    records = next(at for at, (_, truth) in enumerate(population.everything()) if truth.household > last)
    sightings = tuple((_sent(message_of(seen)), truth) for seen, truth in population.labelled(records))
    chance = Random(seed)  # noqa: S311 - draws a story, no secret
    members = [each for household in households for each in household.members]
    return Town(tuple(households), tuple(_customer(chance, each, now) for each in members), sightings)


def _customer(chance: Random, person: Person, now: datetime) -> Customer:
    return Customer(person, tuple(life(chance, now)), dict(_answers(chance)), chance.random() >= _NO_OFFERS)


def _answers(chance: Random) -> Iterator[tuple[str, ledger_pb2.ConsentStatus.ValueType]]:
    for purpose_id, (granted, refused) in _ANSWERS.items():
        drawn = chance.random()
        if drawn < granted:
            yield purpose_id, ledger_pb2.CONSENT_STATUS_GRANTED
        elif drawn < granted + refused:
            yield purpose_id, ledger_pb2.CONSENT_STATUS_REFUSED


def _sent(record: record_pb2.Record) -> record_pb2.Record:
    record.key.source = _SOURCES.get(record.key.source, record.key.source)
    return record
