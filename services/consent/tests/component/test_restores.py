"""The ledger brought back from a backup: nothing is answered before it knows what its stream still tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from consent_desk import ROLES, Desk, ago, open_desk, profile, request_id, terms
from consent_events import STREAM, EventLog, Identity, merge, split
from consent_rig import Rig, running_rig
from rapport.consent.v1 import consent_pb2
from rapport_chassis.times import stamp
from rapport_privacy.participant.replaying import MARK
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

KEPT = "kept"


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An installation whose ledger is brought back again and again."""
    with running_rig(tmp_path_factory.mktemp("lost"), durable=False) as made:
        yield made


@asynccontextmanager
async def at_desk(rig: Rig) -> AsyncIterator[Desk]:
    """Where the service is called from, once it is ready; what was done there is published at the end."""
    async with open_desk(rig.installation) as desk:
        await desk.until_serving(*ROLES)
        yield desk
        log, head = EventLog(rig.installation.broker()), await desk.head()

        async def told() -> bool:
            return any((e.change.epoch, e.change.position) == (head.epoch, head.position) for e in await log.read())

        await eventually(told, timeout_s=30)


async def back_up(rig: Rig) -> None:
    """Keep the database as it is."""
    await rig.stop()
    postgres, name = rig.installation.postgres, rig.installation.database.name
    await asyncio.to_thread(postgres.drop_database, KEPT)
    await asyncio.to_thread(postgres.create_database, KEPT, name)
    await rig.restart()


async def restore(rig: Rig, *failpoints: str) -> None:
    """Lose the database, and put what was kept in its place."""
    await rig.stop()
    postgres, database = rig.installation.postgres, rig.installation.database
    await asyncio.to_thread(postgres.drop_database, database.name)
    await asyncio.to_thread(postgres.create_database, database.name, KEPT)
    await asyncio.to_thread(rig.installation.create_databases)
    await asyncio.to_thread(postgres.execute, f"SET ROLE {database.owner_role}; {MARK}", database.name)
    await rig.restart(*failpoints)


async def test_what_was_recorded_after_the_backup_holds_again_before_anything_is_answered(lost: Rig) -> None:
    left, came, gone, absorbed, survivor, parted = (profile() for _ in range(6))
    identity = Identity(lost.installation)
    async with at_desk(lost) as desk:
        for person in (left, gone, absorbed):
            await desk.answer(person, "yes stats", at=ago(days=1))
        await identity.publish(merge(parted, survivor, version=2))
    await back_up(lost)
    merged = merge(survivor, absorbed, version=5)
    divided = split(parted, {parted: [], survivor: []}, version=4)
    async with at_desk(lost) as desk:
        before = await desk.head()
        await desk.withdraw(left, "stats")
        written = await desk.answer(came, "yes stats")
        await desk.object_to(came)
        await desk.draft("later", terms())
        await desk.activate("later")
        await desk.answer(came, "yes later", notice_id="", notice_version=0, locale="", evidence=_DECLARED)
        await desk.fence(gone)
        log = EventLog(lost.installation.broker())
        for event in (divided, merged):
            await identity.publish(event)
            await log.answer_to(event.id)
        expected = {
            person: [await desk.verdict(person, purpose) for purpose in ("stats", "promo", "later", "order")]
            for person in (left, came, gone, absorbed, survivor, parted)
        }
    assert expected[left][0] == "DENY WITHDRAWN"
    assert expected[came] == ["PERMIT GRANTED", "DENY OBJECTED", "PERMIT GRANTED", "PERMIT BASIS"]
    assert expected[gone] == ["DENY_FENCED ERASED"] * 4
    assert expected[survivor][0] == "PERMIT GRANTED"

    # Killed before it is done, it begins anew and records nothing twice.
    await restore(lost, "ledger.restoring=kill")
    await lost.revive()
    async with at_desk(lost) as desk:
        head = await desk.head()
        assert head.epoch != before.epoch
        for person, verdicts in expected.items():
            found = [await desk.verdict(person, purpose) for purpose in ("stats", "promo", "later", "order")]
            assert found == verdicts
            assert await desk.verdict(person, "stats", authority=True) == verdicts[0]
        (state,) = [each for each in (await desk.state(came)).states if each.purpose_id == "stats"]
        assert state.reference == written.entries[0].reference
        newest_first = (await desk.office.ListRestores(consent_pb2.ListRestoresRequest())).restores
        restored = newest_first[0]
        assert restored.backed_up == before
        assert restored.rows_recorded == 8
        assert not restored.HasField("doubted_until")
        with refused("RESTORE_DECIDED"):
            await decide(desk, restored, consent_pb2.RESTORE_DECISION_COUNT)
        restored.restored_at.CopyFrom(stamp(ago(days=9)))
        with refused("RESTORE_NOT_FOUND", "restored_at"):
            await decide(desk, restored, consent_pb2.RESTORE_DECISION_COUNT)


