"""The commands on an environment that runs: calls, clients, traces, logs, audit, dead letters, receipts, doctor."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from nats.aio.client import Client
from rapport_chassis.events.pausing import pause
from rapport_chassis.events.tls import client_context
from rapport_local import broker
from rapport_local.databases import database_of, database_settings
from rapport_local.services import SERVICES
from rapport_testing.pki import LocalAuthority
from rapport_testing.waiting import eventually_sync
from suite import Suite

SOMEBODY = "prf_0000000000000000000000"


def test_call_answers_in_json(running: Suite) -> None:
    done = running.run("call", "--json", "GetLedgerHead")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["head"]["epoch"]


def test_call_without_a_method_lists_them_with_their_permissions(running: Suite) -> None:
    listed = running.run("call").stdout
    assert "consent.v1.ConsentService/CheckConsent" in listed
    assert "consent.purposes.activate" in listed


def test_call_takes_streams_both_ways(running: Suite) -> None:
    purpose = draft_and_activate(running)
    header = {"header": {"evidence": {"source": "crm", "exported_at": "2026-01-01T00:00:00Z", "file_sha256": "A" * 43}}}
    row = {
        "external_id": uuid4().hex,
        "profile_id": SOMEBODY,
        "purpose_id": purpose,
        "status": "CONSENT_STATUS_GRANTED",
    }
    batch = {"batch": {"rows": [{**row, "occurred_at": "2025-01-01T00:00:00Z"}]}}
    done = running.run("call", "--json", "RecordConsents", "-", stdin=f"{json.dumps(header)}\n{json.dumps(batch)}\n")
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["reference"]


def test_what_cannot_be_called_is_said_in_one_line(running: Suite) -> None:
    for arguments, said in (
        (("CheckConsent", '{"entry":'), "the request is not JSON: Expecting value at line 1, column 10"),
        (("CheckConsent", '{"entri": {}}'), 'has no field named "entri"'),
        (("CheckConsent", "[1]"), "is a JSON object"),
        (("CheckConsen",), "no running service has a method 'CheckConsen'"),
        (("CheckConsent", "@/does/not/exist"), "cannot be read"),
        (("GetLedgerHead", "{} {}"), "takes one request, not 2"),
        (("--as", "nobody", "GetLedgerHead"), "there is no client 'nobody'"),
    ):
        refused = running.run("call", *arguments)
        assert refused.exit_code == 1, arguments
        assert said in refused.stderr.splitlines()[0]
        assert "Traceback" not in refused.stderr
        assert refused.stdout == ""


def test_a_refusal_names_the_reason_the_field_and_what_to_do(running: Suite) -> None:
    refused = running.run("call", "CheckConsent", '{"entry": {"profile_id": "nobody", "purpose_id": "x.y"}}')
    assert refused.exit_code == 1
    assert refused.stderr.startswith("rapport: INVALID_REQUEST")
    assert "entry.profile_id" in refused.stderr
    as_json = running.run("call", "--json", "CheckConsent", f'{{"entry": {{"profile_id": "{SOMEBODY}"}}}}')
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["error"]["fields"][0]["path"] == "entry.purpose_id"


def test_a_client_may_call_what_it_was_given_and_nothing_else(running: Suite) -> None:
    added = running.run("client", "add", "checker", "--may", "consent.checks.read")
    assert added.exit_code == 0, added.stderr
    lines = added.stdout.splitlines()
    shown = lines[lines.index("Try it:") + 1].strip()
    eventually_sync(
        lambda: subprocess.run(["bash", "-c", shown], env=running.variables, capture_output=True).returncode == 0,
        message=f"the printed call works: {shown}",
    )
    python = "\n".join(line[2:] for line in lines[lines.index("  import grpc") :])
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ANSWER_DENY" in done.stdout
    refused = running.run("call", "--as", "checker", "GetLedgerHead")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[0] == "rapport: PERMISSION_DENIED: the caller does not hold consent.replica.read"


def test_a_human_operator_stands_behind_a_call_once_logged_in(running: Suite) -> None:
    activate = ("call", "ActivatePurpose", '{"purpose_id": "nothing", "version": 1, "reason": "test"}')
    running.run("logout")
    assert "ACTOR_TOKEN_MISSING" in running.run(*activate).stderr
    running.run("login", "analyst-1", "--role", "analyst")
    assert "ACTOR_PERMISSION_DENIED" in running.run(*activate).stderr
    running.run("login", "officer-1", "--role", "officer")
    refused = running.run(*activate).stderr
    assert "ACTOR" not in refused
    assert "rapport trace" in refused


def test_a_record_is_resolved_and_explained_and_a_steward_decides(running: Suite) -> None:
    draft_and_activate(running, "customer.service", basis="CONTRACT")  # what the source collects for
    running.run("logout")
    profiles = []
    for number in (uuid4().hex, uuid4().hex):
        record = {"key": {"source": "crm", "source_record_id": number}, "person": {"names": [{"full_name": number}]}}
        profiles.append(json.loads(resolved(running, record))["profileId"])
    merge = ("call", "--json", "MergeProfiles", json.dumps({"profile_ids": profiles, "reason": "test"}))
    refused = running.run("call", *merge[2:])
    assert refused.stderr.splitlines()[-1].strip().endswith("rapport login NAME --role steward")
    running.run("login", "steward-1", "--role", "steward")
    decided = running.run(*merge)
    assert decided.exit_code == 0, decided.stderr
    (profile,) = json.loads(decided.stdout)["profiles"]
    assert {profile["profileId"], *profile["redirectIds"]} == set(profiles)
    assert "steward-1" in running.run("audit").stdout
    verified = running.run("audit", "--verify").stdout
    assert all(f"{service.name}: " in verified for service in SERVICES)


@pytest.mark.timeout(200)
def test_trace_draws_the_call_and_the_event_it_published(running: Suite) -> None:
    draft_and_activate(running)
    drawn: dict[str, str] = {}  # other tests have activations that were refused, and published nothing

    def published() -> str | None:
        for line in running.run("trace").stdout.splitlines():
            if "ActivatePurpose" in line:
                drawn[line] = running.run("trace", line.split()[2][:12]).stdout
        return next((tree for tree in drawn.values() if "~> publish" in tree), None)

    tree = eventually_sync(published, 60)
    assert "Health/Check" not in running.run("trace").stdout
    assert "PurposeService/ActivatePurpose" in tree
    assert running.run("trace", "ffffffffffff").exit_code == 1


def test_status_counts_what_a_service_does(running: Suite) -> None:
    rates: list[float] = []

    def doing() -> dict[str, Any] | None:
        found = json.loads(running.run("status", "--json").stdout)["activity"]
        rates.extend(each["calls_per_s"] for each in found)
        return next((each for each in found if each["service"] == "consent"), None)

    before = eventually_sync(doing, 15)
    draft_and_activate(running)
    assert running.run("call", "CheckConsent", '{"entry": {"profile_id": "nobody"}}').exit_code == 1

    def counted() -> dict[str, Any] | None:
        now = doing()
        return now if now and now["refused"] > before["refused"] and now["sent"] > before["sent"] else None

    after = eventually_sync(counted, 15)
    assert after["calls"] >= before["calls"] + 3
    assert after["failed"] == before["failed"]
    assert max(rates) > 0
    assert after["outbox_age_s"] < 5
    heading = ["service", "calls", "calls/s", "refused", "failed", "sent", "handled", "outbox", "age"]

    def listed() -> list[str] | None:
        table = running.run("status").stdout.splitlines()
        at = next((number for number, line in enumerate(table) if line.startswith("service ")), 0)
        assert table[at].split() == heading
        return table if {line.split()[0] for line in table[at + 1 :]} == {each.name for each in SERVICES} else None

    table = eventually_sync(listed, 30)  # a process that another test has just ended comes back a little later
    assert max(map(len, table)) <= 80


def test_logs_are_lines_for_a_person(running: Suite) -> None:
    shown = running.run("logs", "consent").stdout
    assert re.search(r"^\d\d:\d\d:\d\d consent +(debug|info|warning) +\w+", shown, re.MULTILINE)
    assert '{"' not in shown
    unknown = running.run("logs", "consnt")
    assert unknown.exit_code == 1
    assert "consent" in unknown.stderr


def test_audit_shows_who_did_what_and_finds_what_was_changed(running: Suite) -> None:
    purpose = draft_and_activate(running)
    shown = running.run("audit").stdout
    assert "officer-1" in shown
    assert purpose in shown
    assert running.run("audit", "--verify").exit_code == 0
    with psycopg.connect(superuser_dsn(running), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit SET reason = reason || '!' WHERE position = 1")
        found = running.run("audit", "--verify")
        connection.execute("UPDATE audit SET reason = rtrim(reason, '!') WHERE position = 1")
    assert found.exit_code == 1
    assert "entry 1: the entry was changed" in found.stdout
    assert running.run("audit", "--verify").exit_code == 0


def test_a_receipt_is_verified_offline(running: Suite) -> None:
    purpose = draft_and_activate(running)
    folder = running.environment.folder
    receipt, keys = folder / "receipt.json", folder / "keys.json"
    receipt.write_text(json.dumps(receipt_of(running, grant(running, purpose))))
    keys.write_text(running.run("call", "--json", "consent.v1.ConsentService/ListSigningKeys").stdout)
    genuine = running.run("verify", str(receipt), "--keys", str(keys))
    assert genuine.exit_code == 0, genuine.stderr
    assert purpose in genuine.stdout
    assert "transparency log" in genuine.stdout
    document = json.loads(receipt.read_text())
    document["signature"] = document["signature"][::-1].lstrip("=") + "=="
    receipt.write_text(json.dumps(document))
    forged = running.run("verify", str(receipt), "--keys", str(keys))
    assert forged.exit_code == 1
    assert "not a genuine receipt" in forged.stderr


def test_a_running_service_signs_with_the_rotated_key_and_old_receipts_still_verify(running: Suite) -> None:
    receipt_id = grant(running, draft_and_activate(running))
    before = receipt_of(running, receipt_id)
    process = running.status().process("consent")
    rotated = running.run("keys", "rotate")
    assert rotated.exit_code == 0, rotated.stderr
    after = eventually_sync(
        lambda: next((new for new in [receipt_of(running, receipt_id)] if new["kid"] != before["kid"]), None)
    )
    assert after["kid"] in rotated.stdout
    listed = [line.split() for line in running.run("keys", "list").stdout.splitlines()]
    assert listed[1][:3] == ["consent", after["kid"], "active"]
    assert listed[2][:3] == ["consent", before["kid"], "retired"]
    keys, folder = running.environment.folder / "keys.json", running.environment.folder
    keys.write_text(running.run("call", "--json", "consent.v1.ConsentService/ListSigningKeys").stdout)
    for receipt in (before, after):
        (folder / "receipt.json").write_text(json.dumps(receipt))
        assert running.run("verify", str(folder / "receipt.json"), "--keys", str(keys)).exit_code == 0
    assert running.status().process("consent") == process, "it was not restarted"


def test_a_dead_letter_is_listed_shown_replayed_and_discarded(running: Suite) -> None:
    publish_as_identity(running, b"\xff no event at all")
    letters = eventually_sync(lambda: running.run("dlq", "list", "--json").stdout.splitlines(), 30)
    letter = json.loads(letters[-1])
    assert letter["consumer"] == "consent-profiles"
    shown = json.loads(running.run("dlq", "show", str(letter["number"])).stdout)
    assert shown["event"]["bytes"] == len(b"\xff no event at all")
    assert "dead letter" in running.run("doctor").stdout
    assert running.run("dlq", "replay", str(letter["number"])).exit_code == 0
    again = eventually_sync(
        lambda: [
            each
            for each in map(json.loads, running.run("dlq", "list", "--json").stdout.splitlines())
            if each["number"] > letter["number"]
        ],
        30,
        message="the replay fails again and is a dead letter once more",
    )
    assert again[0]["sequence"] == letter["sequence"]
    assert running.run("dlq", "discard", *(str(each["number"]) for each in again)).exit_code == 0
    assert running.run("dlq", "list").stdout == "There are no dead letters.\n"
    assert running.run("dlq", "show", "999").exit_code == 1


def test_the_doctor_finds_a_paused_consumer_and_the_cure_works(running: Suite) -> None:
    assert running.run("doctor").exit_code == 0

    async def stop_it() -> None:
        async with database_of(running.environment, SERVICES[0]) as connection:
            await pause(connection, "consent-profiles", reason="TEST", failures=20)

    asyncio.run(stop_it())
    found = running.run("doctor")
    assert found.exit_code == 1
    assert "consumer consent-profiles paused itself" in found.stdout
    assert running.run("dlq", "resume", "consent-profiles").stdout == "consent-profiles goes on.\n"
    eventually_sync(lambda: running.run("doctor").exit_code == 0, 30)


def test_the_doctor_finds_a_stream_that_is_not_as_declared(running: Suite) -> None:
    stream = broker.topology().streams[-1]
    change_stream(running, stream.name, {**stream.config, "max_age": 0, "duplicate_window": 60 * 10**9})
    found = running.run("doctor")
    change_stream(running, stream.name, stream.config)
    assert found.exit_code == 1
    assert f"stream {stream.name}: max_age is 0" in found.stdout
    assert running.run("doctor").exit_code == 0


def draft_and_activate(desk: Suite, purpose: str = "", *, basis: str = "CONSENT") -> str:
    """A purpose, of the test's own if it has no name, put in force by an officer."""
    purpose = purpose or f"p{uuid4().hex[:12]}"
    terms = {"bases": [{"basis": f"LEGAL_BASIS_{basis}"}]}
    assert desk.run("login", "officer-1", "--role", "officer").exit_code == 0
    drafted = desk.run("call", "--json", "UpsertPurpose", json.dumps({"purpose_id": purpose, "terms": terms}))
    assert drafted.exit_code == 0, drafted.stderr
    activate = {"purpose_id": purpose, "version": json.loads(drafted.stdout)["version"], "reason": "test"}
    done = desk.run("call", "ActivatePurpose", json.dumps(activate))
    assert done.exit_code == 0, done.stderr
    return purpose


