"""The gate: asked in-process, at the instant of an effect."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np
from rapport_chassis.clock import Clock

from rapport_privacy.audience import Mask, PackedIds, permits, rows_of
from rapport_privacy.contents import NOT_RECENT
from rapport_privacy.decision import Decision, Found
from rapport_privacy.freshness import Freshness
from rapport_privacy.packed import Block, key_of
from rapport_privacy.permits import Position
from rapport_privacy.posed import Posed
from rapport_privacy.replica import Replica
from rapport_privacy.rules import FENCED_ERASED, FENCED_RESTRICTED, Outcome, Question, in_force, pose, weigh
from rapport_privacy.state import Purposes, Subject
from rapport_privacy.vocabulary import Answer, Reason

COLD: Final[Outcome] = (Answer.DENY_STALE, Reason.COLD)
STALE: Final[Outcome] = (Answer.DENY_STALE, Reason.STALE)
TOKEN_UNMET: Final[Outcome] = (Answer.DENY_STALE, Reason.TOKEN_UNMET)

# Half the cost of calling the class, which would only take the same ten values apart and together again.
_decision: Final[Callable[[tuple[object, ...]], Decision]] = partial(tuple.__new__, Decision)

# Below one id for so many subjects of the block, asking about each costs less than looking through the block.
_BLOCK_FOR_EACH_ASKED: Final = 200

# Markets and categories come from callers: what is worked out for them must not grow without end.
_MOST_QUESTIONS: Final = 10_000


class Gate:
    """Decides from a replica and its freshness. Blocks on nothing, costs microseconds.

    To be asked on the thread that feeds the replica, for each effect anew: a decision is worth nothing later.
    """

    def __init__(self, replica: Replica, freshness: Freshness, clock: Clock) -> None:
        self._replica = replica
        self._freshness = freshness
        self._now = clock.now
        self._boottime = clock.boottime
        self._posed: dict[tuple[str, str, str, str], Posed] = {}
        self._purposes: Purposes = {}
        self._block: Block | None = None

    @property
    def lag_positions(self) -> int:
        """How many positions the ledger is known to be ahead of the replica."""
        return self._replica.lag_positions

    @property
    def staleness_s(self) -> float:
        """Seconds since the replica was last known to be fresh; infinite if it never was."""
        return self._boottime() - self._freshness.confirmed_at

    def check(
        self,
        profile_id: str,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Decision:
        """Answer whether an effect is allowed now.

        Args:
            profile_id: Any id ever issued for the person.
            purpose_id: The purpose of the effect.
            brand_id: The brand in whose name it happens; needed for a purpose with brands.
            market: Where it happens; empty for the rule of all markets.
            data_category: The category of data it uses; empty for the rule of all categories.
            at_least: The answer must know the ledger at least up to here.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        now = self._now()
        boottime = self._boottime()
        replica, freshness = self._replica, self._freshness
        freshness.asked_for = True
        contents, fences, early = replica.contents, replica.fences, replica.early
        block = contents.block
        posed = self._posed.get((purpose_id, brand_id, market, data_category))
        if (
            posed is None
            or self._purposes is not contents.purposes
            or self._block is not block
            or not posed.valid_from <= now < posed.valid_until
        ):
            posed = self._pose(purpose_id, brand_id, market, data_category, now)
        question = posed.question

        # Who it is: somebody the dictionary knows, a row of the block, or nobody.
        subject = contents.recent.get(profile_id, NOT_RECENT)
        current_id, known = profile_id, None
        found: Found = None
        if subject is NOT_RECENT:
            subject, key = None, key_of(profile_id)
            is_erased = profile_id in fences.recent
            if key is not None:
                known = block.find(key)
                packed = fences.packed
                if packed.heads and packed.find(key) >= 0:
                    is_erased = True
        elif subject is None:
            is_erased = profile_id in fences
        else:
            current_id = subject.profile_id
            is_erased = current_id in fences or not fences.isdisjoint(subject.redirect_ids)

        if is_erased:
            outcome = FENCED_ERASED
        elif not replica.warm:
            outcome = COLD
        elif at_least is not None and (at_least.epoch != replica.epoch or at_least.position > replica.position):
            outcome = TOKEN_UNMET
        elif not question.despite_restriction and (
            (subject is not None and subject.restriction is not None)
            or (early.changes and early.restricts(_closure(profile_id, subject)))
        ):
            outcome = FENCED_RESTRICTED
        elif boottime >= freshness.fresh_until and not (
            question.continues_stale and boottime < freshness.continues_until
        ):
            outcome = STALE
        elif early.changes and (negative := early.state(_closure(profile_id, subject), question.keys)) is not None:
            outcome, found = weigh(question, negative, now), negative
        elif known is not None:
            outcome, found = posed.weigh(known, now)
        elif subject is not None:
            state = in_force(question, subject.states)
            outcome, found = weigh(question, state, now), state
        else:
            outcome = posed.if_nothing
        answer, reason = outcome
        return _decision(
            (
                answer,
                reason,
                question.basis,
                question.purpose_version,
                current_id,
                found,
                replica.epoch,
                replica.position,
                now,
                boottime - freshness.confirmed_at,
            )
        )

    def check_many(
        self,
        profile_ids: Iterable[str],
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> list[Decision]:
        """Answer the same check for many people, in their order.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        return [
            self.check(
                profile_id,
                purpose_id,
                brand_id=brand_id,
                market=market,
                data_category=data_category,
                at_least=at_least,
            )
            for profile_id in profile_ids
        ]

    def filter(
        self,
        audience: PackedIds,
        purpose_id: str,
        *,
        brand_id: str = "",
        market: str = "",
        data_category: str = "",
        at_least: Position | None = None,
    ) -> Mask:
        """Tell for each id of an audience whether `check` would permit; `audience.select` takes the permitted.

        A million take a fraction of a second, in which the loop stands still: whoever serves others asks in slices. Ids
        that the dictionary, a fence or an early negative concerns are asked about one by one.

        Raises:
            RapportError: BRAND_REQUIRED: a brand must be named for this purpose.
        """
        now, boottime = self._now(), self._boottime()
        replica, contents, early = self._replica, self._replica.contents, self._replica.early
        self._freshness.asked_for = True
        posed = self._pose(purpose_id, brand_id, market, data_category, now)
        if not self._may_permit(posed.question, at_least, boottime):
            return np.zeros(len(audience), np.bool_)

        if len(audience) * _BLOCK_FOR_EACH_ASKED < len(contents.block):
            permitted = np.zeros(len(audience), np.bool_)
            single = np.ones(len(audience), np.bool_)
        else:
            permitted = permits(contents.block, audience, posed.question, posed.masks, now)
            permitted[rows_of(replica.fences.packed, audience) >= 0] = False
            single = audience.among(PackedIds.of([*contents.recent, *replica.fences.recent, *early.profile_ids]))
        for place in np.flatnonzero(single).tolist():
            permitted[place] = self.check(
                audience[place],
                purpose_id,
                brand_id=brand_id,
                market=market,
                data_category=data_category,
                at_least=at_least,
            ).permitted
        return permitted

    def _may_permit(self, question: Question, at_least: Position | None, boottime: float) -> bool:
        """False if nobody can be permitted now."""
        replica, freshness = self._replica, self._freshness
        is_met = at_least is None or (at_least.epoch == replica.epoch and at_least.position <= replica.position)
        until = freshness.continues_until if question.continues_stale else freshness.fresh_until
        return replica.warm and is_met and boottime < until

    def _pose(self, purpose_id: str, brand_id: str, market: str, data_category: str, now: datetime) -> Posed:
        contents = self._replica.contents
        purposes, block = contents.purposes, contents.block
        if self._purposes is not purposes or self._block is not block or len(self._posed) >= _MOST_QUESTIONS:
            self._posed.clear()
            self._purposes, self._block = purposes, block
        question = pose(
            purposes.get(purpose_id), brand_id=brand_id, market=market, data_category=data_category, now=now
        )
        posed = Posed(question, block, now)
        self._posed[purpose_id, brand_id, market, data_category] = posed
        return posed


def _closure(profile_id: str, subject: Subject | None) -> tuple[str, ...]:
    """Every id that stands for the same person as far as the replica knows: a negative may name any of them."""
    return (profile_id,) if subject is None else (subject.profile_id, *subject.redirect_ids)
