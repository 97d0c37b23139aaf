"""What customers go through, across all services."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from rapport.consent.v1 import consent_pb2, ledger_pb2
from rapport.identity.v1 import identity_pb2, identity_pb2_grpc, profile_pb2, steward_pb2
from rapport.notification.v1 import events_pb2, notification_pb2, preference_pb2, preference_pb2_grpc
from suite import Suite
from suite_authoring import ANALYTICS, EMAIL, NORTH, PERSONAL_PRICES, PROFILING
from suite_calls import DROPPED, HELD, SENT, becomes, explained_quote, orders_known, quote, score, take, write
from suite_calm import Calm
from suite_people import Person, choice
from suite_shop import Shop, open_shop, patiently, request_id, until

BOUND_S = 2.0
"""How long a gate may answer from what it knew."""


async def resolved(shop: Shop, person: Person, source: str, *, named: bool = True) -> str:
    request = identity_pb2.ResolveRecordRequest(request_id=request_id(), record=person.record(source, named=named))
    return (await patiently(lambda: shop.identity.ResolveRecord(request))).profile_id


async def granted(shop: Shop, profile_id: str, *purpose_ids: str) -> consent_pb2.LedgerWrite:
    return await shop.consent.RecordConsent(choice(profile_id, *purpose_ids, request_id=request_id()))


async def recorded(shop: Shop, person: Person, source: str, profile_id: str, orders: int) -> None:
    """Have somebody's orders taken in, and known to churn."""
    await granted(shop, profile_id, ANALYTICS)

    async def seen() -> bool:
        # Another visit each time: what the person refuses stays refused.
        visit = person.touchpoint(source, f"visit {request_id()}", person.base - timedelta(days=260))
        return not (await take(shop, visit)).refused_purposes

    await until(seen, bool, what="identity has heard of the consent")
    for each in person.orders(source, orders):
        await take(shop, each)


async def states(shop: Shop, profile_id: str) -> Mapping[tuple[str, str], int]:
    found = await shop.consent.GetConsentState(consent_pb2.GetConsentStateRequest(profile_id=profile_id))
    return {(each.purpose_id, each.brand_id): each.status for each in found.states}


def test_who_is_about_to_leave_is_made_an_offer_and_written_to_once_and_nobody_else_is(calm: Calm) -> None:
    for number, state in calm.states.items():
        leaves, is_one = calm.people[number].leaves, int(number) % 8 != 0
        # In the app every fourth has refused mails, which holds for whoever the account belongs to.
        may_write = int(number) % 4 != 0 or not is_one
        mails = sum(times for (_, sent), times in state["mails"].items() if sent)
        assert bool(state["offers"]) == leaves, number
        assert mails == int(leaves and may_write), number
        assert all(sent == 1 for _, sent in state["mails"]), number
        survivors = {owner for owner, _ in state["profiles"].values()}
        assert survivors == ({"crm"} if is_one else {"crm", "app"}), number
        assert sum(state["touchpoints"].values()) == sum(6 if name == "crm" else 3 for name in state["profiles"])
    assert any(each["mails"] for each in calm.states.values())


async def test_a_withdrawal_stops_scoring_personal_prices_and_mails_within_the_bound(suite: Suite, calm: Calm) -> None:
    profile_id = calm.ids["1"]["crm"]
    async with open_shop(suite) as shop:
        assert not isinstance(await score(shop, profile_id), str)
        explained = await until(lambda: explained_quote(shop, profile_id), lambda found: found.quote.personalised)
        personal = explained.quote
        request = consent_pb2.WithdrawConsentRequest(request_id=request_id(), profile_id=profile_id)
        await shop.consent.WithdrawConsent(request)
        answered = time.monotonic()

        async def stopped() -> bool:
            asked = time.monotonic()
            scored = not isinstance(await score(shop, profile_id), str)
            priced = (await quote(shop, profile_id)).personalised
            assert asked < answered + BOUND_S or not (scored or priced), "permitted after the bound"
            return not (scored or priced)

        await until(stopped, bool)
        message = await becomes(shop, await write(shop, profile_id), DROPPED)
        assert message.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED
        plain = await quote(shop, profile_id)
        assert (plain.all_in.units, plain.all_in.nanos) > (personal.all_in.units, personal.all_in.nanos)


