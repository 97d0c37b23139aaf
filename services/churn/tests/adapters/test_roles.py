"""Which model serves a process: the last that could be loaded, but never one that knew somebody who was erased."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from churn_model import artefact
from rapport_chassis.clock import SystemClock
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.telemetry.setup import Telemetry
from rapport_churn.adapters.log import FactLog
from rapport_churn.adapters.models import DatabaseModels
from rapport_churn.adapters.registry import Registry
from rapport_churn.adapters.scorers import load
from rapport_churn.adapters.serving import Roles
from rapport_churn.adapters.teaching import RegisteredTeaching
from rapport_churn.app.models import Promotion, Role, Stored
from rapport_churn.app.ports import Scope
from rapport_churn.domain.membership import Membership

AT = datetime(2026, 1, 2, tzinfo=UTC)
SALT = b"salt"


def learned_from(*people: str) -> dict[str, bytes]:
    """The files of a model that says whom it was learned from."""
    members = Membership.of([(who, 1) for who in people], SALT)
    card = json.dumps({"salt": SALT.hex(), "people": len(people)}).encode()
    return {**artefact(), "card.json": card, "members.bin": members.dump()}


async def promoted(database: Database, folder: Path, version: int, files: dict[str, bytes]) -> Path:
    """Make a model the champion; return where its artefact lies."""
    digest = Registry(folder).put(files)
    async with database.transaction() as connection:
        store = DatabaseModels(connection)
        head = await FactLog(database).head()
        await store.add(Stored(f"mdl_{version}", digest, b"", head.epoch, head.position, AT))
        await store.promote(Promotion(Role.CHAMPION, version, f"mdl_{version}", "", AT, "officer", "tested", False))
    return folder / digest.hex()


async def removed(database: Database, who: str, scope: Scope) -> None:
    async with database.transaction() as connection:
        await FactLog.note(connection, [who], scope, {}, AT)


async def test_what_cannot_be_loaded_leaves_the_model_before_in_place_unless_it_knew_somebody_who_was_erased(
    opened: Database, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    roles = Roles(opened, registry, RegisteredTeaching(registry), load, 1.0, Telemetry.off().meter, SystemClock())
    await promoted(opened, tmp_path, 1, learned_from("prf_a", "prf_b"))
    await roles.refresh()
    shutil.rmtree(await promoted(opened, tmp_path, 2, learned_from("prf_b")))
    await removed(opened, "prf_other", Scope.ALL)
    await removed(opened, "prf_a", Scope.FACTS)
    for who, serving in (("prf_stranger", "mdl_1"), ("prf_a", None)):
        await removed(opened, who, Scope.ALL)
        with pytest.raises(RapportError, match="artefact"):
            await roles.refresh()
        assert (roles.champion.model_id if roles.champion else None) == serving
