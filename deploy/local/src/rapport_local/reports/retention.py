"""What was done for customers who may leave, on one page: how good the model is, who is at risk, offers, mails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from google.type import money_pb2
from rapport.churn.v1 import churn_pb2, model_pb2
from rapport.pricing.v1 import quote_pb2

from rapport_local.reports.page import Html, checks, figure, number, page, paragraph, part, table, text, tiles
from rapport_local.reports.plots import shares
from rapport_local.retention.outcome import Outcome, Priced

_SHOWN = 12
_STATES = ("sent", "held")


def retention_page(name: str, model: model_pb2.Model, became: Outcome, at: datetime) -> str:
    """Return the page of one run.

    Args:
        name: What was taken in.
        model: The model that serves.
        became: What became of the customers.
        at: When.
    """
    sent, held = (sum(count for (each, _), count in became.messages.items() if each == state) for state in _STATES)
    auc = next((each.value for each in model.metrics if each.name == "auc"), None)
    return page(
        f"Retention: {name}",
        f"Done on {at:%Y-%m-%d %H:%M} UTC. The model looks {model.horizon_days} days ahead at customers who bought"
        f" within {model.population.bought_within_days} days. Each score, price and mail was allowed at that moment,"
        " or was not.",
        [
            tiles(
                [
                    ("out of time, AUC", f"{auc:.3f}" if auc is not None else "-", "0.5 would be luck"),
                    ("scored", f"{len(became.ranked):,}", "who allow it, and bought lately"),
                    ("at risk", f"{len(became.at_risk):,}", "chance of buying nothing"),
                    ("offers", f"{sum(became.offers.values()):,}", "looked at, one by one"),
                    ("mails sent", f"{sent:,}", f"{held:,} wait"),
                ]
            ),
            _quality(model),
            _at_risk(became.at_risk),
            _offers(became),
            _messages(became.messages),
        ],
    )


def _quality(model: model_pb2.Model) -> Html:
    rows = [
        [
            text(each.name.replace("_", " ")),
            number(each.value),
            number(each.reference) if each.HasField("reference") else text("-"),
        ]
        for each in model.metrics
    ]
    gates = checks((gate.passed, f"{gate.name}: {gate.value:.3f}, bound {gate.bound:.3f}") for gate in model.gates)
    until = model.trained_until.ToDatetime(tzinfo=UTC)
    return part(
        "quality",
        "How good the model is, on times it has not seen",
        paragraph(
            f"{model.model_id} learned from {model.trained_rows:,} looks back at customers, up to {until:%Y-%m-%d}."
            " Each figure is of the last stretch of time, of which nothing was learned; beside it what a simpler model"
            " reaches."
        ),
        table(["figure", "value", "held against"], rows, numbers=(1, 2)),
        gates,
    )


def _at_risk(at_risk: Sequence[churn_pb2.RankedProfile]) -> Html:
    reasons = Counter(each.reason.replace("_", " ") or "none in particular" for each in at_risk)
    rows = [
        [
            text(f"{each.profile_id[:8]}…"),
            text(f"{each.churn.probability:.0%}"),
            text(_amount(each.value.mean) if each.HasField("value") else "-"),
            text(each.segment.replace("_", " ")),
            text(each.reason.replace("_", " ")),
        ]
        for each in at_risk[:_SHOWN]
    ]
    drawn = shares(
        [(reason, count, f"{count:,}") for reason, count in reasons.most_common()], title="Strongest reasons"
    )
    return part(
        "risk",
        "Who is at risk, and why",
        figure(drawn, "The strongest reason of each customer at risk."),
        table(["customer", "chance of leaving", "expected value", "segment", "strongest reason"], rows),
    )


def _offers(became: Outcome) -> Html:
    rows = [[number(count, 0), text(what)] for what, count in became.offers.most_common()]
    prices = [_price(each) for each in became.quotes]
    return part(
        "offers",
        "What was offered, and why that price",
        table(["customers at risk", "offer"], rows, numbers=(0,)),
        table(["customer", "everybody pays", "this one pays", "because of"], prices) if prices else text(""),
    )


def _price(priced: Priced) -> list[Html]:
    quote = priced.quote
    because = [
        f"{_amount(each.amount)}{f', held by {each.held_by_rule}' if each.held_by_rule else ''}"
        for line in quote.lines
        for each in line.components
        if each.kind == quote_pb2.COMPONENT_KIND_PERSONAL
    ]
    return [
        text(f"{quote.profile_id[:8]}…"),
        text(_amount(priced.published)),
        text(_amount(quote.all_in)),
        text("; ".join(because) or "the published price"),
    ]


def _messages(messages: Counter[tuple[str, str]]) -> Html:
    rows = [[number(count, 0), text(state), text(reason)] for (state, reason), count in messages.most_common()]
    return part("mails", "What was sent, held and dropped, and why", table(["mails", "", "why"], rows, numbers=(0,)))


def _amount(money: money_pb2.Money) -> str:
    minus = "-" if money.units < 0 or money.nanos < 0 else ""
    return f"{minus}{abs(money.units):,}.{abs(money.nanos) // 10_000_000:02} {money.currency_code}"
