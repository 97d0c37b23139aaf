"""Models: trained on what is held of whoever permits it, promoted through gates, rolled back at once, on record."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from churn_desk import Desk, open_desk, request_id
from churn_events import days_ago, order, viewed
from churn_installation import PROFILING, STREAM, ChurnInstallation, open_database, register, start_installation
from churn_model import PARTS, artefact
from rapport.churn.v1 import events_pb2, model_pb2, monitoring_pb2
from rapport_chassis.events.envelope import Event
from rapport_chassis.ids import new_id
from rapport_chassis.rpc.status import RemoteError
from rapport_chassis.times import stamp
from rapport_churn.adapters.log import FactLog
from rapport_churn.domain.labels import PopulationRule
from rapport_churn.translate.facts import Facts
from rapport_testing.events import count
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

CHAMPION, CHALLENGER = events_pb2.MODEL_ROLE_CHAMPION, events_pb2.MODEL_ROLE_CHALLENGER
PEOPLE = 60
VERIFIER = Path(__file__).parents[2] / "verify_receipt.py"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChurnInstallation]:
    """Servers of their own: who serves is everybody's business."""
    made = start_installation(tmp_path_factory.mktemp("models"))
    service = made.process(
        models__effort__draws="1",
        models__effort__bag="1",
        models__effort__origins="2",
        models__effort__search_rows="1500",
        models__effort__rows="1500",
        models__effort__cutoffs="9",
        models__renew_after_s="0.5",
    )
    try:
        service.start()
        yield made
    finally:
        service.kill()
        made.stop()


@pytest.fixture
async def desk(installation: ChurnInstallation) -> AsyncIterator[Desk]:
    async with open_desk(installation, deadline_s=60) as made:
        await made.until_ready()
        yield made


async def load(installation: ChurnInstallation, events: Sequence[Event]) -> None:
    """Enter history into the log, as a migration of an operator would."""
    facts = Facts("GBP")
    entered = [fact for event in events if (fact := facts.of(event.message)) is not None]
    async with open_database(installation) as database, database.transaction() as connection:
        log = FactLog(database)
        await log.append(connection, await log.hold(connection), entered)


def life(who: str, chance: random.Random) -> list[Event]:
    """What a customer did in three years: orders, and visits before them, until some day."""
    events: list[Event] = []
    day, rate = 1100.0, chance.choice([12.0, 25.0, 50.0])
    until = chance.choice([0.0, 0.0, chance.uniform(0, 900)])
    while (day := day - chance.expovariate(1 / rate)) > until:
        at = days_ago(day)
        events.append(order(who, at, chance.randrange(5, 90), recorded_at=at))
        if chance.random() < 0.4:
            events.append(viewed(who, days_ago(day + 1), recorded_at=at))
    return events


@pytest.mark.timeout(600)
async def test_a_model_is_trained_on_what_is_held_without_whoever_refused(desk: Desk) -> None:
    chance = random.Random(11)
    people = [new_id("profile") for _ in range(PEOPLE)]
    events = {who: life(who, chance) for who in people}
    for who in people[1:]:
        desk.installation.ledger.grant(who, PROFILING)
    await load(desk.installation, [event for each in events.values() for event in each])
    await desk.until_known(people[-1], len(events[people[-1]]))  # which the gate permits by then
    operation = await desk.models.TrainModel(model_pb2.TrainModelRequest(request_id=request_id(), seed=3))
    ended = await desk.ended(operation)
    assert not ended.HasField("error"), ended.error
    model = model_pb2.Model()
    assert ended.response.Unpack(model)
    assert model.role == events_pb2.MODEL_ROLE_UNSPECIFIED
    assert model.trained_rows
    assert {each.name for each in model.gates} >= {"latency"}
    assert {each.name for each in model.gates} <= {"not_below_baselines", "calibration", "latency"}  # none serves yet
    assert model.trained_at.position
    assert (await desk.models.GetModel(model_pb2.GetModelRequest(model_id=model.model_id))).card
    assert not list((desk.installation.folder / "own" / "work").iterdir())
    await desk.promote(model.model_id, despite_gates=True)
    buyer = next(who for who in people[1:] if any(event.occurred_at > days_ago(60) for event in events[who]))
    score = await desk.until_serving(model.model_id, buyer)
    assert score.base + sum(each.contribution for each in score.reasons) == pytest.approx(score.log_odds, abs=1e-9)
    # A model that was trained before somebody withdrew may not begin to serve.
    later = await register(desk.installation, log_position=0)
    desk.installation.ledger.withdraw(buyer, PROFILING)
    async with open_database(desk.installation) as database:

        async def removed() -> bool:
            return await count(database, "removals") > 0

        await eventually(removed, timeout_s=20)
    with refused("WITHDRAWN_SINCE", "model_id"):
        await desk.promote(later)
    await renewed(desk, model.model_id, buyer)
    # To go back to it is still possible, and not any more once the person is erased.
    desk.installation.ledger.erase(buyer)
    for role in (CHALLENGER, CHAMPION):
        await until_never(desk, model.model_id, role)


