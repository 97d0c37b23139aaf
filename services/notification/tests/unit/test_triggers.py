import json
from dataclasses import replace

import pytest
from rapport_notification.domain.holds import CounterEvent
from rapport_notification.domain.occurrences import Occurred
from rapport_notification.domain.simulating import Past, Simulation, simulate
from rapport_notification.domain.triggers import Audience, Comparison, Condition, Planned, Trigger, plan
from rapport_notification.domain.vocabulary import DAY_US, HOUR_US, SECOND_US, MessageClass
from rapport_notification.reference import load_json

DROP = Trigger(
    trigger_id="price_drop",
    version=3,
    event="price_changed",
    audience=Audience.WATCHERS,
    conditions=(Condition("change_percent", Comparison.BELOW, "-4.99"),),
    message_class=MessageClass.MARKETING,
    category="watched_products",
    purpose_id="direct_marketing.email",
    template_id="price_drop",
    variables={"product": "product_id"},
    delay_s=3600,
    expires_s=86400,
    supersede_key="price:{product_id}",
    cancelled_by=(("stock_changed", {"product_id": "product_id"}),),
)
FIELDS = {"product_id": "prd_1", "change_percent": "-10"}


def test_an_event_that_fits_asks_for_a_message_with_everything_filled_in() -> None:
    assert plan(DROP, "price_changed", FIELDS, 1000) == Planned(
        "price_drop",
        3,
        {"product": "prd_1"},
        1000,
        1000 + HOUR_US,
        1000 + HOUR_US + DAY_US,
        "price:prd_1",
        (CounterEvent("stock_changed", frozenset({("product_id", "prd_1")})),),
    )


@pytest.mark.parametrize(
    ("event", "fields", "reason"),
    [
        ("stock_changed", FIELDS, "another event"),
        ("price_changed", FIELDS | {"change_percent": "-4.99"}, "change_percent below"),
        ("price_changed", FIELDS | {"change_percent": "much"}, "change_percent below"),
        ("price_changed", FIELDS | {"change_percent": "NaN"}, "change_percent below"),
        ("price_changed", {"change_percent": "-10"}, "product_id absent"),
    ],
)
def test_an_event_that_does_not_fit_says_why(event: str, fields: dict[str, str], reason: str) -> None:
    assert plan(DROP, event, fields, 0) == reason


@pytest.mark.parametrize(
    ("test", "value", "found", "holds"),
    [
        (Comparison.IS, "a", "a", True),
        (Comparison.IS, "a", None, False),
        (Comparison.IS_NOT, "a", None, True),
        (Comparison.IS_NOT, "a", "a", False),
        (Comparison.PRESENT, "", "", False),
        (Comparison.PRESENT, "", "x", True),
        (Comparison.AT_LEAST, "3", "3.0", True),
        (Comparison.AT_LEAST, "3", "2.99", False),
        (Comparison.AT_LEAST, "3", None, False),
    ],
)
def test_conditions_compare(test: Comparison, value: str, found: str | None, holds: bool) -> None:
    assert Condition("a", test, value).holds({} if found is None else {"a": found}) is holds


def test_a_simulation_counts_what_would_have_gone_and_what_would_not() -> None:
    def at(hours: float, change: str = "-10", product: str = "prd_1", event: str = "price_changed") -> Past:
        fields = {"product_id": product, "change_percent": change}
        return Past(Occurred(event, "", "", fields, int(hours * HOUR_US)), ("prf_a", "prf_b"))

    history = [
        at(1),
        at(1.5),  # supersedes the first before it is due
        at(5, "3"),
        at(8, product="prd_2"),
        at(8.5, product="prd_2", event="stock_changed"),
        at(20, product="prd_3"),
        at(21, product="prd_4"),
    ]
    found = simulate(replace(DROP, once_per_s=7200), history)
    assert found == Simulation(10, 4, 2, 2, 2, {"change_percent below": 1}, 2, 4)


def test_what_ships_reads_and_speaks_to_a_person_only_with_a_purpose() -> None:
    shipped = [Trigger.parse(each) for each in load_json("triggers.json")["triggers"]]
    assert {each.trigger_id for each in shipped} == {
        "welcome",
        "retention_offer",
        "price_drop",
        "back_in_stock",
        "thanks",
        "birthday",
        "privacy_request_update",
    }
    for each in shipped:
        assert each.purpose_id or each.audience is Audience.REQUEST
        assert (each.message_class is MessageClass.LEGAL) is (each.audience is Audience.REQUEST)


@pytest.mark.parametrize(
    "change",
    [
        {"audience": "everybody"},
        {"class": "x"},
        {"delay_s": -1},
        {"expires_s": 0},
        {"purpose_id": ""},
        {"variables": None},
    ],
)
def test_what_is_no_trigger_is_refused(change: dict[str, object]) -> None:
    data = next(each for each in load_json("triggers.json")["triggers"] if each["trigger_id"] == "price_drop")
    with pytest.raises((ValueError, KeyError)):
        Trigger.parse(json.loads(json.dumps(data | change)))
    assert Trigger.parse(data).delay_s * SECOND_US == 300 * SECOND_US
