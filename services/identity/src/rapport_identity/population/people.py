"""A person and a household as they are, before any source has written anything down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from rapport_identity.domain.records import Address


@dataclass(frozen=True, slots=True)
class Mobile:
    """A mobile number and when it is one's own. Days count from the first one covered.

    Attributes:
        written: The number with its country.
        since: First day.
        until: The day it is given up.
        recycled: True if it was somebody else's before.
    """

    written: str
    since: int
    until: int
    recycled: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A person.

    Attributes:
        serial: Number of the person, the same in every run.
        man: True for a man, False for a woman.
        given: First name.
        middle: Middle name; empty if there is none.
        surname: Surname, after a marriage that changed it.
        birth_date: Day of birth.
        mobiles: Numbers, in order of time.
        emails: Addresses; the first is the usual one.
        work_email: Mailbox of the employer's office; empty if the person reads none.
        employer: Employer; empty if there is none.
        account: Customer number in the shop on the web.
        loyalty: Number of the loyalty card.
        device: The device with the app; empty if there is none.
        cookies: Browsers.
        suffix: "Jr" or "Sr"; empty for most.
        maiden_name: Surname before a marriage in the time covered; empty for most.
        married_on: Day of that marriage.
    """

    serial: int
    man: bool
    given: str
    middle: str
    surname: str
    birth_date: date
    mobiles: tuple[Mobile, ...]
    emails: tuple[str, ...]
    work_email: str
    employer: str
    account: str
    loyalty: str
    device: str
    cookies: tuple[str, ...]
    suffix: str = ""
    maiden_name: str = ""
    married_on: int = 0

    def surname_on(self, day: int) -> str:
        """Return the surname that the person bears on a day."""
        return self.maiden_name if self.maiden_name and day < self.married_on else self.surname

    def mobile_on(self, day: int) -> Mobile | None:
        """Return the number that is the person's own on a day."""
        return next((one for one in self.mobiles if one.since <= day < one.until), None)


@dataclass(frozen=True, slots=True)
class Household:
    """People who live together.

    Attributes:
        number: Number of the household, the same in every run.
        members: Who lives there.
        address: Where.
        former_address: Where before they moved; None if they did not.
        moved_on: The day they moved.
        town: Number of the town they shop in.
        phone: Their common telephone; empty if there is none.
        email: Their common mailbox; empty if there is none.
    """

    number: int
    members: tuple[Person, ...]
    address: Address
    former_address: Address | None
    moved_on: int
    town: int
    phone: str
    email: str

    def address_on(self, day: int) -> Address:
        """Return where they live on a day."""
        return self.former_address if self.former_address and day < self.moved_on else self.address
