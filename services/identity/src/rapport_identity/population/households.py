"""Households drawn by their number alone: each can be made without the others, in any order, on any machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from rapport_identity.domain.records import Address
from rapport_identity.population.belongings import DAYS, SERIALS, Belongings
from rapport_identity.population.draw import Draw, Weighted
from rapport_identity.population.lexicon import Lexicon, Town
from rapport_identity.population.mix import Mix
from rapport_identity.population.people import Household, Person

_SIZES: Final = Weighted((1, 2, 3, 4, 5, 6), (0.32, 0.34, 0.14, 0.12, 0.06, 0.02))
_YOUNGEST: Final = 2007  # no one is recorded as a child


class Households:
    """All households of one seed.

    Args:
        seed: Chooses the population.
        mix: What happens to people, and how often.
        lexicon: What is drawn from.
    """

    def __init__(self, seed: int, mix: Mix, lexicon: Lexicon) -> None:
        self._seed = seed
        self._mix = mix
        self._lexicon = lexicon
        self._belongings = Belongings(seed, mix, lexicon)

    def household(self, place: int) -> Household:
        """Return the household with this number, from 0 on."""
        draw = Draw(self._seed, "household", place)
        members = self._members(draw, place)
        town = draw.weighted(self._lexicon.towns)
        former_town = town if draw.chance(0.6) else draw.weighted(self._lexicon.towns)
        address, former_address = self._address(draw, town), self._address(draw, former_town)
        moved, moved_on = draw.chance(self._mix.moved), draw.between(1, DAYS - 1)
        own = place * SERIALS + SERIALS - 1
        has_phone, has_email = draw.chance(0.5), draw.chance(0.15)
        several = len(members) > 1
        return Household(
            number=place,
            members=members,
            address=address,
            former_address=former_address if moved else None,
            moved_on=moved_on,
            town=town.number,
            phone=self._belongings.telephone(own * 2) if several and has_phone else "",
            email=self._belongings.family_email(draw, own, members[0].surname) if several and has_email else "",
        )

    def _address(self, draw: Draw, town: Town) -> Address:
        kind, _ = draw.pick(self._lexicon.street_types)
        return Address(
            house=str(draw.between(1, 400)),
            street=f"{draw.weighted(self._lexicon.streets)} {kind}",
            unit=f"Apt {draw.between(1, 40)}" if draw.chance(0.2) else None,
            city=town.name,
            region=town.region,
            postcode=f"{town.postcode}{draw.below(100):02}",
        )

    def _members(self, draw: Draw, place: int) -> tuple[Person, ...]:
        """One person, or a couple, or a couple with children."""
        size = draw.weighted(_SIZES)
        surname = draw.weighted(self._lexicon.surnames)
        born = draw.between(1940, 2002) if size < 3 else draw.between(1955, 1980)
        first = self._person(draw, place * SERIALS, surname, born, man=draw.chance(0.5))
        if size == 1:
            return (first,)
        couple = first, self._partner(draw, first)
        return couple if size == 2 else self._family(draw, couple, size - 2)

    def _partner(self, draw: Draw, first: Person) -> Person:
        own_name = draw.weighted(self._lexicon.surnames)
        lately, long_ago, married_on = draw.chance(self._mix.married), draw.chance(0.7), draw.between(1, DAYS - 1)
        surname = first.surname if lately or long_ago else own_name
        born, man = first.birth_date.year + draw.between(-4, 4), first.man ^ draw.chance(0.96)
        partner = self._person(draw, first.serial + 1, surname, born, man=man)
        if lately and own_name != surname:
            partner = replace(partner, maiden_name=own_name, married_on=married_on)
        return partner

    def _family(self, draw: Draw, couple: tuple[Person, Person], count: int) -> tuple[Person, ...]:
        """The couple with children old enough to be customers."""
        twins, namesake = draw.chance(self._mix.twins), draw.chance(self._mix.namesakes)
        serial, surname = couple[0].serial + 2, couple[0].surname
        born = min(max(parent.birth_date.year for parent in couple) + 22, _YOUNGEST)
        children = [
            self._person(draw, serial + order, surname, min(born + 2 * order, _YOUNGEST), man=draw.chance(0.5))
            for order in range(count)
        ]
        if twins and count > 1:
            children[1] = replace(children[1], birth_date=children[0].birth_date)
        father = next((parent for parent in couple if parent.man), None)
        if namesake and father and children[0].man and father.surname == surname:
            children[0] = replace(children[0], given=father.given, suffix="Jr")
            first, second = (replace(one, suffix="Sr") if one is father else one for one in couple)
            couple = first, second
        return (*couple, *children)

    def _person(self, draw: Draw, serial: int, surname: str, born: int, *, man: bool) -> Person:
        names = self._lexicon.male if man else self._lexicon.female
        given, middle = draw.weighted(names), draw.weighted(names)
        employed, reads_office_mail = draw.chance(0.6), draw.chance(0.3)
        employer = draw.weighted(self._lexicon.employers)
        has = self._belongings
        return Person(
            serial=serial,
            man=man,
            given=given,
            middle=middle if draw.chance(0.7) and middle != given else "",
            surname=surname,
            birth_date=date(born, 1, 1) + timedelta(days=draw.below(365)),
            mobiles=has.mobiles(serial),
            emails=has.emails(draw, serial, given, surname),
            work_email=has.work_email(employer) if employed and reads_office_mail else "",
            employer=employer if employed else "",
            account=has.account(serial),
            loyalty=has.loyalty(serial),
            device=has.device(serial) if draw.chance(0.7) else "",
            cookies=tuple(has.cookie(serial, order) for order in range(draw.between(1, 3))),
        )
