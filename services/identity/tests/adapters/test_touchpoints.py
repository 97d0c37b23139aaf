"""Touchpoints against real databases and a real gate: what is recorded, told, answered, and what is never left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rapport.common.v1 import event_pb2
from rapport.consent.v1 import ledger_pb2, purpose_pb2
from rapport.identity.v1 import events_pb2, ingest_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.errors import RapportError
from rapport_identity.adapters.declarations import DecidedDeclarations
from rapport_identity.adapters.suppressions import Suppressions
from rapport_identity.adapters.touchpoints import TouchpointFacts
from rapport_identity.adapters.undecided import UndecidedPurposes
from rapport_identity.app import steward
from rapport_identity.app.declarations import Registry
from rapport_identity.app.facts import Outcome
from rapport_identity.app.resolve import ResolveRecords
from rapport_identity.app.touchpoints import IngestTouchpoints
from rapport_identity.app.undecided import DecideLater
from rapport_identity.translate.touchpoints import raw_of, sighting
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.ledger_model import LedgerModel

AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
CONTRACT, CONSENT = purpose_pb2.LEGAL_BASIS_CONTRACT, purpose_pb2.LEGAL_BASIS_CONSENT
PURPOSES = {
    "order.delivery": CONTRACT,
    "customer.service": CONTRACT,
    "analytics.visits": CONSENT,
    "offers.personal": CONSENT,
    "profile.linking": CONSENT,
}
ANALYTICS, DELIVERY, LINKING = "analytics.visits", "order.delivery", "profile.linking"
OFFERS = "offers.personal"
EMAIL, ACCOUNT, COOKIE = (
    events_pb2.IDENTIFIER_KIND_EMAIL,
    events_pb2.IDENTIFIER_KIND_ACCOUNT,
    events_pb2.IDENTIFIER_KIND_COOKIE,
)
REFUSED = ledger_pb2.CONSENT_STATUS_REFUSED


def cookie(value="c0ffee-17-a"):
    return record_pb2.Identifier(kind=COOKIE, namespace="shop", value=value)


def account(value="acc-90217"):
    return record_pb2.Identifier(kind=ACCOUNT, namespace="shop.accounts", value=value)


def email(value="mara.quin@mail.org"):
    return record_pb2.Identifier(kind=EMAIL, value=value)


def raw(event, *identifiers, purposes=(ANALYTICS,), source="webshop", **touchpoint):
    message = ingest_pb2.RawTouchpoint(source=source, source_event_id=event, identifiers=identifiers)
    message.touchpoint.CopyFrom(
        touchpoint_pb2.Touchpoint(
            channel=touchpoint_pb2.CHANNEL_WEB,
            session_id="ses_0123456789",
            journey_stage=touchpoint_pb2.JOURNEY_STAGE_CONSIDERATION,
            purpose_ids=purposes,
        )
    )
    message.touchpoint.occurred_at.FromDatetime(touchpoint.pop("at", AT))
    if "order_placed" not in touchpoint:
        message.touchpoint.viewed.SetInParent()
    message.touchpoint.MergeFrom(touchpoint_pb2.Touchpoint(**touchpoint))
    return message


def order(event, *identifiers, purposes=(DELIVERY, ANALYTICS), **more):
    placed = touchpoint_pb2.OrderPlaced(order_id="ord_0123456789")
    placed.total.currency_code, placed.total.units = "EUR", 20
    return raw(event, *identifiers, purposes=purposes, order_placed=placed, **more)


class Keys:
    """Draws keys straight from the key store."""

    def __init__(self, store):
        self._store = store

    async def take(self, count):
        return await self._store.create(count) if count else []


class Shop:
    """A process that takes touchpoints in, with a gate that follows a ledger of its own."""

    def __init__(self, process, opened, keys):
        self.process, self._opened = process, opened
        self.ledger = LedgerModel()
        for purpose, basis in PURPOSES.items():
            self.ledger.define(purpose, basis, active_from=datetime(2020, 1, 1, tzinfo=UTC))
        self.clock, self._replica, self._freshness = SystemClock(), Replica(), Freshness(bound_s=600.0)
        self.gate = Gate(self._replica, self._freshness, self.clock)
        self.load()
        registry = Registry(DecidedDeclarations())
        self.ingest = IngestTouchpoints(
            process.partition,
            ResolveRecords(process.partition, Keys(keys)),
            registry=registry,
            gate=self.gate,
            erased=Suppressions(keys),
            facts=TouchpointFacts(),
            submit=sighting,
            clock=self.clock,
        )
        self.decide_later = DecideLater(
            process.partition, UndecidedPurposes(), registry=registry, gate=self.gate, clock=self.clock
        )

    def load(self):
        snapshot = SnapshotLoad()
        for message in self.ledger.snapshot():
            snapshot.take(message)
        self._replica.load(snapshot)
        self.follow()

    def follow(self):
        for change in self.ledger.changes[self._replica.position :]:
            self._replica.apply(change)
        now = self.clock.boottime()
        self._freshness.head_read(now, self.ledger.position, self._replica.position, now)

    def go_stale(self):
        self._freshness.lapse()

    def grant(self, profile_id, *purposes):
        for purpose in purposes:
            self.ledger.grant(profile_id, purpose)
        self.follow()

    def refuse(self, profile_id, *purposes):
        for purpose in purposes:
            self.ledger.deny(profile_id, purpose, REFUSED)
        self.follow()

    async def take(self, *messages):
        return await self.ingest([raw_of(message) for message in messages])

    async def rows(self, statement, *values):
        async with self._opened.transaction() as connection:
            return await (await connection.execute(statement, values)).fetchall()

    async def told(self):
        rows = await self.rows("SELECT payload FROM outbox WHERE type LIKE '%%touchpoint_recorded' ORDER BY seq")
        return [events_pb2.TouchpointRecorded.FromString(payload) for (payload,) in rows]

    async def left(self):
        """Rows in every table that tells of persons or of what they did."""
        return {
            table: (await self.rows(f"SELECT count(*) FROM {table}"))[0][0]
            for table in ("records", "identifiers", "profiles", "facts", "moves", "outbox")
        }


@pytest.fixture
async def shop(start, opened, key_store):
    return Shop(await start(), opened, key_store)


NOTHING = {"records": 0, "identifiers": 0, "profiles": 0, "facts": 0, "moves": 0, "outbox": 0}


async def test_what_nobody_permits_leaves_nothing_behind(shop):
    (visit,) = await shop.take(raw("visit 1", cookie()))
    assert (visit.outcome, visit.fact_id, visit.profile_id) == (Outcome.REFUSED, "", "")
    assert [each.purpose_id for each in visit.refusals] == [ANALYTICS]
    assert await shop.left() == NOTHING


async def test_who_refuses_analytics_leaves_only_contract_events_before_and_after_being_recognised(shop):
    guest, visit = await shop.take(order("order 1", cookie()), raw("visit 1", cookie()))
    assert (guest.outcome, visit.outcome) == (Outcome.RECORDED_IN_PART, Outcome.REFUSED)
    shop.refuse(guest.profile_id, ANALYTICS)
    member, _, _ = await shop.take(
        order("order 2", account(), cookie()), raw("visit 2", account(), cookie()), raw("visit 3", cookie())
    )
    shop.refuse(member.profile_id, ANALYTICS)
    later = await shop.take(raw("visit 4", account()), raw("visit 5", cookie()), order("order 3", account(), cookie()))
    assert [each.outcome for each in later] == [Outcome.REFUSED, Outcome.REFUSED, Outcome.RECORDED_IN_PART]
    told = await shop.told()
    assert [each.touchpoint.WhichOneof("type") for each in told] == ["order_placed"] * 3
    for each in told:
        assert list(each.touchpoint.purpose_ids) == [DELIVERY]
        assert (each.touchpoint.session_id, each.touchpoint.journey_stage) == ("", 0)


async def test_device_is_linked_to_a_person_only_if_that_is_permitted(shop):
    (seen,) = await shop.take(order("order 1", cookie()))
    (apart,) = await shop.take(order("order 2", account(), cookie()))
    assert apart.unlinked
    assert apart.profile_id != seen.profile_id
    shop.grant(apart.profile_id, LINKING)
    (linked,) = await shop.take(order("order 3", account(), cookie()))
    assert not linked.unlinked
    later = await shop.take(order("order 4", cookie()), order("order 5", account()))
    assert {each.profile_id for each in later} == {linked.profile_id}
    current = await shop.rows("SELECT DISTINCT profile_id FROM redirects")
    assert current == [(linked.profile_id,)]


async def test_device_that_refused_to_be_linked_stays_apart_whatever_the_person_said(shop):
    (seen,) = await shop.take(order("order 1", cookie()))
    shop.refuse(seen.profile_id, LINKING)
    (member,) = await shop.take(order("order 2", account()))
    shop.grant(member.profile_id, LINKING)
    (again,) = await shop.take(order("order 3", account(), cookie()))
    assert again.unlinked
    assert (await shop.take(order("order 4", cookie())))[0].profile_id == seen.profile_id


async def test_event_sent_again_is_answered_with_the_profile_of_now_and_not_repeated(shop):
    first, same = await shop.take(order("order 1", cookie()), order("order 1", cookie()))
    assert (same.known, same.fact_id) == (True, first.fact_id)
    (member,) = await shop.take(order("order 2", account()))
    shop.grant(member.profile_id, LINKING)
    (linked,) = await shop.take(order("order 3", account(), cookie()))
    (again,) = await shop.take(order("order 1", cookie()))
    assert (again.known, again.fact_id, again.recorded_at) == (True, first.fact_id, first.recorded_at)
    assert again.profile_id == linked.profile_id
    assert len(await shop.told()) == 3


async def test_refusal_by_the_person_is_not_undone_by_sending_the_event_again(shop):
    (guest,) = await shop.take(order("order 1", account()))
    shop.refuse(guest.profile_id, ANALYTICS)
    (refused,) = await shop.take(raw("visit 1", account()))
    shop.grant(guest.profile_id, ANALYTICS)
    (again,) = await shop.take(raw("visit 1", account()))
    assert (refused.outcome, again.outcome, again.known) == (Outcome.REFUSED, Outcome.REFUSED, True)
    assert (await shop.take(raw("visit 2", account())))[0].outcome is Outcome.RECORDED


async def test_gate_that_is_behind_has_behaviour_wait_and_lets_orders_through(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    visit, bought = await shop.take(raw("visit 1", account()), order("order 2", account()))
    assert isinstance(visit, RapportError)
    assert (visit.reason.name, visit.retry_after_s) == ("NOT_READY", 1.0)
    assert bought.outcome is Outcome.RECORDED_IN_PART
    shop.follow()
    (visit,) = await shop.take(raw("visit 1", account()))
    assert (visit.outcome, visit.known) == (Outcome.RECORDED, False)


async def test_order_taken_in_by_a_gate_that_was_behind_is_told_again_for_all_that_is_permitted_once_it_knows(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    gift = touchpoint_pb2.Attribute(key="gift", data_category="purchases", flag=True)
    wanted = order("order 2", account(), purposes=(DELIVERY, ANALYTICS, OFFERS), attributes=[gift])
    (bought,) = await shop.take(wanted)
    assert await shop.decide_later.step()  # still behind
    assert len(await shop.told()) == 2
    shop.follow()
    assert await shop.decide_later.step()
    assert not await shop.decide_later.step()
    _, first, again = await shop.told()
    assert list(first.touchpoint.purpose_ids) == [DELIVERY]
    first.touchpoint.purpose_ids.append(ANALYTICS)
    assert again == first, "the same fact of the same owner, with no more of it"
    ((permits,),) = await shop.rows("SELECT permits FROM facts WHERE fact_id = %s", bought.fact_id)
    assert [each["purpose"] for each in permits] == [DELIVERY, ANALYTICS]
    assert permits[1]["reference"]
    (known,) = await shop.take(wanted)
    assert (known.outcome, known.known, known.fact_id) == (Outcome.RECORDED_IN_PART, True, bought.fact_id)
    assert len(await shop.told()) == 3


async def test_what_the_person_had_refused_meanwhile_is_told_no_further(shop):
    (member,) = await shop.take(order("order 1", account()))
    shop.grant(member.profile_id, ANALYTICS)
    shop.go_stale()
    await shop.take(order("order 2", account()))
    shop.refuse(member.profile_id, ANALYTICS)
    assert await shop.decide_later.step()
    shop.grant(member.profile_id, ANALYTICS)
    assert not await shop.decide_later.step()
    assert [list(each.touchpoint.purpose_ids) for each in await shop.told()] == [[DELIVERY], [DELIVERY]]


async def test_what_was_decided_later_goes_along_when_a_split_moves_the_fact(shop):
    (first,) = await shop.take(order("order 1", account("acc-1")))
    (second,) = await shop.take(order("order 2", account("acc-2")))
    async with shop.process.partition.session() as session:
        merged = await steward.merge(session, [first.profile_id, second.profile_id], actor="ops-1", reason="CASE 1")
    shop.grant(merged.profiles[0].profile.profile_id, ANALYTICS)
    shop.go_stale()
    (bought,) = await shop.take(order("order 3", account("acc-2")))
    shop.follow()
    assert await shop.decide_later.step()
    async with shop.process.partition.session() as session:
        await steward.withdraw(session, merged.constraint.constraint_id, actor="ops-1")
    told = [each for each in await shop.told() if each.fact.fact_id == bought.fact_id]
    purposes = [list(each.touchpoint.purpose_ids) for each in told]
    assert purposes == [[DELIVERY], [DELIVERY, ANALYTICS], [DELIVERY, ANALYTICS]]
    assert told[-1].fact.owner_version > told[1].fact.owner_version == told[0].fact.owner_version


async def test_undeclared_is_refused_by_field_path_and_stops_no_other(shop):
    device = touchpoint_pb2.Attribute(key="device_class", data_category="behaviour", code="phone")
    wrong = touchpoint_pb2.Attribute(key="device_class", data_category="behaviour", code="Anna Quin")
    unknown = touchpoint_pb2.Attribute(key="remark", data_category="behaviour", code="hello")
    answers = await shop.take(
        raw("1", account(), source="elsewhere"),
        raw("2", account(), attributes=[device, unknown]),
        raw("3", account(), attributes=[wrong]),
        raw("4", record_pb2.Identifier(kind=EMAIL, value="nobody")),
        order("5", account()),
    )
    faults = [[field.path for field in each.fields] for each in answers if isinstance(each, RapportError)]
    assert faults == [["source"], ["touchpoint.attributes[1].key"], ["touchpoint.attributes[0].code"], ["identifiers"]]
    assert answers[-1].outcome is Outcome.RECORDED_IN_PART


async def test_late_and_disordered_events_are_recorded_with_their_own_time(shop):
    times = [AT - timedelta(days=days) for days in (0, 900, 3, 40)]
    answers = await shop.take(*(order(f"order {at}", account(), at=at) for at in times))
    assert [each.outcome for each in answers] == [Outcome.RECORDED_IN_PART] * 4
    assert [each.touchpoint.occurred_at.ToDatetime(UTC) for each in await shop.told()] == times
    (ahead,) = await shop.take(order("order x", account(), at=datetime.now(UTC) + timedelta(days=2)))
    assert [field.path for field in ahead.fields] == ["touchpoint.occurred_at"]


async def test_fact_holds_what_it_rests_on_and_nothing_that_identifies(shop):
    (member,) = await shop.take(order("order 1", account(), email(), cookie()))
    ((payload, permits),) = await shop.rows("SELECT payload, permits FROM facts")
    assert [(each["purpose"], each["basis"]) for each in permits] == [(DELIVERY, 2)]
    assert permits[0]["position"] == shop.ledger.position
    assert b"mara.quin" not in payload
    (told,) = await shop.told()
    assert (told.fact.profile_id, told.fact.fact_id) == (member.profile_id, member.fact_id)
    for secret in (b"mara.quin", b"acc-90217", b"c0ffee"):
        assert secret not in told.SerializeToString()


async def test_what_a_later_contract_would_say_is_left_behind(shop):
    message = order("order 1", account())
    smuggled = b"\xfa\x3e\x09mara quin"  # field 1007, a text
    message.touchpoint.order_placed.MergeFromString(smuggled)
    assert b"mara quin" in message.SerializeToString()
    await shop.take(message)
    (told,) = await shop.told()
    assert b"mara quin" not in told.SerializeToString()


async def test_touchpoints_under_known_identifiers_make_no_records(shop):
    await shop.take(order("order 1", account(), email()))
    before = await shop.left()
    taken = await shop.take(*(order(f"order {n}", *who) for n, who in enumerate([[email()], [account()]], start=2)))
    after = await shop.left()
    assert len({each.profile_id for each in taken}) == 1
    assert (after["records"], after["profiles"], after["facts"]) == (before["records"], before["profiles"], 3)


async def test_sighting_joins_the_person_whose_identifier_it_shares(shop):
    person = record_pb2.Record(key=record_pb2.RecordKey(source="crm", source_record_id="1"))
    person.person.names.add(given_names="Mara", surname="Quin")
    person.person.identifiers.append(email())
    (known,) = await shop.process.resolve([person])
    (bought,) = await shop.take(order("order 1", email(), account()))
    assert bought.profile_id == known.profile_id
    (again,) = await shop.take(order("order 2", account()))
    assert again.profile_id == known.profile_id


async def test_split_issues_moved_facts_again_and_readers_count_each_once(shop):
    (first,) = await shop.take(order("order 1", account("acc-1")))
    (second,) = await shop.take(order("order 2", account("acc-2")))
    async with shop.process.partition.session() as session:
        merged = await steward.merge(session, [first.profile_id, second.profile_id], actor="ops-1", reason="CASE 1")
    (survivor,) = (each.profile for each in merged.profiles)
    (while_merged,) = await shop.take(order("order 3", account("acc-2")))
    assert while_merged.profile_id == survivor.profile_id
    assert (await shop.told())[-1].fact.owner_version == survivor.version
    async with shop.process.partition.session() as session:
        await steward.withdraw(session, merged.constraint.constraint_id, actor="ops-1")
    told = await shop.told()
    newest: dict[str, event_pb2.Fact] = {}
    for each in told:
        fact = each.fact
        if fact.fact_id not in newest or newest[fact.fact_id].owner_version < fact.owner_version:
            newest[fact.fact_id] = fact
    assert len(newest) == 3
    assert newest[first.fact_id].profile_id == first.profile_id
    assert newest[second.fact_id].profile_id == newest[while_merged.fact_id].profile_id == second.profile_id
    again = told[3:]
    assert again, "a split issues what it moved again"
    for each in again:
        (original,) = (one for one in told[:3] if one.fact.fact_id == each.fact.fact_id)
        assert each.touchpoint == original.touchpoint
        assert each.recorded_at == original.recorded_at
        assert each.fact.owner_version > original.fact.owner_version
    ids = await shop.rows("SELECT count(DISTINCT event_id), count(*) FROM outbox")
    assert ids[0][0] == ids[0][1]
    owners = dict(await shop.rows("SELECT fact_id, profile_id FROM facts"))
    assert owners[while_merged.fact_id] == second.profile_id
