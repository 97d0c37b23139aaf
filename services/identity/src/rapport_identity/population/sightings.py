"""What the sources write down of the members of a household, over the time covered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey
from rapport_identity.population import channels, garble
from rapport_identity.population.belongings import DAYS
from rapport_identity.population.channels import Channel
from rapport_identity.population.draw import Draw, Weighted, token
from rapport_identity.population.lexicon import Lexicon
from rapport_identity.population.mix import Mix, Noise
from rapport_identity.population.people import Household, Person

FIRST_DAY: Final = date(2021, 1, 1)
"""The first day covered."""

_VISITS: Final = Weighted((1, 2, 3, 4, 5, 6, 8, 12), (0.22, 0.20, 0.17, 0.13, 0.10, 0.08, 0.06, 0.04))
_KIOSKS: Final = 3  # of a town
_MIDNIGHT: Final = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record as a source sends it.

    Attributes:
        record: What it says.
        occurred_at: When the source wrote it.
    """

    record: Record
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Truth:
    """Who a record is about. Nothing of it is in the record.

    Attributes:
        key: The record.
        person: Serial number of the person.
        household: Number of the household.
        noise: What the source got wrong or what misleads, each kind once, by name.
    """

    key: RecordKey
    person: int
    household: int
    noise: tuple[Noise, ...]


class Sightings:
    """Writes down what sources see of a household.

    Args:
        seed: Chooses the population.
        mix: What goes wrong, and how often.
        lexicon: Nicknames, sounds and placeholders.
    """

    def __init__(self, seed: int, mix: Mix, lexicon: Lexicon) -> None:
        self._seed = seed
        self._mix = mix
        self._lexicon = lexicon

    def of(self, household: Household) -> Iterator[tuple[Sighting, Truth]]:
        """Yield all sightings of its members, one member after the other, each in order of time."""
        for person in household.members:
            draw = Draw(self._seed, "visits", person.serial)
            days = sorted(draw.below(DAYS) for _ in range(draw.weighted(_VISITS)))
            for order, day in enumerate(days):
                at = _MIDNIGHT + timedelta(days=day, seconds=draw.below(86_400))
                key = token(self._seed, "record", person.serial, order)
                yield _Visit(draw, self._mix, self._lexicon, household, person, day).seen(key, at, self._seed)


