"""`rapport restore`: a kill at any moment leaves the one or the other, and neither forgets who was erased."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

from local_desk import Desk
from rapport_chassis.ids import new_id
from rapport_local.progress import Progress
from rapport_local.servers import database_server, started_alone
from rapport_testing.postgres_access import PostgresAccess

IN_BACKUP, SINCE = "in-the-backup", "since-the-backup"


def draft(desk: Desk, purpose_id: str) -> None:
    terms = {"bases": [{"basis": "LEGAL_BASIS_CONTRACT"}]}
    drafted = desk.run("call", "UpsertPurpose", json.dumps({"purpose_id": purpose_id, "terms": terms}))
    assert drafted.exit_code == 0, drafted.output


def at_rest(desk: Desk) -> tuple[set[str], set[str]]:
    """Start the servers alone, and return the databases of services and what the present one knows."""

    async def look() -> tuple[set[str], set[str]]:
        async with started_alone(desk.environment, Progress(lambda _: None)):
            return databases(database_server(desk.environment))

    return asyncio.run(look())


def databases(server: PostgresAccess) -> tuple[set[str], set[str]]:
    names = {name for (name,) in server.execute("SELECT datname FROM pg_database") if name.startswith("rapport_")}
    known = {authored for (authored,) in server.execute("SELECT id FROM authored_versions", "rapport_consent")}
    return names, known & {IN_BACKUP, SINCE}


def test_a_killed_restore_leaves_the_one_or_the_other_and_forgets_nobody(stoppable: Desk, tmp_path: Path) -> None:
    folder, erased = str(tmp_path / "backup"), new_id("profile")
    draft(stoppable, IN_BACKUP)
    assert stoppable.run("backup", folder).exit_code == 0
    draft(stoppable, SINCE)
    database_server(stoppable.environment).execute(
        f"INSERT INTO privacy_tombstones (profile_id, request_id) VALUES ('{erased}', 'req_0')", "rapport_consent"
    )
    stoppable.end(signal.SIGTERM)

    assert stoppable.killed("restore.replacing", "restore", folder) == -signal.SIGKILL
    assert at_rest(stoppable) == ({"rapport_consent"}, {IN_BACKUP, SINCE})

    assert stoppable.killed("restore.replaced", "restore", folder) == -signal.SIGKILL
    # Once more: by now nothing but the restored ledger knows who was erased since the backup.
    again = stoppable.run("restore", folder)
    assert again.exit_code == 0, again.output

    stoppable.up()
    assert databases(database_server(stoppable.environment)) == ({"rapport_consent"}, {IN_BACKUP})
    asked = json.dumps({"entry": {"profile_id": erased, "purpose_id": IN_BACKUP}})
    assert "ANSWER_DENY_FENCED" in stoppable.run("call", "--json", "CheckConsent", asked).stdout
