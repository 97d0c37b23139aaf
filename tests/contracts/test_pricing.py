"""Requests of pricing as callers send them, and what its contract may not hold."""

from __future__ import annotations

from typing import Any

import pytest
from contract_words import faults, methods, parsed
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from rapport.common.v1 import access_pb2
from rapport.pricing.v1 import authored_pb2, catalog_pb2, experiments_pb2, pricing_pb2, product_pb2, quote_pb2

FILES = (pricing_pb2.DESCRIPTOR, catalog_pb2.DESCRIPTOR, experiments_pb2.DESCRIPTOR)
REQUEST_ID = "3f0c1a52-6f3e-4a33-9d42-0a8f6f1a1b01"
PRODUCT = "prd_00000001"
AT = "2026-01-02T03:04:05Z"
LATER = "2026-02-02T03:04:05Z"
EURO = {"currency_code": "EUR", "units": "5", "nanos": 990000000}
LISTING = {"market": "DE", "unit_cost": EURO, "tax_ppm": 190000}
SOLD = {"product_id": PRODUCT, "category": "shoes.running", "listings": [LISTING]}
WISH = {"request_id": REQUEST_ID, "product_id": PRODUCT, "market": "DE", "price": EURO}
BASKET_LINES = [{"product_id": PRODUCT, "quantity": 1}]
BASKET = {"market": "DE", "lines": BASKET_LINES}
PUBLIC = {"percent_ppm": 100000, "audience": "PROMOTION_AUDIENCE_PUBLIC", "valid_from": AT, "valid_until": LATER}
RULE = {"rule_id": "cost.margin", "tier": "RULE_TIER_COST", "side": "RULE_SIDE_FLOOR", "of": "RULE_QUANTITY_COST"}
OUTCOME = {
    "outcome_id": "o1",
    "exposure_id": "e1",
    "product_id": PRODUCT,
    "market": "DE",
    "price_version": "3",
    "kind": "OUTCOME_KIND_BOUGHT",
    "occurred_at": AT,
}
OFFER = {"request_id": REQUEST_ID, "profile_id": "prf_00000001", "promotion_id": "winback"}
# The design's table.
METHODS = {
    "PricingService": (
        "GetQuote BatchGetQuotes RedeemQuote ReportOutcome ExplainQuote RequestReview CreateOffer ListOffers"
    ),
    "CatalogService": "UpsertProduct SetPricePolicy UpdateInventory GetPriceHistory",
    "ExperimentService": "CreateExperiment StopExperiment GetExperimentReport GetFairnessReport",
}
FOR_HUMANS = {"ActivateVersion", "RetireVersion", "DecideReview", "SteerPrice", "StopExperiment"}


def test_every_method_of_the_design_is_there() -> None:
    stated = {(one.containing_service.name, one.name) for one in methods(FILES)}
    assert {(service, name) for service, listed in METHODS.items() for name in listed.split()} <= stated


def test_what_puts_rules_of_prices_in_force_or_answers_a_person_needs_a_human() -> None:
    human = {one.name for one in methods(FILES) if one.GetOptions().Extensions[access_pb2.access].human}
    assert human == FOR_HUMANS


def test_quotes_are_asked_for_under_the_same_permission_one_by_one_or_many_at_once() -> None:
    permissions = {one.name: one.GetOptions().Extensions[access_pb2.access].permission for one in methods(FILES)}
    assert permissions["GetQuote"] == permissions["BatchGetQuotes"]
    assert permissions["GetQuote"] != permissions["RedeemQuote"]


def test_no_amount_is_a_floating_point_number() -> None:
    for module in (pricing_pb2, catalog_pb2, product_pb2, quote_pb2, authored_pb2):
        for message in module.DESCRIPTOR.message_types_by_name.values():
            for field in message.fields:
                assert field.type not in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT), field.full_name


