"""The people of a simulated world: what they decide, who turns out to be whom, and what is asked about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from string import ascii_letters, digits
from typing import Any, Final

from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport_privacy.ports import LedgerHead

from rapport_testing.gate_history.chronicle import Question
from rapport_testing.ledger_model import BEGINNING, DIRECT_MARKETING, LedgerModel

BRANDS: Final = ("", "alba", "boreal")
PURPOSES: Final[dict[str, dict[str, Any]]] = {
    "mail": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT, "brand_scoped": True, "direct_marketing": True},
    "profiling": {"basis": purpose_pb2.LEGAL_BASIS_LEGITIMATE_INTEREST, "direct_marketing": True},
    "research": {"basis": purpose_pb2.LEGAL_BASIS_CONSENT},
    "orders": {"basis": purpose_pb2.LEGAL_BASIS_CONTRACT},
    "books": {"basis": purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION, "despite_restriction": True},
}
_CHOSEN: Final = ("mail", "profiling", "research")
_DENIALS: Final = (
    ledger_pb2.CONSENT_STATUS_REFUSED,
    ledger_pb2.CONSENT_STATUS_WITHDRAWN,
    ledger_pb2.CONSENT_STATUS_OBJECTED,
    ledger_pb2.CONSENT_STATUS_OPTED_OUT,
)
_LETTERS: Final = ascii_letters + digits
_ACTS_A_STEP: Final = 0.25
_AT_ONCE: Final = 8
_RECENT: Final = 6


class People:
    """Those about whom the ledger is written. Some are recent: they are asked about most."""

    def __init__(self, ledger: LedgerModel, random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._issued: list[str] = []
        self._ids = [self._issue() for _ in range(_AT_ONCE)]
        self._recent: deque[str] = deque(self._ids, maxlen=_RECENT)
        for purpose_id, terms in PURPOSES.items():
            ledger.define(purpose_id, active_from=BEGINNING - timedelta(days=400), **terms)
        self._acts = {
            self._grant: 40,
            self._deny: 40,
            self._restrict: 8,
            self._merge: 8,
            self._split: 6,
            self._erase: 2,
            self._import: 2,
            self._change_purpose: 1,
        }

    def act(self) -> None:
        """Mostly nothing; else one thing, of whatever kind."""
        if self._random.random() < _ACTS_A_STEP:
            self._random.choices([*self._acts], [*self._acts.values()])[0]()

    def question(self) -> Question:
        """A question, mostly about somebody recent."""
        person = self._random.choice(self._recent if self._random.random() < 0.7 else self._ids)
        purpose = self._random.choice([*PURPOSES])
        return Question(person, purpose, self._random.choice(BRANDS[1:]) if purpose == "mail" else self._brand())

    def questions(self) -> Iterator[Question]:
        """Every question there is."""
        for person in self._ids:
            for purpose in PURPOSES:
                for brand in BRANDS[purpose == "mail" :]:
                    yield Question(person, purpose, brand)

    def token(self) -> LedgerHead:
        """A token as a recent write returned it."""
        return LedgerHead(self._ledger.epoch, max(1, self._ledger.position - self._random.randint(0, 2)))

    def _issue(self) -> str:
        """A new id; now and then one that differs from another in its last letter only."""
        if self._issued and self._random.random() < 0.2:
            issued = self._random.choice(self._issued)[:-1] + self._random.choice(_LETTERS)
        else:
            issued = "prf_" + "".join(self._random.choices(_LETTERS, k=22))
        self._issued.append(issued)
        return issued

    def _person(self) -> str:
        """Seldom somebody who has been erased."""
        person = self._random.choice(self._recent if self._random.random() < 0.02 else self._ids)
        self._recent.append(person)
        return person

    def _brand(self) -> str:
        return self._random.choice(BRANDS)

    def _grant(self) -> None:
        expires_at = self._around_now() if self._random.random() < 0.2 else None
        self._ledger.grant(self._person(), self._random.choice(_CHOSEN), self._brand(), expires_at)

    def _deny(self) -> None:
        purpose = self._random.choice((*_CHOSEN, DIRECT_MARKETING))
        self._ledger.deny(self._person(), purpose, self._random.choice(_DENIALS), self._brand())

    def _restrict(self) -> None:
        self._ledger.restrict(self._person(), in_force=self._random.random() < 0.3)

    def _merge(self) -> None:
        self._ledger.merge(self._person(), self._person())

    def _split(self) -> None:
        self._ledger.split(self._person())

    def _erase(self) -> None:
        """Others take the places of the erased, who go on being asked about for a while."""
        erased = self._person()
        gone = self._ledger.state.closure(erased)
        self._ledger.fence(erased)
        self._ids = [self._issue() if each in gone else each for each in self._ids]

    def _import(self) -> None:
        for _ in range(self._random.randint(5, 40)):
            self._grant()

    def _change_purpose(self) -> None:
        """Another version, now or soon; seldom an end."""
        purpose = self._random.choice([*PURPOSES])
        if self._random.random() < 0.1:
            self._ledger.retire(purpose)
        else:
            terms = {**PURPOSES[purpose], "despite_restriction": self._random.random() < 0.5}
            self._ledger.define(purpose, active_from=self._around_now(), **terms)

    def _around_now(self) -> datetime:
        """A time that the clocks of the machines will pass, now that one is behind and another ahead."""
        return BEGINNING + timedelta(seconds=self._random.uniform(0, 90_000))
