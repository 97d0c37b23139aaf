"""How much goes wrong: each kind of noise with the share in which it does, of the sightings where it can."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum


class Noise(StrEnum):
    """What keeps a record from saying plainly who it is about."""

    TYPO = "typo"
    """A letter of a name is wrong, missing, doubled or swapped."""
    MISHEARD = "misheard"
    """A name was written as it sounded on the telephone."""
    SHORT_FORM = "short_form"
    """A nickname in place of the given name."""
    INITIAL = "initial"
    """An initial in place of the given name."""
    SWAPPED_NAME = "swapped_name"
    """Given name and surname in each other's place."""
    LOST_ACCENT = "lost_accent"
    """Letters without their accents."""
    MAIDEN_NAME = "maiden_name"
    """The surname of before a marriage. Not noise where the marriage was later; then it is simply true."""
    OLD_ADDRESS = "old_address"
    """The address of before a move."""
    SHORT_STREET = "short_street"
    """The street's type abbreviated."""
    SWAPPED_DATE = "swapped_date"
    """Day and month of birth in each other's place."""
    WRONG_DATE = "wrong_date"
    """A birth date with one digit wrong."""
    PLACEHOLDER_DATE = "placeholder_date"
    """A birth date that a form demanded and nobody knew."""
    WRONG_EMAIL = "wrong_email"
    """An e-mail address with a typing error."""
    PLACEHOLDER_EMAIL = "placeholder_email"
    """An e-mail address that a form demanded and nobody knew."""
    ROLE_MAILBOX = "role_mailbox"
    """The mailbox of an office."""
    FAMILY_EMAIL = "family_email"
    """The mailbox of a household."""
    PLACEHOLDER_PHONE = "placeholder_phone"
    """A telephone number that a form demanded and nobody knew."""
    SHARED_PHONE = "shared_phone"
    """The telephone of a household."""
    RECYCLED_PHONE = "recycled_phone"
    """A number that was somebody else's before."""
    LOGOUT_NOT_RESET = "logout_not_reset"
    """The browser or device of another member of the household, still known as that member's."""
    KIOSK = "kiosk"
    """A terminal in a shop."""


@dataclass(frozen=True, slots=True)
class Mix:
    """The share of each kind of noise among the sightings in which it is possible, and of life among people.

    Of kinds that exclude one another the one named first here is drawn first, and the share of the next holds among
    what is left.

    Attributes:
        typo: Of sightings with a name, but for calls.
        misheard: Of calls with a name that may be written in another way.
        short_form: Of sightings with a given name that has one.
        initial: Of sightings with a given name.
        swapped_name: Of sightings with given name and surname.
        lost_accent: Of sightings with a name that has an accent.
        maiden_name: Of sightings with a surname after a marriage that changed it.
        old_address: Of sightings with an address after a move.
        short_street: Of sightings with an address.
        placeholder_date: Of sightings with a birth date.
        swapped_date: Of sightings with a birth date whose day and month both make a month and differ.
        wrong_date: Of sightings with a birth date.
        placeholder_email: Of sightings with an e-mail address.
        role_mailbox: Of sightings with an e-mail address, of people who read the mailbox of an office.
        family_email: Of sightings with an e-mail address, in households that have one.
        wrong_email: Of sightings with an e-mail address of the person's own.
        placeholder_phone: Of sightings with a telephone number.
        shared_phone: Of sightings with a telephone number, in households that have one.
        logout_not_reset: Of sightings with a browser or device, in households where another member has one.
        kiosk: Of sightings in a shop.
        recycled: Of mobile numbers given up, those that somebody else gets.
        moved: Of households, those that moved in the time covered.
        married: Of couples, those that married in the time covered and bear one surname since.
        renumbered: Of people, those who gave up a mobile number in the time covered.
        twins: Of families with two or more children, those whose first two are twins.
        namesakes: Of families whose first child is a son, those where he bears his father's name (Jr, Sr).
    """

    typo: float = 0.05
    misheard: float = 0.10
    short_form: float = 0.15
    initial: float = 0.03
    swapped_name: float = 0.01
    lost_accent: float = 0.50
    maiden_name: float = 0.15
    old_address: float = 0.20
    short_street: float = 0.40
    placeholder_date: float = 0.01
    swapped_date: float = 0.02
    wrong_date: float = 0.03
    placeholder_email: float = 0.02
    role_mailbox: float = 0.25
    family_email: float = 0.30
    wrong_email: float = 0.01
    placeholder_phone: float = 0.01
    shared_phone: float = 0.25
    logout_not_reset: float = 0.04
    kiosk: float = 0.10
    recycled: float = 0.50
    moved: float = 0.20
    married: float = 0.10
    renumbered: float = 0.15
    twins: float = 0.04
    namesakes: float = 0.05

    def __post_init__(self) -> None:
        wrong = [field.name for field in fields(self) if not 0 <= getattr(self, field.name) <= 1]
        if wrong:
            raise ValueError(f"shares lie between 0 and 1: {', '.join(wrong)}")

    @classmethod
    def clean(cls) -> Mix:
        """Return a mix in which nothing goes wrong and nobody's life changes."""
        return cls(**{field.name: 0.0 for field in fields(cls)})

    def only(self, *kinds: str) -> Mix:
        """Return a mix with these shares as they are here and all others at 0."""
        return replace(Mix.clean(), **{kind: getattr(self, kind) for kind in kinds})