def test_a_basket_cannot_name_who_somebody_is() -> None:
    """Banned inputs of prices are kept out by the schema: there is no field to put them in."""
    fields = {field.name for field in pricing_pb2.GetQuoteRequest.DESCRIPTOR.fields}
    assert fields == {"profile_id", "market", "brand_id", "channel", "lines", "codes", "loyalty", "at_least"}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (catalog_pb2.UpsertProductRequest, {"request_id": REQUEST_ID, "product": SOLD}),
        (catalog_pb2.ImportProductsRequest, {"batch": "4", "products": [SOLD]}),
        (catalog_pb2.PublishPriceRequest, WISH),
        (catalog_pb2.PublishPriceRequest, WISH | {"expected_version": "0", "exactly": True}),
        (
            catalog_pb2.UpdateInventoryRequest,
            {"request_id": REQUEST_ID, "product_id": PRODUCT, "market": "US-NY", "quantity": "3", "occurred_at": AT},
        ),
        (catalog_pb2.GetPriceHistoryRequest, {"product_id": PRODUCT, "market": "DE"}),
        (catalog_pb2.SetMarketRequest, {"request_id": REQUEST_ID, "market": "DE", "terms": {"currency": "EUR"}}),
        (
            catalog_pb2.SetPricePolicyRequest,
            {"request_id": REQUEST_ID, "policy_id": "margins", "terms": {"rules": [RULE]}},
        ),
        (catalog_pb2.SetPromotionRequest, {"request_id": REQUEST_ID, "promotion_id": "autumn", "terms": PUBLIC}),
        (pricing_pb2.GetQuoteRequest, BASKET),
        (pricing_pb2.GetQuoteRequest, BASKET | {"profile_id": "prf_00000001", "codes": ["TEN"], "loyalty": "gold"}),
        (pricing_pb2.BatchGetQuotesRequest, {"requests": [BASKET] * 200}),
        (
            pricing_pb2.RedeemQuoteRequest,
            {"request_id": REQUEST_ID, "quote": {"document": "W10=", "kid": "k"}, "order_id": "4711"},
        ),
        (pricing_pb2.ReportOutcomeRequest, {"request_id": REQUEST_ID, "outcomes": [OUTCOME]}),
        (pricing_pb2.CreateOfferRequest, OFFER),
        (pricing_pb2.ListOffersRequest, {"profile_id": "prf_00000001"}),
    ],
)
def test_a_good_request_passes(kind: type[Message], given: dict[str, Any]) -> None:
    assert faults(parsed(kind, given)) == set()


@pytest.mark.parametrize(
    ("kind", "given", "fault"),
    [
        (catalog_pb2.UpsertProductRequest, {"request_id": REQUEST_ID}, "product"),
        (
            catalog_pb2.UpsertProductRequest,
            {"request_id": REQUEST_ID, "product": SOLD | {"listings": [LISTING, LISTING]}},
            "product.listings",
        ),
        (catalog_pb2.ImportProductsRequest, {"products": [SOLD, SOLD]}, "products"),
        (catalog_pb2.PublishPriceRequest, WISH | {"price": EURO | {"units": "-5", "nanos": 0}}, "price"),
        (catalog_pb2.PublishPriceRequest, WISH | {"price": EURO | {"nanos": -1}}, "price"),
        (catalog_pb2.PublishPriceRequest, WISH | {"market": "Germany"}, "market"),
        (
            catalog_pb2.SetPricePolicyRequest,
            {"request_id": REQUEST_ID, "policy_id": "p", "terms": {"rules": [RULE | {"tier": "RULE_TIER_LAW"}]}},
            "terms.rules.tier",
        ),
        (
            catalog_pb2.RetireVersionRequest,
            {"request_id": REQUEST_ID, "kind": "TERMS_KIND_MARKET", "name": "DE", "reason": "closed"},
            "kind",
        ),
        (authored_pb2.PromotionTerms, PUBLIC | {"code": "TEN"}, "promotion.audience"),
        (authored_pb2.PromotionTerms, PUBLIC | {"valid_until": AT}, "promotion.time"),
        (authored_pb2.PromotionTerms, PUBLIC | {"caps": {"budget_minor": "500"}}, "promotion.amount"),
        (authored_pb2.PromotionTerms, PUBLIC | {"percent_ppm": 1000001}, "percent_ppm"),
        (pricing_pb2.GetQuoteRequest, BASKET | {"lines": []}, "lines"),
        (pricing_pb2.GetQuoteRequest, BASKET | {"lines": BASKET_LINES * 101}, "lines"),
        (pricing_pb2.GetQuoteRequest, BASKET | {"profile_id": "someone@example.org"}, "profile_id"),
        (pricing_pb2.GetQuoteRequest, BASKET | {"lines": [{"product_id": PRODUCT}]}, "lines.quantity"),
        (pricing_pb2.BatchGetQuotesRequest, {"requests": [BASKET] * 201}, "requests"),
        (pricing_pb2.RedeemQuoteRequest, {"request_id": REQUEST_ID, "order_id": "4711"}, "quote"),
        (pricing_pb2.ReportOutcomeRequest, {"request_id": REQUEST_ID, "outcomes": []}, "outcomes"),
        (
            pricing_pb2.ReportOutcomeRequest,
            {"request_id": REQUEST_ID, "outcomes": [OUTCOME | {"kind": 9}]},
            "outcomes.kind",
        ),
        (pricing_pb2.CreateOfferRequest, OFFER | {"profile_id": ""}, "profile_id"),
    ],
)
def test_a_malformed_request_is_refused_by_field(kind: type[Message], given: dict[str, Any], fault: str) -> None:
    assert faults(parsed(kind, given)) == {fault}
