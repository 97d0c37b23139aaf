"""What triggers can know of the events of other contexts."""

from datetime import UTC, datetime

import pytest
from google.type import money_pb2
from rapport.churn.v1 import events_pb2 as churn
from rapport.consent.v1 import events_pb2 as consent
from rapport.identity.v1 import events_pb2 as identity
from rapport.pricing.v1 import events_pb2 as pricing
from rapport_chassis.times import stamp
from rapport_notification.domain.occurrences import Occurred, Product
from rapport_notification.domain.triggers import Trigger, respond
from rapport_notification.domain.vocabulary import DAY_US, SECOND_US
from rapport_notification.reference import load_json
from rapport_notification.translate.occurrences import CLASSES, CONTEXTS, occurred_of

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
AT_US = int(AT.timestamp()) * SECOND_US
WHO = "prf_00000000000000000000a1"
SHIPPED = {each["trigger_id"]: Trigger.parse(each) for each in load_json("triggers.json")["triggers"]}


def euros(units: int, cents: int = 0) -> money_pb2.Money:
    return money_pb2.Money(currency_code="EUR", units=units, nanos=cents * 10_000_000)


def offer(**changes: object) -> pricing.OfferCreated:
    made = pricing.Offer(
        offer_id="ofr_00000001",
        profile_id=WHO,
        state=pricing.OFFER_STATE_OPEN,
        treatment=pricing.TREATMENT_TREATED,
        promotion_id="winback",
        decision_id="dec_00000001",
        cause_event_id="evt_00000001",
        basis_points=1250,
        brand_id="north",
        valid_until=stamp(datetime(2026, 11, 16, 9, tzinfo=UTC)),
    )
    made.MergeFrom(pricing.Offer(**changes))  # type: ignore[arg-type]
    return pricing.OfferCreated(offer=made, occurred_at=stamp(AT))


def test_an_offer_says_what_it_takes_off_until_when_and_which_decision_made_it() -> None:
    found = occurred_of("evt_1", offer())
    assert found.fields["percent"] == "12.5"
    assert found.fields["valid_until"] == "2026-11-16"
    assert (found.profile_id, found.brand_id, found.decision_ids) == (WHO, "north", ("dec_00000001",))
    assert found.cause_key == "ofr_00000001"
    assert found.expires_us == AT_US + 14 * DAY_US


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"treatment": pricing.TREATMENT_HELD_OUT}, "treatment is"),
        ({"state": pricing.OFFER_STATE_WITHDRAWN}, "state is"),
        ({"valid_until": stamp(AT)}, "over before it is due"),
    ],
)
def test_only_an_open_offer_that_is_made_is_told_of(changes: dict[str, object], reason: str) -> None:
    found = respond(SHIPPED["retention_offer"], occurred_of("evt_1", offer(**changes)))
    assert (found if isinstance(found, str) else "") == reason


def test_a_price_says_by_how_much_it_changed_and_claims_a_reduction_only_by_the_legal_measure() -> None:
    message = pricing.PriceChanged(
        product_id="prd_00000001",
        market="DE",
        version=4,
        gross=euros(90),
        previous_gross=euros(100),
        cause=pricing.PRICE_CAUSE_PROMOTION,
        occurred_at=stamp(AT),
    )
    found = occurred_of("evt_1", message)
    assert found.product == Product("prd_00000001", "", "DE")
    assert (found.fields["price"], found.fields["change_percent"]) == ("90 EUR", "-10.00")
    assert "reduction_percent" not in found.fields
    assert not isinstance(respond(SHIPPED["price_drop"], found), str)
    message.previous_gross.currency_code = "USD"
    assert "change_percent" not in occurred_of("evt_1", message).fields


def test_a_touchpoint_serves_only_what_it_was_collected_for() -> None:
    message = identity.TouchpointRecorded()
    message.fact.fact_id, message.fact.profile_id = "fct_1", WHO
    touchpoint = message.touchpoint
    touchpoint.occurred_at.CopyFrom(stamp(AT))
    touchpoint.purpose_ids.append("analytics.visits")
    touchpoint.order_placed.order_id = "ord_00000001"
    touchpoint.order_placed.total.CopyFrom(euros(12, 50))
    found = occurred_of("evt_1", message)
    assert (found.cause_key, found.fields["order_id"], found.fields["total"]) == ("fct_1", "ord_00000001", "12.5 EUR")
    assert respond(SHIPPED["thanks"], found) == "collected for other purposes"
    touchpoint.purpose_ids.append(SHIPPED["thanks"].purpose_id)
    assert not isinstance(respond(SHIPPED["thanks"], occurred_of("evt_1", message)), str)


def test_an_enum_value_that_is_not_known_says_nothing() -> None:
    message = churn.RiskRaised(profile_id=WHO, version=2, decision_id="dec_00000001", occurred_at=stamp(AT))
    message.ParseFromString(message.SerializeToString() + b"\x18\x63")  # level 99
    assert "level" not in occurred_of("evt_1", message).fields


def test_a_request_that_was_closed_is_about_itself_and_names_no_profile() -> None:
    message = consent.PrivacyRequestClosed(request_id="req_00000001", outcome="COMPLETED", closed_at=stamp(AT))
    found = occurred_of("evt_1", message)
    assert (found.request_id, found.profile_id) == ("req_00000001", "")
    planned = respond(SHIPPED["privacy_request_update"], found)
    assert not isinstance(planned, str)
    assert planned.values == {"request_id": "req_00000001", "outcome": "COMPLETED"}


def test_every_event_a_shipped_trigger_names_can_be_waited_for() -> None:
    named = {each.event for each in SHIPPED.values()}
    named |= {event for each in SHIPPED.values() for event, _ in each.cancelled_by}
    assert named <= set(CLASSES) == set(CONTEXTS)
    for event, message_class in CLASSES.items():
        found = occurred_of("evt_1", message_class())
        assert isinstance(found, Occurred)
        assert found.event == event