async def until_never(desk: Desk, model_id: str, role: int) -> None:
    """Wait until a model may not have a role any more, whoever insists."""

    async def never() -> bool:
        try:
            await desk.promote(model_id, role, despite_gates=True)
        except RemoteError as error:
            return error.reason.name == "LEARNED_FROM_ERASED"
        return False

    await eventually(never, timeout_s=20)


async def renewed(desk: Desk, before: str, who: str) -> None:
    """Another model is trained without somebody, and serves; whoever doubts it can check the receipt."""

    async def serving() -> model_pb2.Model | None:
        found = await desk.models.GetModel(model_pb2.GetModelRequest())
        return found if found.model_id != before else None

    asked = model_pb2.GetErasureReceiptRequest(profile_id=who)
    with refused("LEARNED_FROM"):
        await desk.models.GetErasureReceipt(asked)
    after = await eventually(serving, timeout_s=120)
    receipt = await desk.models.GetErasureReceipt(asked)
    assert (receipt.model_id_before, receipt.model_id) == (before, after.model_id)
    done = await asyncio.to_thread(_verified, receipt.receipt, who, after.artefact_sha256.hex())
    assert (done.returncode, before in done.stdout) == (0, True), done.stderr
    log = await desk.models.ListPromotions(model_pb2.ListPromotionsRequest(role=CHAMPION, page_size=1))
    assert (log.promotions[0].promoted_by, log.promotions[0].reason) == ("", "without-whoever-withdrew")
    with refused("NOTHING_REMOVED", "profile_id"):
        await desk.models.GetErasureReceipt(model_pb2.GetErasureReceiptRequest(profile_id=new_id("profile")))


def _verified(receipt: bytes, who: str, artefact: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(VERIFIER), "-", who, "--artefact", artefact]
    return subprocess.run(command, input=receipt.decode(), capture_output=True, text=True, check=False)


async def test_events_that_teach_nothing_are_refused_with_the_reason(desk: Desk) -> None:
    long_ago = stamp(datetime(2001, 1, 1, tzinfo=UTC))
    operation = await desk.models.TrainModel(model_pb2.TrainModelRequest(request_id=request_id(), as_of=long_ago))
    ended = await desk.ended(operation)
    assert "NOT_TRAINABLE" in str(ended.error.details)


async def test_another_model_serves_within_a_second_and_the_first_again_as_fast(desk: Desk) -> None:
    who = await desk.customer(60, 30, 10)
    first = await register(desk.installation)
    second = await register(desk.installation, artefact(population=PopulationRule(200)))
    began = datetime.now(UTC)
    await desk.promote(first)
    await desk.until_serving(first, who)
    promoted = await desk.promote(second)
    assert (promoted.model_id, promoted.role) == (second, CHAMPION)
    between = datetime.now(UTC)

    async def serves(model_id: str) -> None:
        async def so() -> bool:
            return (await desk.score(who)).model_id == model_id

        await eventually(so, timeout_s=1.0)

    await serves(second)
    await desk.promote(first)
    await serves(first)
    then = await desk.models.GetModel(model_pb2.GetModelRequest(as_of=stamp(between)))
    now = await desk.models.GetModel(model_pb2.GetModelRequest())
    assert (then.model_id, now.model_id) == (second, first)
    log = await desk.models.ListPromotions(model_pb2.ListPromotionsRequest(role=CHAMPION, page_size=3))
    assert [each.model_id for each in log.promotions] == [first, second, first]
    assert [each.previous_model_id for each in log.promotions][:2] == [second, first]
    assert log.promotions[0].promoted_by == "officer-1"
    assert log.promotions[-1].promoted_at.ToDatetime(UTC) >= began
    events = [
        events_pb2.ModelPromoted.FromString(each.data)
        for each in await desk.installation.broker().stored(STREAM)
        if ".model_promoted." in each.subject
    ]
    assert [each.version for each in events[-3:]] == [each.version for each in reversed(log.promotions)]


