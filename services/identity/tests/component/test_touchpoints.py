"""Touchpoints and declarations over the wire, with a gate that follows a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from google.rpc import error_details_pb2
from identity_desk import Desk, IdentityInstallation, identifier, request_id
from identity_ledger import LedgerService
from rapport.identity.v1 import (
    events_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    record_pb2,
    registry_pb2,
    registry_pb2_grpc,
    touchpoint_pb2,
)
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

ACCOUNT, COOKIE = events_pb2.IDENTIFIER_KIND_ACCOUNT, events_pb2.IDENTIFIER_KIND_COOKIE
ANALYTICS, DELIVERY, LINKING = "analytics.visits", "order.delivery", "profile.linking"
RECORDED = ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED
IN_PART = ingest_pb2.TOUCHPOINT_OUTCOME_RECORDED_IN_PART
REFUSED = ingest_pb2.TOUCHPOINT_OUTCOME_REFUSED


@dataclass(frozen=True)
class Till:
    """Where touchpoints are sent from, and where it is declared what may be sent."""

    touchpoints: ingest_pb2_grpc.TouchpointServiceAsyncStub
    registry: registry_pb2_grpc.RegistryServiceAsyncStub
    ledger: LedgerService

    async def take(self, made: ingest_pb2.RawTouchpoint, named: str = "") -> ingest_pb2.IngestedTouchpoint:
        """Send one touchpoint."""
        return await self.touchpoints.IngestTouchpoint(
            ingest_pb2.IngestTouchpointRequest(request_id=named or request_id(), touchpoint=made)
        )

    async def load(self, *batches: list[ingest_pb2.RawTouchpoint]) -> list[ingest_pb2.IngestTouchpointsResponse]:
        """Send batches."""

        async def messages() -> AsyncIterator[ingest_pb2.IngestTouchpointsRequest]:
            for at, batch in enumerate(batches):
                yield ingest_pb2.IngestTouchpointsRequest(batch=at, touchpoints=batch)

        return [answer async for answer in self.touchpoints.IngestTouchpoints(messages())]

    async def until(self, outcome: int, *who: record_pb2.Identifier) -> None:
        """Wait until the gate of the service knows what a person decided: a visit has this outcome."""

        async def so() -> bool:
            return (await self.take(visit(*who))).outcome == outcome

        await eventually(so, timeout_s=20)


@pytest.fixture
async def till(installation: IdentityInstallation, desk: Desk) -> Till:
    return Till(desk.touchpoints, desk.registry, installation.ledger)


def who(kind: events_pb2.IdentifierKind.ValueType = ACCOUNT, name: str = "") -> record_pb2.Identifier:
    """An identifier that nobody had before."""
    return identifier(kind, name or uuid4().hex, "shop")


def visit(*identifiers: record_pb2.Identifier, event: str = "") -> ingest_pb2.RawTouchpoint:
    """Somebody looks at something."""
    made = _raw(event, identifiers, [ANALYTICS])
    made.touchpoint.viewed.SetInParent()
    return made


def order(*identifiers: record_pb2.Identifier, event: str = "") -> ingest_pb2.RawTouchpoint:
    """Somebody buys something, for the contract and for analytics."""
    made = _raw(event, identifiers, [DELIVERY, ANALYTICS])
    placed = made.touchpoint.order_placed
    placed.order_id = "ord_0123456789"
    placed.lines.add(quantity=1).item.product_id = "prd_0123456789"
    placed.total.currency_code, placed.total.units = "EUR", 20
    return made


def _raw(
    event: str, identifiers: tuple[record_pb2.Identifier, ...], purpose_ids: list[str]
) -> ingest_pb2.RawTouchpoint:
    made = ingest_pb2.RawTouchpoint(
        source="webshop",
        source_event_id=event or uuid4().hex,
        identifiers=identifiers,
        touchpoint=touchpoint_pb2.Touchpoint(
            channel=touchpoint_pb2.CHANNEL_WEB, session_id="ses_0123456789", purpose_ids=purpose_ids
        ),
    )
    made.touchpoint.occurred_at.FromDatetime(datetime(2026, 3, 1, tzinfo=UTC))
    return made


async def told(installation: IdentityInstallation, *fact_ids: str) -> list[events_pb2.TouchpointRecorded]:
    """Return what was published of facts, once all of them were."""
    found: list[events_pb2.TouchpointRecorded] = []

    async def all_there() -> bool:
        found[:] = [
            each
            for message in await installation.broker().stored("RAPPORT_IDENTITY")
            if ".touchpoint_recorded." in message.subject
            and (each := events_pb2.TouchpointRecorded.FromString(message.data)).fact.fact_id in fact_ids
        ]
        return {each.fact.fact_id for each in found} == set(fact_ids)

    await eventually(all_there, timeout_s=20)
    return found


async def test_who_refuses_analytics_leaves_only_contract_events(till: Till) -> None:
    cookie, account = who(COOKIE), who()
    assert (await till.take(visit(cookie))).outcome == REFUSED
    bought = await till.take(order(account, cookie))
    assert (bought.outcome, bought.unlinked) == (IN_PART, True)
    assert [each.purpose_id for each in bought.refused_purposes] == [ANALYTICS]
    till.ledger.grant(bought.profile_id, ANALYTICS)
    await till.until(RECORDED, account)
    till.ledger.refuse(bought.profile_id, ANALYTICS)
    await till.until(REFUSED, account)
    again = await till.take(order(account))
    assert (again.outcome, again.profile_id) == (IN_PART, bought.profile_id)
    assert (await till.take(visit(cookie))).outcome == REFUSED


async def test_repeat_is_answered_by_request_and_by_event(till: Till) -> None:
    made, named = order(who()), request_id()
    first = await till.take(made, named)
    assert await till.take(made, named) == first
    again = await till.take(made)
    assert (again.known, again.fact_id, again.profile_id) == (True, first.fact_id, first.profile_id)
    with refused("REQUEST_ID_REUSED", "request_id"):
        await till.take(order(who()), named)


async def test_fact_is_published_without_what_identifies(till: Till, installation: IdentityInstallation) -> None:
    account = who(name="quin-mara-1981")
    taken = await till.take(order(account))
    (event,) = await told(installation, taken.fact_id)
    assert event.fact.profile_id == taken.profile_id
    assert list(event.touchpoint.purpose_ids) == [DELIVERY]
    assert event.touchpoint.session_id == ""
    assert b"quin" not in event.SerializeToString()


async def test_undeclared_is_refused_by_its_path_in_the_request(till: Till) -> None:
    made = order(who())
    made.touchpoint.attributes.add(key="remark", data_category="behaviour", code="hello")
    with refused("UNDECLARED", "touchpoint.touchpoint.attributes[0].key"):
        await till.take(made)
    with refused("NAMES_NOBODY", "touchpoint.identifiers"):
        await till.take(order(identifier(events_pb2.IDENTIFIER_KIND_EMAIL, "nobody")))


async def test_each_of_a_batch_is_judged_by_itself(till: Till) -> None:
    account = who()
    malformed, undeclared = order(account), order(account)
    malformed.touchpoint.purpose_ids.append(DELIVERY)
    undeclared.source = "elsewhere"
    twice = order(account, event="twice " + uuid4().hex)
    first, second = await till.load([twice, malformed, visit(account), undeclared], [order(account), twice])
    codes = [[each.status.code for each in answer.results] for answer in (first, second)]
    assert (first.batch, second.batch, codes) == (0, 1, [[0, 3, 0, 3], [0, 0]])
    outcomes = [each.ingested.outcome for each in first.results]
    assert (outcomes[0], outcomes[2]) == (IN_PART, REFUSED)
    assert second.results[1].ingested.known
    assert second.results[1].ingested.fact_id == first.results[0].ingested.fact_id
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in first.results[3].status.details)
    assert [each.field for each in bad.field_violations] == ["touchpoints[3].source"]


async def test_new_people_who_come_many_times_at_once_are_one_profile_each(till: Till) -> None:
    people = [who() for _ in range(8)]
    taken = await asyncio.gather(*(till.take(order(person)) for _ in range(6) for person in people))
    profiles = [{each.profile_id for each in taken[at :: len(people)]} for at in range(len(people))]
    assert [len(each) for each in profiles] == [1] * len(people)
    assert len(set.union(*profiles)) == len(people)


async def test_declaration_takes_effect_when_it_is_activated_and_ends_when_it_is_retired(till: Till) -> None:
    name = f"mood_{uuid4().hex[:8]}"
    made = order(who())
    made.touchpoint.attributes.add(key=name, data_category="behaviour", code="calm")
    terms = registry_pb2.DeclarationTerms(
        attribute=registry_pb2.AttributeTerms(
            type=registry_pb2.ATTRIBUTE_TYPE_CODE, data_category="behaviour", codes=["calm", "angry"]
        )
    )
    drafted = await till.registry.UpsertDeclaration(
        registry_pb2.UpsertDeclarationRequest(request_id=request_id(), name=name, terms=terms)
    )
    assert (drafted.version, drafted.state, drafted.terms) == (1, registry_pb2.VERSION_STATE_DRAFT, _sorted(terms))
    with refused("UNDECLARED"):
        await till.take(made)
    kind = registry_pb2.DECLARATION_KIND_ATTRIBUTE
    active = await till.registry.ActivateDeclaration(
        registry_pb2.ActivateDeclarationRequest(
            request_id=request_id(), kind=kind, name=name, version=1, reason="launch"
        )
    )
    assert (active.state, active.decided_by, active.reason) == (
        registry_pb2.VERSION_STATE_ACTIVE,
        "officer-1",
        "launch",
    )
    assert (await till.take(made)).fact_id
    await till.registry.RetireDeclaration(
        registry_pb2.RetireDeclarationRequest(request_id=request_id(), kind=kind, name=name, reason="over")
    )
    other = order(who())
    other.touchpoint.attributes.extend(made.touchpoint.attributes)
    with refused("UNDECLARED", "touchpoint.touchpoint.attributes[0].key"):
        await till.take(other)


async def test_terms_that_contradict_themselves_are_refused(till: Till) -> None:
    terms = registry_pb2.DeclarationTerms()
    terms.touchpoint_type.purpose_ids.append(ANALYTICS)
    terms.touchpoint_type.bare_purpose_ids.append(DELIVERY)
    with refused("TERMS_INVALID", "terms.touchpoint_type.bare_purpose_ids"):
        await till.registry.UpsertDeclaration(
            registry_pb2.UpsertDeclarationRequest(request_id=request_id(), name="viewed", terms=terms)
        )


async def test_every_type_of_the_vocabulary_is_declared_to_begin_with(till: Till) -> None:
    found: list[registry_pb2.Declaration] = []
    token = ""
    while True:
        page = await till.registry.ListDeclarations(
            registry_pb2.ListDeclarationsRequest(page_size=7, page_token=token, state=registry_pb2.VERSION_STATE_ACTIVE)
        )
        found += page.declarations
        token = page.next_page_token
        if not token:
            break
    types = {each.name for each in found if each.terms.HasField("touchpoint_type")}
    vocabulary = touchpoint_pb2.Touchpoint.DESCRIPTOR.oneofs_by_name["type"].fields
    assert types == {field.name for field in vocabulary}
    assert {"webshop", "crm"} <= {each.name for each in found if each.terms.HasField("source")}
    assert len({(each.terms.WhichOneof("terms"), each.name, each.version) for each in found}) == len(found)


def _sorted(terms: registry_pb2.DeclarationTerms) -> registry_pb2.DeclarationTerms:
    terms.attribute.codes.sort()
    return terms