def resolved(desk: Suite, record: dict[str, Any]) -> str:
    """What a record is answered, once the gate of the service knows the purpose it is collected for."""

    def answer() -> str:
        done = desk.run("call", "--json", "ResolveRecord", json.dumps({"record": record}))
        assert done.exit_code == 0, done.stderr
        return str(done.stdout)

    return eventually_sync(answer, 30)


def grant(desk: Suite, purpose: str) -> str:
    """Record a grant and return the id of its receipt."""
    item = {"purpose_id": purpose, "choice": "CONSENT_CHOICE_GRANT"}
    request = {"profile_id": SOMEBODY, "items": [item], "evidence": {"declared": {"rule": "store-card"}}}
    done = desk.run("call", "--json", "RecordConsent", json.dumps(request))
    assert done.exit_code == 0, done.stderr
    return str(json.loads(done.stdout)["entries"][0]["receiptId"])


def receipt_of(desk: Suite, receipt_id: str) -> dict[str, str]:
    """The receipt as it is signed now."""
    done = desk.run("call", "--json", "GetReceipt", json.dumps({"receipt_id": receipt_id}))
    assert done.exit_code == 0, done.stderr
    receipt: dict[str, str] = json.loads(done.stdout)
    return receipt


def superuser_dsn(desk: Suite) -> str:
    dsn = database_settings(desk.environment, SERVICES[0]).dsn.get_secret_value()
    options = psycopg.conninfo.conninfo_to_dict(dsn)
    return psycopg.conninfo.make_conninfo(host=options["host"], dbname=options["dbname"], user="postgres")


