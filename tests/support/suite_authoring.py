"""What people of the company author before there is anything to do: purposes, an offer, a trigger, a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from churn_model import artefact
from rapport.churn.v1 import events_pb2 as churn_events_pb2
from rapport.churn.v1 import model_pb2, model_pb2_grpc
from rapport.consent.v1 import purpose_pb2, purpose_pb2_grpc
from rapport.notification.v1 import template_pb2, template_pb2_grpc, trigger_pb2, trigger_pb2_grpc
from rapport.pricing.v1 import authored_pb2, catalog_pb2, catalog_pb2_grpc, product_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.ids import new_id
from rapport_chassis.times import stamp
from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.app.models import Stored
from rapport_local.databases import database_settings
from rapport_local.services import service_named
from suite import Suite
from suite_shop import Shop, request_id, until

NORTH: Final = "north"
MARKET: Final = "GB"
CURRENCY: Final = "GBP"
PRODUCT: Final = "prd_0000boots0"
EMAIL: Final = "suite.email"
DELIVERY: Final = "order.delivery"
SERVICE: Final = "customer.service"
ANALYTICS: Final = "analytics.visits"
PROFILING: Final = "profiling.churn"
PERSONAL_PRICES: Final = "pricing.personal"
LINKING: Final = "profile.linking"
REQUESTS: Final = "privacy.requests"
OFFER: Final = "retention_offer"
NOTICE: Final = "welcome"
_CONSENT: Final = purpose_pb2.LEGAL_BASIS_CONSENT
_BASES: Final = {
    DELIVERY: purpose_pb2.LEGAL_BASIS_CONTRACT,
    SERVICE: purpose_pb2.LEGAL_BASIS_CONTRACT,
    REQUESTS: purpose_pb2.LEGAL_BASIS_LEGAL_OBLIGATION,
    EMAIL: _CONSENT,
    ANALYTICS: _CONSENT,
    PROFILING: _CONSENT,
    PERSONAL_PRICES: _CONSENT,
    LINKING: _CONSENT,
}
PURPOSES: Final = tuple(_BASES)
_WINBACK: Final = "winback"

SETTINGS: Final = {
    "churn": {"PROFILING__HOLDOUT_SHARE": "0"},
    "pricing": {"RETENTION__HOLDOUT_SHARE": "0"},
    "notification": {
        "DISPATCH__QUIET_HOURS_FILE": str(Path(__file__).with_name("always_open.json")),
    },
}
"""Nobody is held out by chance, and mails go at any hour, so that each person of a test stands for what is tested."""


async def author(shop: Shop) -> None:
    """Have everything in force that the main job needs."""
    await purposes(shop)
    await offers(shop)
    await mails(shop)
    await model(shop)


async def purposes(shop: Shop) -> None:
    """An officer says what may be wanted, on which basis, and in which words it is asked for."""
    office = shop.stub("consent", purpose_pb2_grpc.PurposeServiceStub, role="officer")
    for purpose_id, basis in _BASES.items():
        terms = purpose_pb2.PurposeTerms(
            bases=[purpose_pb2.BasisRule(basis=basis)],
            brand_scoped=purpose_id == EMAIL,
            direct_marketing=purpose_id == EMAIL,
        )
        draft = await office.UpsertPurpose(
            purpose_pb2.UpsertPurposeRequest(request_id=request_id(), purpose_id=purpose_id, terms=terms)
        )
        await office.ActivatePurpose(
            purpose_pb2.ActivatePurposeRequest(
                request_id=request_id(), purpose_id=purpose_id, version=draft.version, reason="launch"
            )
        )
    await office.PublishNotice(
        purpose_pb2.PublishNoticeRequest(
            request_id=request_id(),
            notice_id=NOTICE,
            locale="en",
            text="May we?",
            purpose_ids=[purpose_id for purpose_id, basis in _BASES.items() if basis == _CONSENT],
            reason="launch",
        )
    )


async def offers(shop: Shop) -> None:
    """A buyer declares a market, a product with its price, and an offer to win people back."""
    buyer = shop.stub("pricing", catalog_pb2_grpc.CatalogServiceStub, role="buyer")

    async def activated(version: authored_pb2.AuthoredVersion) -> None:
        await buyer.ActivateVersion(
            catalog_pb2.ActivateVersionRequest(
                request_id=request_id(), kind=version.kind, name=version.name, version=version.version, reason="launch"
            )
        )

    market = catalog_pb2.SetMarketRequest(
        request_id=request_id(), market=MARKET, terms=authored_pb2.MarketTerms(currency=CURRENCY)
    )
    await activated(await buyer.SetMarket(market))
    listing = product_pb2.Listing(market=MARKET, tax_ppm=200_000)
    listing.unit_cost.currency_code, listing.unit_cost.units = CURRENCY, 50
    await buyer.UpsertProduct(
        catalog_pb2.UpsertProductRequest(
            request_id=request_id(),
            product=product_pb2.Product(product_id=PRODUCT, category="shoes", listings=[listing]),
        )
    )
    now = datetime.now(UTC)
    terms = authored_pb2.PromotionTerms(
        percent_ppm=150_000,
        audience=authored_pb2.PROMOTION_AUDIENCE_INDIVIDUAL,
        scope=authored_pb2.TermsScope(markets=[MARKET]),
        valid_from=stamp(now - timedelta(minutes=1)),
        valid_until=stamp(now + timedelta(days=30)),
    )
    promotion = catalog_pb2.SetPromotionRequest(request_id=request_id(), promotion_id=_WINBACK, terms=terms)
    await activated(await buyer.SetPromotion(promotion))
    price = catalog_pb2.PublishPriceRequest(request_id=request_id(), product_id=PRODUCT, market=MARKET)
    price.price.currency_code, price.price.units = CURRENCY, 89
    await buyer.PublishPrice(price)


async def mails(shop: Shop) -> None:
    """An editor puts the trigger that writes to whom an offer is made in force, with its template."""
    triggers = shop.stub("notification", trigger_pb2_grpc.TriggerServiceStub, role="editor")
    templates = shop.stub("notification", template_pb2_grpc.TemplateServiceStub, role="editor")
    shipped = await until(
        lambda: triggers.ListTriggers(trigger_pb2.ListTriggersRequest(trigger_id=OFFER)),
        lambda found: found.triggers,
        what="triggers are shipped",
    )
    template = await templates.ListTemplates(template_pb2.ListTemplatesRequest(template_id=OFFER))
    await templates.ActivateTemplate(
        template_pb2.ActivateTemplateRequest(
            request_id=request_id(),
            template_id=OFFER,
            version=template.templates[0].status.version,
            reason="launch",
        )
    )
    terms = shipped.triggers[0].terms
    terms.purpose_id, terms.brand_id = EMAIL, NORTH
    drafted = await triggers.UpsertTrigger(
        trigger_pb2.UpsertTriggerRequest(request_id=request_id(), trigger_id=OFFER, terms=terms)
    )
    await triggers.ActivateTrigger(
        trigger_pb2.ActivateTriggerRequest(
            request_id=request_id(), trigger_id=OFFER, version=drafted.status.version, reason="launch"
        )
    )


async def model(shop: Shop) -> None:
    """An analyst lets a model serve that was put together by hand: it goes by the rhythm of purchases."""
    model_id = await _registered(shop.suite)
    models = shop.stub("churn", model_pb2_grpc.ModelServiceStub, role="analyst")
    await models.PromoteModel(
        model_pb2.PromoteModelRequest(
            request_id=request_id(),
            model_id=model_id,
            role=churn_events_pb2.MODEL_ROLE_CHAMPION,
            despite_gates=True,
            reason="tested",
        )
    )


async def _registered(suite: Suite) -> str:
    files = artefact()
    digest = Registry(suite.environment.service_folder("churn") / "models").put(files)
    made = model_pb2.Model(model_id=new_id("model"), artefact_sha256=digest, horizon_days=90)
    made.trained_until.CopyFrom(stamp(datetime.now(UTC) - timedelta(days=10)))
    churn = service_named("churn")
    assert churn is not None
    database = Database(database_settings(suite.environment, churn), service="test")
    await database.open()
    try:
        async with database.transaction() as connection:
            row = await (await connection.execute("SELECT epoch FROM log_head")).fetchone()
            assert row is not None
            stored = Stored(made.model_id, digest, made.SerializeToString(), row[0], 2**40, datetime.now(UTC))
            await DatabaseModels(connection).add(stored)
    finally:
        await database.close()
    return made.model_id
