"""`rapport privacy`: an erasure over all services that run here, from the officer's desk to the proof."""

from __future__ import annotations

import json
import uuid
import zipfile
from pathlib import Path

import psycopg
from click.testing import Result
from local_desk import Desk
from psycopg import sql
from rapport_local.databases import database_settings
from rapport_local.services import SERVICES
from rapport_testing.waiting import eventually_sync

PURPOSES = {"customer.service": "CONTRACT", "privacy.requests": "LEGAL_OBLIGATION"}


def done(result: Result) -> str:
    """What a command wrote, which must have gone well."""
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


def purposes(desk: Desk) -> None:
    """Have purposes in force without which nobody is taken in, or written to."""
    for purpose_id, basis in PURPOSES.items():
        terms = {"bases": [{"basis": f"LEGAL_BASIS_{basis}"}]}
        drafted = desk.run("call", "--json", "UpsertPurpose", json.dumps({"purpose_id": purpose_id, "terms": terms}))
        version = json.loads(done(drafted))["version"]
        active = {"purpose_id": purpose_id, "version": version, "reason": "needed"}
        done(desk.run("call", "ActivatePurpose", json.dumps(active)))


def customer(desk: Desk, email: str) -> str:
    """Have somebody taken in, and return their profile."""
    record = {
        "key": {"source": "crm", "source_record_id": email},
        "market": "DE",
        "person": {"identifiers": [{"kind": "IDENTIFIER_KIND_EMAIL", "value": email}]},
    }

    def taken() -> str | None:
        answer = desk.run("call", "--json", "ResolveRecord", json.dumps({"record": record}))
        return json.loads(answer.stdout)["profileId"] if answer.exit_code == 0 else None

    profile_id = eventually_sync(taken, 30)
    done(desk.run("call", "WithdrawConsent", json.dumps({"profile_id": profile_id})))
    return profile_id


def outcome_of_lookup(desk: Desk, email: str) -> str:
    """Whether identity knows an address."""
    wanted = {"identifier": {"kind": "IDENTIFIER_KIND_EMAIL", "value": email}}
    return str(json.loads(done(desk.run("call", "--json", "LookupProfile", json.dumps(wanted))))["outcome"])


def held_anywhere(desk: Desk, canary: str) -> list[str]:
    """Where a string is found: tables of every database, streams, logs, spans."""
    found = []
    for service in SERVICES:
        for database in service.databases:
            owner = database_settings(desk.environment, service, database).owner_dsn
            assert owner is not None
            with psycopg.connect(owner.get_secret_value()) as connection:
                tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
                for (table,) in tables:
                    query = sql.SQL("SELECT count(*) FROM {} AS held WHERE held::text LIKE %s").format(
                        sql.Identifier(table)
                    )
                    row = connection.execute(query, [f"%{canary}%"]).fetchone()
                    found += [f"{database.name}.{table}"] if row and row[0] else []
    for path in desk.environment.folder.rglob("*"):
        if path.is_file() and "postgres" not in path.parts and canary.encode() in path.read_bytes():
            found.append(str(path))
    return found


def test_an_erasure_over_all_services_is_asked_for_approved_and_proven(running: Desk, tmp_path: Path) -> None:
    tag = uuid.uuid4().hex[:12]
    email, other = f"erna.{tag}@posteo.net", f"otto.{tag}@posteo.net"
    running.run("login", "officer-1", "--role", "officer")
    purposes(running)
    person, bystander = customer(running, email), customer(running, other)
    asked = done(
        running.run("privacy", "open", "--right", "access", "--right", "erasure", "--email", email, "--market", "DE")
    ).strip()
    assert "IDENTITY_AWAITED" in done(running.run("privacy", "list"))
    done(running.run("privacy", "verify", asked, "--document", "PASSPORT"))

    def found() -> bool:
        return person in done(running.run("privacy", "show", asked))

    eventually_sync(found, 60)
    assert "SAME_ACTOR" in running.run("privacy", "approve", asked, "--reason", "mine").stderr
    running.run("login", "officer-2", "--role", "officer")
    done(running.run("privacy", "approve", asked, "--reason", "checked"))

    def completed() -> bool:
        shown = json.loads(done(running.run("privacy", "show", asked, "--json")))
        return bool(shown["state"] == "PRIVACY_REQUEST_STATE_COMPLETED")

    eventually_sync(completed, 120)
    package, certificate, keys = (tmp_path / name for name in ("package.zip", "certificate.json", "keys.json"))
    done(running.run("privacy", "package", asked, str(package)))
    archive = zipfile.ZipFile(package)
    assert any(email.encode() in archive.read(name) for name in archive.namelist())
    done(running.run("privacy", "certificate", asked, str(certificate)))
    keys.write_text(done(running.run("call", "--json", "consent.v1.ConsentService/ListSigningKeys")))
    verified = done(running.run("verify", str(certificate), "--keys", str(keys)))
    assert "nothing_held" in verified.lower()
    assert outcome_of_lookup(running, email) == "LOOKUP_OUTCOME_NOT_FOUND"
    assert outcome_of_lookup(running, other) == "LOOKUP_OUTCOME_FOUND"
    assert "PROFILE_ERASED" in running.run("call", "GetProfile", json.dumps({"profile_id": person})).stderr
    done(running.run("call", "GetProfile", json.dumps({"profile_id": bystander})))
    assert held_anywhere(running, email) == []
    register = done(running.run("privacy", "list", "--all", "--csv")).splitlines()
    assert [line.split(",")[1] for line in register if line.startswith(asked)] == ["completed"]
