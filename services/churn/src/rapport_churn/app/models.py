"""Models, and which of them has which role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

from rapport_churn.domain.errors import ERRORS
from rapport_churn.domain.receipts import Taught


class Role(IntEnum):
    """What a model is used for, by the contract's numbers."""

    CHAMPION = 1
    CHALLENGER = 2


class Gate(NamedTuple):
    """What a model must pass before it may serve, and how it did."""

    name: str
    passed: bool
    value: float
    bound: float


class Stored(NamedTuple):
    """A model as it is stored.

    Attributes:
        model_id: Its id.
        sha256: Names its artefact.
        body: What is told of it, as the contract's message without a role.
        log_epoch: Life of the event log it was trained on.
        log_position: It was trained on the log up to here.
        created_at: When it was made.
    """

    model_id: str
    sha256: bytes
    body: bytes
    log_epoch: str
    log_position: int
    created_at: datetime


class Removed(NamedTuple):
    """Somebody was taken out of the log: every id that stood for the person, when, and whether for ever."""

    profile_ids: tuple[str, ...]
    removed_at: datetime
    erased: bool


class Teaching(Protocol):
    """Says whom models were learned from."""

    async def of(self, model: Stored) -> Taught | None:
        """Return it; None if the model's artefact does not say it.

        Raises:
            RapportError: MODEL_UNUSABLE.
        """
        ...


class Promotion(NamedTuple):
    """A model was given a role.

    Attributes:
        role: The role.
        version: Rises with each promotion to the role.
        model_id: Who has it from then on.
        previous_model_id: Who had it before; empty for none.
        promoted_at: From when.
        promoted_by: Subject of the operator.
        reason: Why.
        despite_gates: Whether a gate had not been passed.
    """

    role: Role
    version: int
    model_id: str
    previous_model_id: str
    promoted_at: datetime
    promoted_by: str
    reason: str
    despite_gates: bool


ModelPlace = tuple[datetime, str]
"""Where a page of models begins: before the one that was made then."""

PromotionPlace = tuple[datetime, int, int]
"""Where a page of promotions begins: before the one of that time, role and version."""


class ModelStore(Protocol):
    """Models and promotions, in a transaction."""

    async def add(self, model: Stored) -> None:
        """Keep a new model; one that is kept already is left alone."""
        ...

    async def find(self, model_id: str) -> Stored | None:
        """Return a model; None if there is none."""
        ...

    async def page(self, before: ModelPlace | None, limit: int) -> Sequence[Stored]:
        """Return models, the newest first."""
        ...

    async def hold(self) -> None:
        """Let nobody else promote until the transaction ends."""
        ...

    async def current(self) -> Mapping[Role, Promotion]:
        """Return who has which role."""
        ...

    async def at(self, role: Role, moment: datetime) -> Promotion | None:
        """Return who had a role at a time; None if nobody had."""
        ...

    async def had(self, role: Role, model_id: str) -> bool:
        """Whether a model ever had a role."""
        ...

    async def removed_since(self, model: Stored) -> Sequence[Removed]:
        """Return whose facts were taken away that a model may have been trained on."""
        ...

    async def removed_with(self, profile_id: str) -> Sequence[str]:
        """Return every id of a person whose facts were taken away; none if nothing was."""
        ...

    def failed(self, model: Stored) -> frozenset[str]:
        """Return the gates that a model failed."""
        ...

    async def promote(self, promotion: Promotion) -> None:
        """Give a role, and tell of it."""
        ...

    async def promotions(self, role: Role | None, before: PromotionPlace | None, limit: int) -> Sequence[Promotion]:
        """Return promotions, the newest first."""
        ...


async def find_model(store: ModelStore, model_id: str) -> Stored:
    """Return a model.

    Raises:
        RapportError: MODEL_NOT_FOUND.
    """
    found = await store.find(model_id)
    if found is None:
        raise ERRORS.error("MODEL_NOT_FOUND", "there is no such model", field="model_id")
    return found


async def model_with_role(store: ModelStore, role: Role, moment: datetime | None) -> Promotion:
    """Return who has a role, or had it at a time.

    Raises:
        RapportError: MODEL_NOT_FOUND: nobody.
    """
    found = (await store.current()).get(role) if moment is None else await store.at(role, moment)
    if found is None:
        raise ERRORS.error("MODEL_NOT_FOUND", "no model had the role then")
    return found


async def learned_from(teaching: Teaching, model: Stored, removed: Sequence[Removed]) -> list[Removed]:
    """Return those of whom a model was learned; all, if it does not say of whom."""
    taught = await teaching.of(model) if removed else None
    return [each for each in removed if taught is None or taught.has(each.profile_ids)]


async def promote(
    store: ModelStore,
    teaching: Teaching,
    model: Stored,
    role: Role,
    *,
    gates: Sequence[Gate],
    despite_gates: bool,
    actor: str,
    reason: str,
    now: datetime,
) -> Promotion:
    """Give a model a role. One that served before was examined then: to go back to it, little is asked.

    Raises:
        RapportError: HAS_ROLE, GATES_NOT_PASSED; WITHDRAWN_SINCE: facts it learned from were taken away meanwhile;
            LEARNED_FROM_ERASED: it learned from somebody who was erased, which nothing makes good.
    """
    model_id = model.model_id
    await store.hold()
    before = (await store.current()).get(role)
    if before is not None and before.model_id == model_id:
        raise ERRORS.error("HAS_ROLE", "the model has this role already", field="role")
    failed = [gate.name for gate in gates if not gate.passed]
    must_pass = role is Role.CHAMPION and not await store.had(role, model_id)
    concerned = await learned_from(teaching, model, await store.removed_since(model))
    if any(each.erased for each in concerned):
        raise ERRORS.error("LEARNED_FROM_ERASED", "it was learned from somebody who was erased", field="model_id")
    if must_pass and concerned:
        raise ERRORS.error("WITHDRAWN_SINCE", "somebody it was trained on withdrew: train anew", field="model_id")
    if failed and must_pass and not despite_gates:
        raise ERRORS.error(
            "GATES_NOT_PASSED",
            f"the model failed: {', '.join(failed)}",
            field="model_id",
            metadata={"gates": ",".join(failed)},
        )
    promotion = Promotion(
        role,
        (before.version if before else 0) + 1,
        model_id,
        before.model_id if before else "",
        now,
        actor,
        reason,
        bool(failed) and must_pass,
    )
    await store.promote(promotion)
    return promotion