_DECLARED = consent_pb2.Evidence(declared=consent_pb2.DeclaredEvidence(rule="store-card"))


async def decide(
    desk: Desk, restored: consent_pb2.LedgerRestore, decision: consent_pb2.RestoreDecision.ValueType
) -> consent_pb2.LedgerRestore:
    return await desk.office.DecideRestore(
        consent_pb2.DecideRestoreRequest(
            request_id=request_id(), restored_at=restored.restored_at, decision=decision, reason="looked into"
        )
    )


async def test_grants_that_may_have_been_withdrawn_unheard_are_withheld_until_an_officer_decides(lost: Rig) -> None:
    old, new = profile(), profile()
    async with at_desk(lost) as desk:
        await desk.answer(old, "yes stats", at=ago(days=1))
        await desk.withdraw(old, "promo")
    await back_up(lost)
    async with at_desk(lost) as desk:
        await desk.withdraw(old, "stats")
    async with lost.installation.broker().api() as api:
        await api.call(f"STREAM.PURGE.{STREAM}")  # as if it had aged out
    async with at_desk(lost) as desk:
        await desk.answer(profile(), "yes stats")
    await restore(lost)
    async with open_desk(lost.installation) as desk:
        await desk.until_serving(*ROLES)
        for authority in (False, True):
            assert await desk.verdict(old, "stats", authority=authority) == "DENY NO_DECISION"
            assert await desk.verdict(old, "promo", authority=authority) == "DENY WITHDRAWN"
            assert await desk.verdict(old, "order", authority=authority) == "PERMIT BASIS"
        await desk.answer(new, "yes stats")
        assert await desk.verdict(new, "stats") == "PERMIT GRANTED"
        # Whoever takes notice of the old grant by a change of something else is told no more.
        await Identity(lost.installation).publish(merge(profile(), old, version=2))
        await eventually(lambda: _is_followed(lost, old), timeout_s=30)
        assert await desk.verdict(old, "stats") == "DENY NO_DECISION"
        restored = (await desk.office.ListRestores(consent_pb2.ListRestoresRequest())).restores[0]
        assert restored.HasField("doubted_until")
        before = await desk.head()
        decided = await decide(desk, restored, consent_pb2.RESTORE_DECISION_COUNT)
        assert (decided.decision, decided.decided_by) == (consent_pb2.RESTORE_DECISION_COUNT, "officer-1")
        assert (await desk.head()).epoch != before.epoch
        for person in (old, new):

            async def permitted(person: str = person) -> bool:
                return await desk.verdict(person, "stats") == "PERMIT GRANTED"

            await eventually(permitted, timeout_s=30)


def _is_followed(rig: Rig, profile_id: str) -> bool:
    found = rig.installation.postgres.execute(
        f"SELECT FROM profiles WHERE profile_id = '{profile_id}'", rig.installation.database.name
    )
    return bool(found)