async def test_a_merge_moves_features_consents_preferences_and_caps_and_a_split_takes_them_apart(
    suite: Suite, calm: Calm
) -> None:
    person = Person(f"merged-{request_id()[:8]}", 1, calm.base)
    async with open_shop(suite) as shop:
        known, app = await resolved(shop, person, "crm"), await resolved(shop, person, "app", named=False)
        await recorded(shop, person, "crm", known, 3)
        await recorded(shop, person, "app", app, 2)
        for profile_id in (known, app):
            await granted(shop, profile_id, PROFILING, PERSONAL_PRICES)
        mailing = await granted(shop, known, EMAIL)
        await refuse(shop, app)
        wished = preference_pb2.Preference(category="news", channel=events_pb2.CHANNEL_EMAIL, wanted=False)
        set_ = preference_pb2.SetPreferencesRequest(request_id=request_id(), profile_id=app, preferences=[wished])
        await shop.preferences.SetPreferences(set_)
        await until(lambda: orders_known(shop, app), lambda found: found == 2, what="the app's orders are known")
        await cap(shop, f"few.{person.key}")
        await becomes(shop, await write(shop, known, category=f"few.{person.key}", knowing=mailing), SENT)

        assert await resolved(shop, person, "app") == known
        await until(lambda: orders_known(shop, known), lambda found: found == 5, what="the features are one")
        assert await orders_known(shop, app) == 5, "every id leads there"
        assert (await states(shop, known))[EMAIL, NORTH] == ledger_pb2.CONSENT_STATUS_REFUSED, "a no of either holds"
        assert await unwanted(shop, known) == ["news"]
        refused = await becomes(shop, await write(shop, known), DROPPED)
        assert refused.drop_reason == events_pb2.DROP_REASON_NOT_PERMITTED
        anew = await granted(shop, known, EMAIL)  # said by the person who is known to be both
        another = await write(shop, app, category=f"few.{person.key}", knowing=anew)
        asked = notification_pb2.GetNotificationRequest(notification_id=another)
        await until(
            lambda: shop.messages.GetNotification(asked),
            lambda record: (record.state, record.hold_reason) == (HELD, events_pb2.HOLD_REASON_FREQUENCY_CAP),
            what="what one was sent counts for the other",
        )

        steward = shop.stub("identity", identity_pb2_grpc.IdentityServiceStub, role="steward")
        split = steward_pb2.SplitProfileRequest(request_id=request_id(), profile_id=known, reason="two people")
        split.leaving.add(records=[person.record_key("app")])
        await steward.SplitProfile(split)
        await until(lambda: orders_known(shop, known), lambda found: found == 3, what="the features are apart")
        await until(lambda: orders_known(shop, app), lambda found: found == 2)
        profile = await shop.identity.GetProfile(profile_pb2.GetProfileRequest(profile_id=app))
        assert profile.profile_id == app
        assert (await states(shop, known))[EMAIL, NORTH] == ledger_pb2.CONSENT_STATUS_GRANTED
        assert (await states(shop, app))[EMAIL, NORTH] == ledger_pb2.CONSENT_STATUS_REFUSED
        assert await unwanted(shop, app) == ["news"]


async def refuse(shop: Shop, profile_id: str) -> None:
    await shop.consent.RecordConsent(choice(profile_id, EMAIL, granted=False, request_id=request_id()))


async def unwanted(shop: Shop, profile_id: str) -> list[str]:
    found = await shop.preferences.GetPreferences(preference_pb2.GetPreferencesRequest(profile_id=profile_id))
    return [each.category for each in found.preferences if not each.wanted]


async def cap(shop: Shop, category: str) -> None:
    """Allow one message a day of a category."""
    editor = shop.stub("notification", preference_pb2_grpc.PreferenceServiceStub, role="editor")
    named = preference_pb2.UpsertRuleRequest(name=category, category=preference_pb2.CategoryTerms())
    capped = preference_pb2.UpsertRuleRequest(
        name=category, cap=preference_pb2.CapTerms(limit=1, days=1, categories=[category])
    )
    for kind, draft in (
        (preference_pb2.SENDING_RULE_KIND_CATEGORY, named),
        (preference_pb2.SENDING_RULE_KIND_CAP, capped),
    ):
        draft.request_id = request_id()
        rule = await editor.UpsertRule(draft)
        await editor.ActivateRule(
            preference_pb2.ActivateRuleRequest(
                request_id=request_id(), kind=kind, name=category, version=rule.status.version, reason="enough"
            )
        )