@asynccontextmanager
async def nats_client(desk: Suite, user: str) -> AsyncIterator[Client]:
    nats = desk.status().process("nats")
    assert nats is not None
    settings = broker.settings_for(desk.environment, f"tls://{nats.address}", user)
    assert settings.tls is not None
    client = Client()
    await client.connect(settings.url, tls=client_context(settings.tls), inbox_prefix=f"_INBOX.{user}".encode())
    try:
        yield client
    finally:
        await client.close()


def publish_as_identity(desk: Suite, payload: bytes) -> None:
    """Publish what no service would, as identity may."""
    LocalAuthority(desk.environment.certificates).issue("identity")

    async def publish() -> None:
        async with nats_client(desk, "identity") as client:
            await client.jetstream().publish("rapport.identity.v1.profiles_merged.00", payload)

    asyncio.run(publish())


def change_stream(desk: Suite, name: str, config: object) -> None:
    """Change a stream behind the back of what is declared."""

    async def change() -> None:
        async with nats_client(desk, "provision") as client:
            answer = await client.request(f"$JS.API.STREAM.UPDATE.{name}", json.dumps(config).encode())
            assert "error" not in json.loads(answer.data), answer.data

    asyncio.run(change())


def test_the_record_of_processing_activities_says_what_each_service_keeps_and_how_long(running: Suite) -> None:
    rows = list(csv.DictReader(running.run("privacy", "activities", "--csv").stdout.splitlines()))
    kept = {(row["service"], row["store"]): row["kept for"] for row in rows}
    assert {service for service, _ in kept} >= {each.name for each in SERVICES if each.participant}
    assert kept["identity", "touchpoints"] == "1095 days"
    assert kept["consent", "privacy_requests"] == "730 days"
