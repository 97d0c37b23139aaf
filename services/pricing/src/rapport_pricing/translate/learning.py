"""What was learned of prices, as messages."""

from __future__ import annotations

from typing import Final

from rapport.pricing.v1 import learning_pb2

from rapport_pricing.app.learned import Learner
from rapport_pricing.app.policy_replay import PolicyReplay
from rapport_pricing.app.stored import Key
from rapport_pricing.domain.outcomes import Count
from rapport_pricing.domain.personal import ListPriceAudit
from rapport_pricing.domain.steering import Mode
from rapport_pricing.translate.money import set_money

MODES: Final = {
    learning_pb2.STEERING_MODE_LEARN: Mode.LEARN,
    learning_pb2.STEERING_MODE_PAUSED: Mode.PAUSED,
    learning_pb2.STEERING_MODE_PINNED: Mode.PINNED,
}
_MODE_NUMBERS: Final = {mode: number for number, mode in MODES.items()}


def learning_message(key: Key, learner: Learner, currency: str) -> learning_pb2.PriceLearning:
    """Return where learning stands as a message."""
    message = learning_pb2.PriceLearning(
        **key._asdict(),
        mode=_MODE_NUMBERS[learner.steering.mode],
        incident=learner.steering.incident,
        turn=learner.turn,
        since_turn=learner.since_turn,
        run_out=learner.run_out,
        binding_rule=learner.binding,
        stuck=learner.stuck,
    )
    for field, amount in (
        (message.pinned, learner.steering.pinned),
        (message.began_with, learner.anchor),
        (message.target, learner.target),
        (message.settled, learner.settled),
    ):
        if amount is not None:
            set_money(field, amount, currency)
    if learner.decided_us:
        message.decided_at.FromMicroseconds(learner.decided_us)
    return message


def put_counts(message: learning_pb2.PriceLearning, count: Count) -> None:
    """Say what outcomes showed."""
    message.shown, message.sold = count.shown, max(count.sold, 0)


def put_audit(message: learning_pb2.PriceLearning, audit: ListPriceAudit, currency: str) -> None:
    """Say what an audit of the list price found."""
    told = message.list_price_audit
    told.personal_visits, told.gap_ppm = audit.personal_visits, audit.gap_ppm
    told.forgone_ppm, told.passed = audit.forgone_ppm, audit.passed
    set_money(told.believed, audit.believed, currency)
    set_money(told.neutral, audit.neutral, currency)


def replay_message(replay: PolicyReplay, currency: str) -> learning_pb2.ReplayPolicyResponse:
    """Return what a policy would have done as a message."""
    message = learning_pb2.ReplayPolicyResponse(
        visits=replay.visits,
        changes_were=replay.changes_were,
        changes_would_be=replay.changes_would_be,
        refused=replay.refused,
    )
    set_money(message.contribution_was, round(replay.contribution_was), currency)
    set_money(message.contribution_would_be, round(replay.contribution_would_be), currency)
    for each in replay.prices:
        price = message.prices.add(visits=each.visits, binding_rule=each.binding)
        price.valid_from.FromMicroseconds(each.since_us)
        set_money(price.was, each.was, currency)
        set_money(price.would_be, each.would_be, currency)
    return message