async def test_a_model_that_fails_a_gate_does_not_serve_unless_a_human_insists(desk: Desk) -> None:
    failed = await register(desk.installation, gates={"calibration": False, "latency": True})
    with refused("GATES_NOT_PASSED", "model_id") as caught:
        await desk.promote(failed)
    assert caught.value.metadata["gates"] == "calibration"
    await desk.promote(failed, CHALLENGER)
    named = request_id()
    promoted = await desk.promote(failed, named=named, despite_gates=True)
    assert promoted == await desk.promote(failed, named=named, despite_gates=True)
    with refused("HAS_ROLE", "role"):
        await desk.promote(failed)
    log = await desk.models.ListPromotions(model_pb2.ListPromotionsRequest(page_size=1))
    assert log.promotions[0].despite_gates


async def test_an_artefact_that_was_spoiled_does_not_serve(desk: Desk) -> None:
    spoiled = await register(desk.installation, artefact(ranks=PARTS.ranks[1:]))
    model = await desk.models.GetModel(model_pb2.GetModelRequest(model_id=spoiled))
    place = desk.installation.folder / "own" / "models" / model.artefact_sha256.hex()
    await asyncio.to_thread(_spoil, place / "model.json")
    with refused("MODEL_UNUSABLE"):
        await desk.promote(spoiled)


def _spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


async def test_models_are_listed_the_newest_first_page_by_page_and_an_unknown_one_is_refused(desk: Desk) -> None:
    made = [await register(desk.installation) for _ in range(3)]
    page = await desk.models.ListModels(model_pb2.ListModelsRequest(page_size=2))
    rest = await desk.models.ListModels(model_pb2.ListModelsRequest(page_size=500, page_token=page.next_page_token))
    listed = [each.model_id for each in [*page.models, *rest.models]]
    assert listed[:3] == made[::-1]
    assert len(set(listed)) == len(listed)
    assert not any(each.card for each in page.models)
    with refused("MODEL_NOT_FOUND", "model_id"):
        await desk.models.GetModel(model_pb2.GetModelRequest(model_id=new_id("model")))
    with refused("MODEL_NOT_FOUND"):
        await desk.models.GetModel(model_pb2.GetModelRequest(as_of=stamp(datetime(2001, 1, 1, tzinfo=UTC))))


async def test_a_challenger_scores_in_the_shadow_and_nobody_is_told_of_it(desk: Desk) -> None:
    champion = await register(desk.installation)
    challenger = await register(desk.installation, artefact(ranks=PARTS.ranks[2:]))
    await desk.promote(champion)
    await desk.promote(challenger, CHALLENGER)
    who = await desk.customer(40, 20)
    await desk.until_serving(champion, who)

    async def shadowed() -> bool:
        asked = monitoring_pb2.GetMonitoringReportRequest(model_id=challenger)
        return (await desk.models.GetMonitoringReport(asked)).scores > 0

    await eventually(shadowed, timeout_s=20)
    assert {each.model_id for each in await desk.told(who)} <= {champion}
    assert (await desk.score(who)).model_id == champion


async def test_a_report_says_which_model_and_how_many_scores_it_looked_at(desk: Desk) -> None:
    who = await desk.customer(20, 10)
    model_id = await register(desk.installation)
    await desk.promote(model_id)
    await desk.until_serving(model_id, who)

    async def counted() -> monitoring_pb2.MonitoringReport | None:
        asked = monitoring_pb2.GetMonitoringReportRequest(window_days=2)
        report = await desk.models.GetMonitoringReport(asked)
        return report if report.scores else None

    report = await eventually(counted, timeout_s=20)
    assert report.model_id == model_id
