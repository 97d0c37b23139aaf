"""What belongs to one person: mailboxes, telephone numbers, accounts, devices.

All of it is made of the person's serial number, so that nobody has to remember what has been given out. Whose mobile
number a person gets second hand is worked out from the other's serial in the same way.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from rapport_identity.population.draw import Draw, number, scatter, token
from rapport_identity.population.lexicon import Lexicon
from rapport_identity.population.mix import Mix
from rapport_identity.population.people import Mobile

DAYS: Final = 1826
"""Days covered: five years."""
SERIALS: Final = 8
"""Serial numbers of a household: more than it has members; the last is the household's own."""

_AREAS: Final = 80  # N9X, none of which is in use
_SUBSCRIBERS: Final = 8_000_000
_MAILBOXES: Final = 10**8
_ACCOUNTS: Final = 10**9
_PREDECESSOR: Final = 37 * SERIALS  # a person and the one whose number he may get lie this far apart
_QUARANTINE: Final = 90  # days until a number is given out again


def plain(name: str) -> str:
    """Return the letters of a name as mailboxes write them."""
    if name.isascii() and name.isalpha():
        return name.lower()
    folded = unicodedata.normalize("NFKD", name).replace("ø", "o").replace("Ø", "O")
    return "".join(letter for letter in folded.lower() if letter.isascii() and letter.isalpha())


class Belongings:
    """The belongings of everybody of one seed.

    Args:
        seed: Chooses the population.
        mix: How often numbers change hands.
        lexicon: Names the domains of mailboxes.
    """

    def __init__(self, seed: int, mix: Mix, lexicon: Lexicon) -> None:
        self._seed = seed
        self._mix = mix
        self._lexicon = lexicon

    def telephone(self, index: int) -> str:
        """Return the number with this index; two of each serial, none of them in use anywhere."""
        area, subscriber = divmod(scatter(index, _AREAS * _SUBSCRIBERS, self._seed, "phone"), _SUBSCRIBERS)
        first, last = divmod(area, 10)
        line = f"{subscriber + 2_000_000}"
        return f"+1 {first + 2}9{last} {line[:3]} {line[3:]}"

    def mobiles(self, serial: int) -> tuple[Mobile, ...]:
        """Return the mobile numbers of a person in order of time, one that was somebody else's among them."""
        own, given_up, _ = self._course(serial)
        if not own:
            return ()
        first = self.telephone(serial * 2)
        if given_up:
            second = self.telephone(serial * 2 + 1)
            return Mobile(first, 0, given_up), Mobile(second, given_up, DAYS)
        before = serial - _PREDECESSOR
        if before >= 0:
            _, free_from, passed_on = self._course(before)
            since = free_from + _QUARANTINE
            if passed_on and since < DAYS:
                return Mobile(first, 0, since), Mobile(self.telephone(before * 2), since, DAYS, recycled=True)
        return (Mobile(first, 0, DAYS),)

    def _course(self, serial: int) -> tuple[bool, int, bool]:
        """Whether a person has a mobile, the day the first number is given up (0: never), whether another gets it."""
        draw = Draw(self._seed, "mobile", serial)
        own, renumbered, day = draw.chance(0.95), draw.chance(self._mix.renumbered), draw.between(1, DAYS - 1)
        return own, day if own and renumbered else 0, own and renumbered and draw.chance(self._mix.recycled)

    def emails(self, draw: Draw, serial: int, given: str, surname: str) -> tuple[str, ...]:
        """Return one or two mailboxes of a person, the usual one first."""
        count = 2 if draw.chance(0.35) else 1
        return tuple(self._email(draw, serial * 2 + order, given, surname) for order in range(count))

    def _email(self, draw: Draw, index: int, given: str, surname: str) -> str:
        first, last = plain(given), plain(surname)
        name = draw.pick((f"{first}.{last}", f"{first[:1]}{last}", f"{first}{last[:1]}", f"{last}.{first}", first))
        return f"{name}{self._mailbox(index)}@{draw.pick(self._lexicon.mail_domains)}"

    def family_email(self, draw: Draw, serial: int, surname: str) -> str:
        """Return the mailbox of a household, which this serial is the own one of."""
        return f"{plain(surname)}family{self._mailbox(serial * 2)}@{draw.pick(self._lexicon.mail_domains)}"

    def _mailbox(self, index: int) -> int:
        return scatter(index, _MAILBOXES, self._seed, "mailbox")

    def work_email(self, employer: str) -> str:
        """Return the mailbox that the office of an employer reads."""
        role = self._lexicon.roles[number("role", employer) % len(self._lexicon.roles)]
        return f"{role}@{plain(employer)}.example"

    def account(self, serial: int) -> str:
        """Return the customer number of a person in the shop on the web."""
        return f"C{scatter(serial, _ACCOUNTS, self._seed, 'account'):09}"

    def loyalty(self, serial: int) -> str:
        """Return the number of a person's loyalty card."""
        return f"{scatter(serial, _ACCOUNTS, self._seed, 'loyalty'):09}"

    def device(self, serial: int) -> str:
        """Return the id of a person's device."""
        return token(self._seed, "device", serial)

    def cookie(self, serial: int, order: int) -> str:
        """Return the id of one of a person's browsers."""
        return token(self._seed, "cookie", serial, order)