class _Visit:
    """One visit of one person, while it is written down."""

    __slots__ = ("_channel", "_day", "_draw", "_household", "_lexicon", "_mix", "_noise", "_person")

    def __init__(self, draw: Draw, mix: Mix, lexicon: Lexicon, household: Household, person: Person, day: int) -> None:
        self._draw = draw
        self._mix = mix
        self._lexicon = lexicon
        self._household = household
        self._person = person
        self._day = day
        self._channel: Channel = draw.weighted(channels.BY_FREQUENCY)
        self._noise: list[Noise] = []

    def seen(self, key: str, at: datetime, seed: int) -> tuple[Sighting, Truth]:
        """Return the sighting and the truth about it."""
        draw, channel = self._draw, self._channel
        emails = self._email() if draw.chance(channel.email) else ()
        phones = self._phone() if draw.chance(channel.phone) else ()
        identifiers = tuple(self._identifiers(seed))
        # Whoever says nothing else gives a name: nobody writes an empty record.
        named = draw.chance(channel.name) or not (emails or phones or identifiers)
        given_name, middle_name, surname = self._name() if named else (None, None, None)
        record = Record(
            key=RecordKey(channel.source, key),
            given_name=given_name,
            middle_names=middle_name,
            surname=surname,
            birth_date=self._birth_date() if draw.chance(channel.birth_date) else None,
            address=self._address() if draw.chance(channel.address) else None,
            employer=self._person.employer or None if draw.chance(channel.employer) else None,
            emails=emails,
            phones=phones,
            region="US",
            identifiers=identifiers,
        )
        truth = Truth(record.key, self._person.serial, self._household.number, tuple(sorted(self._noise)))
        return Sighting(record, at), truth

    def _happens(self, kind: Noise, share: float) -> bool:
        if self._draw.chance(share):
            self._noise.append(kind)
            return True
        return False

    def _name(self) -> tuple[str, str | None, str]:
        person, mix = self._person, self._mix
        given = self._given()
        surname, maiden_name = person.surname_on(self._day), person.maiden_name
        if maiden_name and surname != maiden_name and self._happens(Noise.MAIDEN_NAME, mix.maiden_name):
            surname = maiden_name
        given, surname = self._misspelt(given, surname)
        if person.suffix and self._draw.chance(0.5):
            surname = f"{surname} {person.suffix}"
        if self._happens(Noise.SWAPPED_NAME, mix.swapped_name):
            given, surname = surname, given
        if not (person.middle and self._draw.chance(self._channel.middle)):
            return given, None, surname
        return (given, person.middle, surname) if self._channel.apart else (f"{given} {person.middle}", None, surname)

    def _given(self) -> str:
        given, mix = self._person.given, self._mix
        short = self._lexicon.short_forms.get(given)
        if short and self._happens(Noise.SHORT_FORM, mix.short_form):
            return self._draw.pick(short)
        return f"{given[0]}." if self._happens(Noise.INITIAL, mix.initial) else given

    def _misspelt(self, given: str, surname: str) -> tuple[str, str]:
        draw, mix = self._draw, self._mix
        bare = garble.without_accents(given) or given, garble.without_accents(surname) or surname
        if bare != (given, surname) and self._happens(Noise.LOST_ACCENT, mix.lost_accent):
            given, surname = bare
        in_given = draw.chance(0.5) and len(given) > 2
        word = given if in_given else surname
        if self._channel.heard:
            wrong = garble.misheard(draw, word, self._lexicon.misheard)
            wrong = wrong if wrong and self._happens(Noise.MISHEARD, mix.misheard) else None
        else:
            wrong = garble.typo(draw, word) if self._happens(Noise.TYPO, mix.typo) else None
        if not wrong:
            return given, surname
        return (wrong, surname) if in_given else (given, wrong)

    def _birth_date(self) -> str:
        born, mix = self._person.birth_date, self._mix
        if self._happens(Noise.PLACEHOLDER_DATE, mix.placeholder_date):
            return self._draw.pick(self._lexicon.placeholder_dates)
        swapped = garble.swapped(born)
        if swapped and self._happens(Noise.SWAPPED_DATE, mix.swapped_date):
            return swapped.isoformat()
        wrong = self._happens(Noise.WRONG_DATE, mix.wrong_date)
        return (garble.wrong_date(self._draw, born) if wrong else born).isoformat()

    def _address(self) -> Address:
        mix, former = self._mix, self._household.former_address
        address = self._household.address_on(self._day)
        if former and address is not former and self._happens(Noise.OLD_ADDRESS, mix.old_address):
            address = former
        if self._happens(Noise.SHORT_STREET, mix.short_street):
            name, _, kind = (address.street or "").rpartition(" ")
            short = dict(self._lexicon.street_types)
            address = replace(address, street=f"{name} {short[kind]}")
        return address

    def _email(self) -> tuple[str, ...]:
        draw, person, mix = self._draw, self._person, self._mix
        if self._happens(Noise.PLACEHOLDER_EMAIL, mix.placeholder_email):
            return (draw.pick(self._lexicon.placeholder_emails),)
        if person.work_email and self._happens(Noise.ROLE_MAILBOX, mix.role_mailbox):
            return (person.work_email,)
        if self._household.email and self._happens(Noise.FAMILY_EMAIL, mix.family_email):
            return (self._household.email,)
        email = person.emails[0] if draw.chance(0.8) else draw.pick(person.emails)
        if self._happens(Noise.WRONG_EMAIL, mix.wrong_email):
            local, _, domain = email.partition("@")
            email = f"{garble.typo(draw, local) or local}@{domain}"
        return (email,)

    def _phone(self) -> tuple[str, ...]:
        draw, mix = self._draw, self._mix
        if self._happens(Noise.PLACEHOLDER_PHONE, mix.placeholder_phone):
            return (draw.pick(self._lexicon.placeholder_phones),)
        if self._household.phone and self._happens(Noise.SHARED_PHONE, mix.shared_phone):
            return (self._spelt(self._household.phone),)
        mobile = self._person.mobile_on(self._day)
        if mobile is None:
            return ()
        if mobile.recycled:
            self._noise.append(Noise.RECYCLED_PHONE)
        return (self._spelt(mobile.written),)

    def _spelt(self, number: str) -> str:
        """The number in one of the ways people write it."""
        country, area, exchange, line = number.split(" ")
        return self._draw.pick(
            (
                f"{country}{area}{exchange}{line}",
                f"({area}) {exchange}-{line}",
                f"{area}-{exchange}-{line}",
                f"{area}.{exchange}.{line}",
                number,
            )
        )

    def _identifiers(self, seed: int) -> Iterator[Identifier]:
        draw, channel, person, mix = self._draw, self._channel, self._person, self._mix
        if draw.chance(channel.account):
            yield Identifier(IdentifierKind.ACCOUNT, "shop.accounts", person.account)
        if draw.chance(channel.loyalty):
            yield Identifier(IdentifierKind.ACCOUNT, "shop.loyalty", person.loyalty)
        if draw.chance(channel.cookie):
            yield Identifier(IdentifierKind.COOKIE, "web", self._browser())
        if draw.chance(channel.device) and (device := self._device()):
            yield Identifier(IdentifierKind.DEVICE, "app", device)
        if channel.kiosk and self._happens(Noise.KIOSK, mix.kiosk):
            kiosk = token(seed, "kiosk", self._household.town, draw.below(_KIOSKS))
            yield Identifier(IdentifierKind.DEVICE, "shop.kiosks", kiosk)

    def _browser(self) -> str:
        others = [one for one in self._household.members if one is not self._person]
        if others and self._happens(Noise.LOGOUT_NOT_RESET, self._mix.logout_not_reset):
            return self._draw.pick(self._draw.pick(others).cookies)
        return self._draw.pick(self._person.cookies)

    def _device(self) -> str:
        others = [one.device for one in self._household.members if one is not self._person and one.device]
        if others and self._happens(Noise.LOGOUT_NOT_RESET, self._mix.logout_not_reset):
            return self._draw.pick(others)
        return self._person.device
