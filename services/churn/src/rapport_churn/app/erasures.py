"""Use case: no model goes on serving that was learned from somebody who was taken out; another one is trained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from rapport_churn.app.models import ModelStore, Promotion, Role, Stored, Teaching, find_model, learned_from
from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.receipts import receipt_of

REASON: Final = "without-whoever-withdrew"
"""Reason of promotions that nobody asked for."""

_LOOKED_BACK: Final = 50


class Receipt(NamedTuple):
    """Proof about a person."""

    model_id_before: str
    model_id: str
    body: bytes


async def receipt(store: ModelStore, teaching: Teaching, profile_id: str) -> Receipt:
    """Return proof that the model that serves was learned without somebody who was taken out.

    Raises:
        RapportError: MODEL_NOT_FOUND: none serves; NOTHING_REMOVED; LEARNED_FROM: another is not trained yet;
            MODEL_UNUSABLE.
    """
    profile_ids = await store.removed_with(profile_id)
    if not profile_ids:
        raise ERRORS.error("NOTHING_REMOVED", "nothing was taken away of the profile", field="profile_id")
    now, *earlier = await _served(store)
    after = await teaching.of(now)
    if after is None or after.has(profile_ids):
        raise ERRORS.error("LEARNED_FROM", "the model that serves was learned from the person")
    for model in earlier:
        before = await teaching.of(model)
        if before is not None and before.has(profile_ids):
            return Receipt(model.model_id, now.model_id, receipt_of(before, after, profile_ids))
    return Receipt("", now.model_id, receipt_of(None, after, profile_ids))


async def _served(store: ModelStore) -> list[Stored]:
    """Return the models that served, each once, the one that serves first."""
    promotions = await store.promotions(Role.CHAMPION, None, _LOOKED_BACK)
    if not promotions:
        raise ERRORS.error("MODEL_NOT_FOUND", "no model serves")
    return [await find_model(store, each) for each in dict.fromkeys(each.model_id for each in promotions)]


class Trainings(Protocol):
    """Trainings that nobody asked for."""

    async def last(self) -> tuple[bool, datetime | None]:
        """Return whether any training goes on, and when the last one was begun that nobody asked for."""
        ...

    async def begin(self, like: Stored) -> None:
        """Begin one, with the settings of a model."""
        ...


@dataclass(frozen=True)
class Renewal:
    """Has a model trained anew, and serve, once somebody was taken out from whom the one that serves was learned.

    A challenger that was learned from such a person gives its place to the one that serves. What is to be done follows
    from what is stored: after a kill at any point the next step finds it.

    Attributes:
        teaching: Says whom models were learned from.
        wait: How long others who withdraw are waited for, from the first on.
        again_after: How long after a training that came to nothing another one is begun.
    """

    teaching: Teaching
    wait: timedelta
    again_after: timedelta

    async def step(self, store: ModelStore, trainings: Trainings, now: datetime) -> bool:
        """Do what is to be done next, in a transaction of the caller's; return whether anything was.

        Raises:
            RapportError: MODEL_UNUSABLE, NOT_READY.
        """
        await store.hold()
        champion = (await store.current()).get(Role.CHAMPION)
        if champion is None:
            return False
        serving = await find_model(store, champion.model_id)
        concerned = await learned_from(self.teaching, serving, await store.removed_since(serving))
        if not concerned:
            return await self._without_challenger(store, serving, now)
        if (candidate := await self._candidate(store, serving)) is not None:
            await store.promote(_instead_of(champion, candidate, now))
            return True
        goes_on, begun_at = await trainings.last()
        too_soon = begun_at is not None and now < begun_at + self.again_after
        if goes_on or too_soon or now < min(each.removed_at for each in concerned) + self.wait:
            return False
        await trainings.begin(serving)
        return True

    async def _without_challenger(self, store: ModelStore, serving: Stored, now: datetime) -> bool:
        """Give the challenger's place to the model that serves, if somebody was taken out whom the challenger knew."""
        challenger = (await store.current()).get(Role.CHALLENGER)
        if challenger is None or challenger.model_id == serving.model_id:
            return False
        model = await find_model(store, challenger.model_id)
        if not await learned_from(self.teaching, model, await store.removed_since(model)):
            return False
        await store.promote(_instead_of(challenger, serving, now))
        return True

    async def _candidate(self, store: ModelStore, serving: Stored) -> Stored | None:
        """Return the newest model, if it fails no gate that the one that serves passed, and knew nobody who is out."""
        newest = await store.page(None, 1)
        for model in newest:
            if model.model_id == serving.model_id or model.created_at <= serving.created_at:
                return None
            concerned = await learned_from(self.teaching, model, await store.removed_since(model))
            if not concerned and store.failed(model) <= store.failed(serving):
                return model
        return None


def _instead_of(before: Promotion, model: Stored, now: datetime) -> Promotion:
    return Promotion(before.role, before.version + 1, model.model_id, before.model_id, now, "", REASON, False)
