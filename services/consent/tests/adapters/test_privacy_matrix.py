"""Whoever is killed, before and after every step, whatever races: each request ends, and nothing goes that may not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from consent_matrix import HOLDERS, Parts
from consent_participants import MIGRATIONS
from consent_story import Story
from rapport_chassis import failpoints
from rapport_chassis.database.engine import Database
from rapport_chassis.database.migrate import upgrade
from rapport_chassis.database.roles import RolePasswords, create_service_database
from rapport_chassis.settings import DatabaseSettings
from rapport_consent.domain.request_stages import Stage
from rapport_consent.domain.tasks import TaskKind
from rapport_testing.clock import TestClock
from rapport_testing.databases import Database as MadeDatabase
from rapport_testing.plugin import MakeDatabase
from rapport_testing.prove import Scale

PASSWORDS = RolePasswords(owner="owner-secret", runtime="runtime-secret")
TURNED = ("EXCLUDE", "CONFIRM", "SEAL", "REVIEW", "CAPTURE")
"""Stages that act outside of their transaction: they have failpoints of their own in place of the one in it."""

COORDINATOR = [
    *(f"request.{stage.lower()}" for stage in Stage),
    *(f"request.{stage.lower()}.committing" for stage in Stage if stage not in TURNED),
    *(f"request.{stage.lower()}.done" for stage in Stage),
    *(
        f"request.{at}"
        for at in ("searched", "letter_sent", "excluded", "compared", "sealed", "captured", "called", "wound_up")
    ),
    *(f"package.{at}" for at in ("spooled", "rendered", "sealed")),
]
PARTICIPANTS = [f"privacy.{at}" for at in ("acting", "acted", "purged", "published_erased", "answering")]
PASSAGES = 4
"""An erasure takes a participant some four tasks, each with these steps."""

KILLS = [*((at, 1) for at in COORDINATOR), *((at, n) for at in PARTICIPANTS for n in range(1, 2 * PASSAGES + 1))]

CHUNKS = 10
"""What is proven is proven in parts, so that a run that was interrupted goes on with those that are left."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have one part of what is small."""
    if "chunk" in metafunc.fixturenames:
        metafunc.parametrize("chunk", range(CHUNKS if metafunc.config.getoption("scale") == "full" else 1))


def _build(made: MadeDatabase) -> None:
    create_service_database(made.access.dsn(), "notes", PASSWORDS, database=made.name)
    upgrade(_settings(made), MIGRATIONS)


def _settings(made: MadeDatabase) -> DatabaseSettings:
    return DatabaseSettings.model_validate(
        {
            "dsn": made.dsn("rapport_notes", PASSWORDS.runtime),
            "owner_dsn": made.dsn("rapport_notes_owner", PASSWORDS.owner),
        }
    )


@pytest.fixture
async def parts(settings: DatabaseSettings, database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Parts]:
    """All that takes part."""
    opened = {"consent": Database(settings, service="consent")}
    for name in HOLDERS:
        made = database(_build)
        create_service_database(made.access.dsn(), "notes", PASSWORDS, database=made.name)
        opened[name] = Database(_settings(made), service=name)
    for each in opened.values():
        await each.open()
    consent = opened.pop("consent")
    yield Parts(consent, opened, tmp_path, random.Random(), TestClock(datetime.now(UTC)))
    failpoints.disarm()
    for each in (consent, *opened.values()):
        await each.close()


@pytest.mark.heavy
@pytest.mark.timeout(7200)
async def test_whoever_is_killed_each_request_ends_and_nothing_goes_that_may_not(
    parts: Parts, scale: Scale, chunk: int, prove, progress
) -> None:
    cases = [(at, passage, seed) for seed in range(scale.pick(small=1, full=5)) for at, passage in KILLS]
    cases = cases[chunk::CHUNKS] if scale.is_full else random.Random(11).sample(cases, 2)
    bar = progress(len(cases), f"stories under kills, part {chunk + 1} of {CHUNKS}")
    killed = reopened = 0
    for at, passage, seed in cases:
        parts.rng = random.Random(f"{at}/{passage}/{seed}")
        before = parts.kills
        story = Story(parts, parts.rng)
        await story.begin()
        failpoints.arm(f"{at}=raise@{passage}")
        try:
            await story.run()
            await story.assert_ended_well()
        except BaseException as error:
            error.add_note(f"killed at {at}, passage {passage}, seed {seed}")
            raise
        finally:
            failpoints.disarm()
        killed += parts.kills > before
        reopened += story.reopened > 0
        bar.advance()
    assert killed > len(cases) // 2
    figures = {"stories": len(cases), "killed": killed, "reopened": reopened}
    prove("consent", **{f"matrix_{name}_{chunk}": figure for name, figure in figures.items()})


class Late(Story):
    """Something about the person comes in between their erasure and the look at what is left."""

    came_late = False

    async def _somebody_works(self) -> bool:
        if not self.came_late and await self._at("PROBE"):
            self.came_late = True
            await self._note("churn", self.ids[0], "likes green")
        return await super()._somebody_works()

    async def _at(self, stage: str) -> bool:
        return stage in [(await self._get(each)).stage for each in self.requests]


async def test_what_was_under_way_while_the_person_was_erased_is_erased_before_it_is_certified(parts: Parts) -> None:
    story = Late(parts, random.Random(3))
    await story.begin()
    await story.run()
    assert story.came_late
    await story.assert_ended_well()
    async with parts.store.unit() as unit:
        tasks = [task for each in story.requests for task in await unit.tasks.of(each)]
    again = [task for task in tasks if task.kind in (TaskKind.ERASE, TaskKind.PROBE) and task.attempt]
    assert {(task.participant, task.kind) for task in again} >= {("churn", TaskKind.ERASE), ("churn", TaskKind.PROBE)}
