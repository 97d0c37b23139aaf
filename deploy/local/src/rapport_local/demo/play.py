"""The scenes in their order: one customer, a town, what people may ask, what breaks, how fast it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rapport.consent.v1 import privacy_request_pb2
from rapport.notification.v1 import notification_pb2
from rapport.pricing.v1 import events_pb2

from rapport_local.demo import (
    arriving,
    events,
    gates,
    journey,
    leaving,
    recognition,
    refusal,
    rights,
    scenes,
    selling,
    stewards,
    writing,
)
from rapport_local.demo.arriving import Known
from rapport_local.demo.report import Report
from rapport_local.demo.shop import Cast
from rapport_local.demo.throughput import throughput
from rapport_local.demo.town import town
from rapport_local.stack import Stack

_SEED: Final = 7


async def play(report: Report, cast: Cast, stack: Stack, people: int, folder: Path) -> None:
    """Play all scenes.

    Args:
        report: Tells them.
        cast: Everybody who is played.
        stack: What runs; parts of it are stopped and started again.
        people: How many live in the town.
        folder: Where what is handed out goes.
    """
    customer = await _one_customer(report, cast)
    known, treated = await _main_job(report, cast, people)
    with report.scene("What was sent, what was held or dropped, and why"):
        mailed = await writing.sent(report, cast, known, treated)
    with report.scene("One journey, from a call for help to a mail"):
        await journey.journey(report, cast, known)
    await _rights(report, cast, customer, known, mailed, folder)
    report.chapter("When something is down")
    async with gates.sender(cast, stack) as sender:
        with report.scene("Another team's program holds the gate in its own process"):
            await gates.follows(report, cast, sender)
        with report.scene("The broker is stopped"):
            await gates.without_broker(report, cast, sender, stack)
        with report.scene("The consent service is stopped"):
            await gates.without_service(report, cast, sender, stack)
    report.chapter("How fast it is")
    with report.scene("Calls and writes, one client, this machine"):
        await throughput(report, cast)


async def _one_customer(report: Report, cast: Cast) -> recognition.Customer:
    report.chapter("One customer")
    with report.scene("The shop says what it wants to do, and why it may"):
        await scenes.purposes(report, cast)
    with report.scene("A customer comes by every channel, and is recognised"):
        customer = await recognition.channels(report, cast)
    with report.scene("Why that is one person"):
        await recognition.reasons(report, cast, customer)
    with report.scene("The customer is known: what may be done?"):
        await scenes.before(report, cast, customer.profile_id)
    with report.scene("The customer ticks the box"):
        write = await scenes.granted(report, cast, customer.profile_id)
    with report.scene("The customer gets a receipt, which proves it without us"):
        await scenes.receipt(report, cast, write)
    with report.scene("The customer changes their mind"):
        await scenes.withdrawn(report, cast, customer.profile_id)
    with report.scene("What goes wrong is refused with a reason"):
        await scenes.refusals(report, cast, customer.profile_id)
    with report.scene("Two profiles turn out to be one person"):
        merged = await events.merge(report, cast, customer)
    with report.scene("The trace of that"):
        await events.trace(report, cast, merged.trace_id)
    with report.scene("A steward knows better"):
        await stewards.split(report, cast, customer, merged)
    with report.scene("Who refuses analytics leaves only what the contract needs"):
        await refusal.analytics(report, cast)
    return customer


async def _main_job(report: Report, cast: Cast, people: int) -> tuple[Known, dict[str, events_pb2.Offer]]:
    report.chapter("The main job: a town")
    with report.scene("A town comes by five channels, and is recognised"):
        known = await arriving.recognised(report, cast, town(people, _SEED, datetime.now(UTC)))
    with report.scene("What each of them allows, and prefers"):
        await arriving.decided(report, cast, known)
    with report.scene("The shop sets a price, within its rules"):
        product_id = await selling.published(report, cast)
    with report.scene("The shop says what it writes to whom, and when"):
        await writing.authored(report, cast)
    with report.scene("Two years of the town come in"):
        await arriving.history(report, cast, known)
    with report.scene("A model learns who does not come back"):
        within_days = await leaving.learned(report, cast)
    with report.scene("Who is about to leave, and why"):
        at_risk = await leaving.scores(report, cast, known, within_days)
    with report.scene("Who may leave gets an offer; why that price"):
        treated = await selling.offers(report, cast, product_id, known, at_risk)
    return known, treated


async def _rights(
    report: Report,
    cast: Cast,
    customer: recognition.Customer,
    known: Known,
    mailed: Mapping[str, notification_pb2.NotificationRecord],
    folder: Path,
) -> None:
    report.chapter("What people may ask")
    told = known.by_profile()
    # Last whoever is known under several profiles: what is asked of one of these says nothing of the others.
    forgotten, *_, leaving_mails = sorted(mailed, key=lambda each: told[each].person.serial in known.scattered)
    neighbour = told[forgotten]
    with report.scene("One click in the mail, and it is the last one"):
        await writing.one_click(report, cast, mailed[leaving_mails])
    with report.scene("Somebody does not want to be profiled"):
        await leaving.refused(report, cast)
    right = privacy_request_pb2
    with report.scene("What do you know about me?"):
        copies, erases = await asyncio.gather(
            rights.asked(cast, right.PRIVACY_RIGHT_ACCESS, customer.person.email().value, customer.profile_id),
            rights.asked(cast, right.PRIVACY_RIGHT_ERASURE, neighbour.email.value, forgotten),
        )
        await rights.access(report, cast, customer, copies, folder)
    with report.scene("Forget me"):
        await rights.erasure(report, cast, neighbour, forgotten, erases, folder)
    with report.scene("Who decided what"):
        await events.audit(report, cast)
