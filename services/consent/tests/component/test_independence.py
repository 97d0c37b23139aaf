"""Deployed alone means ready alone; what is away takes nothing else with it, and all recover by themselves."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from consent_desk import (
    ROLES,
    Desk,
    answers,
    entry,
    open_desk,
    profile,
    start_installation,
    terms,
    throughout,
    verdict,
    withdrawal,
)
from consent_events import EventLog, Identity, merge
from consent_imports import header, reason, row
from consent_load import persist
from consent_rig import Rig
from rapport.consent.v1 import consent_pb2, purpose_pb2
from rapport_testing.installation import Installation
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

BOUND_S = 2.0
pytestmark = pytest.mark.heavy


async def provision_without(installation: Installation, *streams: str) -> None:
    """Create what is declared, less these streams and their consumers."""
    broker = installation.broker()
    declared = broker.topology
    kept = dataclasses.replace(
        declared,
        streams=tuple(each for each in declared.streams if each.name not in streams),
        consumers=tuple(each for each in declared.consumers if each.stream not in streams),
    )
    await dataclasses.replace(broker, topology=kept).provision()


async def test_alone_with_postgres_and_nats_it_turns_ready_serves_and_takes_up_what_comes_later(
    tmp_path: Path,
) -> None:
    installation = await asyncio.to_thread(start_installation, tmp_path / "alone", provisioned=False)
    service = installation.process(forked=False)
    try:
        await asyncio.to_thread(service.start)
        async with open_desk(installation) as desk:
            await desk.until_serving("api", "rapport.consent.v1.ConsentService", "events")
            await desk.draft("order", terms(purpose_pb2.LEGAL_BASIS_CONTRACT))
            decided = await desk.activate("order")
            person = profile()
            assert verdict(await desk.check(person, "order", at_least=decided.token)) == "PERMIT BASIS"
            await desk.withdraw(person)
            assert await desk.readiness("relay") == "NOT_SERVING"

            await provision_without(installation, "RAPPORT_IDENTITY")
            await desk.until_serving(*ROLES)
            log = EventLog(installation.broker())
            await log.until((await desk.head()).position)

            await provision_without(installation)
            joined = merge(person, profile())
            await Identity(installation).publish(joined)
            await log.answer_to(joined.id)
    finally:
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(installation.stop)


async def test_with_nats_away_checks_and_writes_go_on_and_only_the_relay_turns_unready(rig: Rig) -> None:
    await rig.running()
    async with open_desk(rig.installation) as desk:
        await desk.until_serving(*ROLES)
        granted, withdrawn = profile(), profile()
        await desk.answer(granted, "yes promo")
        await asyncio.to_thread(rig.installation.nats.kill)
        try:
            write = await desk.withdraw(withdrawn, "promo")

            async def look() -> None:
                assert await desk.verdict(granted, "promo") == "PERMIT GRANTED"
                assert await desk.verdict(withdrawn, "promo") == "DENY WITHDRAWN"

            await throughout(1.5 * BOUND_S, look)
            assert await desk.readiness("api") == "SERVING"
            await eventually(lambda: says(desk, "relay", "NOT_SERVING"), timeout_s=30)
        finally:
            await asyncio.to_thread(rig.installation.nats.start)
        await desk.until_serving(*ROLES)
        await EventLog(rig.installation.broker()).until(write.token.position)


async def says(desk: Desk, role: str, state: str) -> bool:
    return await desk.readiness(role) == state


async def test_import_waits_while_nothing_is_published_and_a_withdrawal_does_not(rig: Rig) -> None:
    await rig.running()
    installation = rig.installation
    async with open_desk(installation) as desk:
        await desk.until_serving(*ROLES)
        await asyncio.to_thread(installation.nats.kill)
        try:
            await desk.answer(profile(), "yes promo")
            waiting = "SELECT count(*) FROM outbox WHERE created_at < clock_timestamp() - interval '0.6 s'"
            await eventually(lambda: installation.postgres.execute(waiting, installation.database.name) != [(0,)])
            importing = asyncio.create_task(desk.import_rows(header(), [row(1)]))
            person = profile()
            write = await desk.withdraw(person, "promo")
            assert verdict(await desk.check(person, "promo", at_least=write.token)) == "DENY WITHDRAWN"
            assert await asyncio.wait([importing], timeout=1) == (set(), {importing})
        finally:
            await asyncio.to_thread(installation.nats.start)
        (answer,) = await asyncio.wait_for(importing, 60)
        assert reason(answer.results[0]) == ""


@pytest.mark.parametrize("how", ["killed", "suspended"])
async def test_with_postgres_away_consent_turns_stale_within_the_bound_and_comes_back_by_itself(
    rig: Rig, how: str
) -> None:
    await rig.running()
    postgres = rig.installation.postgres
    async with open_desk(rig.installation) as desk:
        await desk.until_serving(*ROLES)
        person, erased = profile(), profile()
        await desk.answer(person, "yes promo")
        await desk.fence(erased)
        assert await desk.verdict(person, "promo") == "PERMIT GRANTED"
        assert await desk.verdict(erased, "order") == "DENY_FENCED ERASED"
        batch = consent_pb2.BatchCheckConsentRequest(
            entries=[entry(person, "promo"), entry(person, "fraud"), entry(person, "order"), entry(erased, "order")]
        )

        async def verdicts() -> list[str]:
            return [verdict(each.decision) for each in (await desk.shop.BatchCheckConsent(batch)).results]

        stale = ["DENY_STALE STALE", "DENY_STALE STALE", "PERMIT BASIS", "DENY_FENCED ERASED"]
        fresh = ["PERMIT GRANTED", "PERMIT BASIS", "PERMIT BASIS", "DENY_FENCED ERASED"]
        await asyncio.to_thread(postgres.kill if how == "killed" else postgres.suspend)
        away_since = time.monotonic()

        async def look() -> None:
            asked = time.monotonic()
            found = await verdicts()
            # The bound may pass between two entries of a batch: each is judged at its own instant.
            turned = [fresh[:at] + stale[at:] for at in range(1, len(stale) + 1)]
            assert found == stale or (found in turned and asked < away_since + BOUND_S)

        try:
            await throughout(2 * BOUND_S, look)
            await eventually(lambda: says(desk, "api", "NOT_SERVING"), timeout_s=30)
            with refused("NOT_READY" if how == "killed" else "DEADLINE_EXCEEDED"):
                await desk.shop.WithdrawConsent(withdrawal(person, "promo"), timeout=1)
            assert await verdicts() == stale
        finally:
            await asyncio.to_thread(postgres.start if how == "killed" else postgres.resume)
        await desk.until_serving(*ROLES)

        async def is_fresh() -> bool:
            return (await verdicts())[1:] == fresh[1:]

        await eventually(is_fresh, timeout_s=30)


@pytest.fixture
async def divided(rig: Rig) -> AsyncIterator[Installation]:
    """The service as three processes, one a role."""
    await rig.stop()
    processes = [rig.installation.process(role, only=role) for role in ROLES]
    try:
        for process in processes:
            await asyncio.to_thread(process.start)
        yield rig.installation
    finally:
        for process in processes:
            await asyncio.to_thread(process.kill)
        await rig.running()


async def test_roles_run_as_processes_of_their_own_each_ready_for_itself(divided: Installation) -> None:
    async with open_desk(divided, process="api") as desk:
        await desk.until_serving("api", "")
        assert {role: await desk.readiness(role) for role in ("events", "relay")} == dict.fromkeys(
            ("events", "relay"), "NOT_FOUND"
        )
        for role in ("events", "relay"):
            async with open_desk(divided, process=role) as other:
                await other.until_serving(role, "")
                assert await other.readiness("api") == "NOT_FOUND"
                with refused("METHOD_UNKNOWN"):
                    await other.shop.GetLedgerHead(consent_pb2.GetLedgerHeadRequest())
        log, person, joined = EventLog(divided.broker()), profile(), merge(profile(), profile())
        write = await desk.answer(person, "yes promo")
        await log.until(write.token.position)
        await Identity(divided).publish(joined)
        followed = await log.answer_to(joined.id)
        decision = await desk.check(joined.message.profiles[0].redirect_ids[0], "order", at_least=await desk.head())  # type: ignore[attr-defined]
        assert decision.current_profile_id == followed.change.current_id


async def test_two_processes_answer_alike_and_the_second_relay_takes_over(rig: Rig) -> None:
    await rig.running()
    second = rig.installation.process("second")
    try:
        await asyncio.to_thread(second.start)
        async with (
            open_desk(rig.installation) as desk,
            open_desk(rig.installation, process="second") as other,
        ):
            await desk.until_serving(*ROLES)
            await other.until_serving(*ROLES)
            person = profile()
            for _ in range(3):
                write = await desk.answer(person, "yes promo")
                assert verdict(await other.check(person, "promo", at_least=write.token)) == "PERMIT GRANTED"
                write = await other.withdraw(person, "promo")
                assert verdict(await desk.check(person, "promo", at_least=write.token)) == "DENY WITHDRAWN"
            request = answers(person, "yes promo")
            first = await desk.shop.RecordConsent(request)
            assert await other.shop.RecordConsent(request) == first
            await rig.stop()
            last = await persist(other.shop.RecordConsent, answers(profile(), "yes promo"))
            await EventLog(rig.installation.broker()).until(last.token.position)
    finally:
        await asyncio.to_thread(second.kill)
        await rig.running()
