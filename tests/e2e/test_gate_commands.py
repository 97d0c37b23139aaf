"""rapport gate, and a program of somebody else that holds one: the example of the page about embedding."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from rapport_chassis.ids import new_id
from rapport_testing.waiting import eventually_sync
from suite import Suite

ROUNDS = 60_000


@pytest.fixture
def purpose(running: Suite) -> str:
    """A purpose in force that rests on consent, with a brand."""
    running.run("login", "officer-1", "--role", "officer")
    purpose_id = f"promo.p{uuid4().hex[:8]}"
    terms = {"bases": [{"basis": "LEGAL_BASIS_CONSENT"}], "brand_scoped": True}
    for method, request in (
        ("UpsertPurpose", {"purpose_id": purpose_id, "terms": terms}),
        ("ActivatePurpose", {"purpose_id": purpose_id, "version": 1, "reason": "test"}),
        (
            "PublishNotice",
            {"notice_id": purpose_id, "locale": "en", "text": "May we?", "purpose_ids": [purpose_id], "reason": "test"},
        ),
    ):
        call(running, method, request)
    return purpose_id


def call(desk: Suite, method: str, request: dict[str, Any]) -> dict[str, Any]:
    done = desk.run("call", "--json", method, json.dumps(request))
    assert done.exit_code == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def grant(desk: Suite, person: str, purpose_id: str) -> dict[str, Any]:
    item = {"purpose_id": purpose_id, "brand_id": "north", "choice": "CONSENT_CHOICE_GRANT"}
    evidence = {"captured": {"surface": "test", "method": "CAPTURE_METHOD_CHECKBOX"}}
    notice = {"notice_id": purpose_id, "notice_version": 1, "locale": "en"}
    return call(desk, "RecordConsent", {"profile_id": person, "items": [item], "evidence": evidence, **notice})


def withdraw(desk: Suite, person: str, purpose_id: str) -> None:
    call(desk, "WithdrawConsent", {"profile_id": person, "purpose_ids": [purpose_id], "brand_id": "north"})


Start = Callable[[str, str], "subprocess.Popen[str]"]


@pytest.fixture
def start_sender(running: Suite) -> Iterator[Start]:
    """Starts the example as the page says."""
    started: list[subprocess.Popen[str]] = []

    def start(purpose_id: str, person: str) -> subprocess.Popen[str]:
        line = (
            'eval "$(rapport gate env sender)" && exec python -m rapport_privacy.examples.sender '
            f"{purpose_id} {person} --brand north --rounds {ROUNDS}"
        )
        process = subprocess.Popen(
            ["bash", "-c", line], env=running.variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_check_says_why_and_on_what_it_rests(running: Suite, purpose: str) -> None:
    person = new_id("profile")
    reference = grant(running, person, purpose)["entries"][0]["reference"]
    asked = ("gate", "check", person, purpose, "--brand", "north", "--market", "DE", "--category", "contact")

    def permitted() -> str | None:
        shown = running.run(*asked).stdout
        return shown if shown.startswith("PERMIT\n") else None

    shown = eventually_sync(permitted)
    for said in (
        "granted",
        "consent, version 1 of the purpose",
        f"{reference}, captured",
        f"{purpose}, version 1",
        "ms",
    ):
        assert said in shown
    assert running.run(*asked, "--ledger").stdout.startswith("PERMIT\n")
    decision = json.loads(running.run(*asked, "--json").stdout)
    assert (decision["answer"], decision["reference"]) == ("ANSWER_PERMIT", reference)
    assert int(decision["position"]["position"]) > 0

    withdraw(running, person, purpose)
    denied = running.run(*asked, "--ledger")
    assert denied.exit_code == 0
    assert denied.stdout.splitlines()[:2] == ["DENY", "  reason      withdrawn"]


def test_check_of_what_cannot_be_asked_is_refused_with_a_reason(running: Suite, purpose: str) -> None:
    person = new_id("profile")
    for arguments, said in (
        ((person, "promo.nothing"), "UNKNOWN_PURPOSE"),
        ((person, purpose), "BRAND_REQUIRED"),
        (("nobody", purpose), "entry.profile_id"),
        ((person, purpose, "--as", "nobody"), "there is no client 'nobody'"),
    ):
        refused = running.run("gate", "check", *arguments)
        assert refused.exit_code == 1
        assert said in refused.stderr


def test_variables_are_printed_for_those_alone_who_may_hold_a_gate(running: Suite) -> None:
    running.run("client", "add", "asker", "--may", "consent.checks.read")
    refused = running.run("gate", "env", "asker")
    assert refused.exit_code == 1
    assert "rapport client add asker --may consent.replica.read" in refused.stderr
    added = running.run("client", "add", "asker", "--may", "consent.replica.read")
    assert "rapport gate env" in added.stdout
    variables = running.run("gate", "env", "asker").stdout
    assert "export RAPPORT_GATE__NAME=asker" in variables
    assert running.run("gate", "env", "nobody").exit_code == 1


def test_program_with_a_gate_inside_permits_then_denies_and_is_shown_with_its_lag(
    running: Suite, purpose: str, start_sender: Start
) -> None:
    person = new_id("profile")
    reference = grant(running, person, purpose)["entries"][0]["reference"]
    running.run("client", "add", "sender", "--may", "consent.replica.read", "--may", "consent.checks.read")
    sender = start_sender(purpose, person)
    assert sender.stdout is not None
    first = json.loads(sender.stdout.readline())
    assert (first["answer"], first["reason"], first["reference"]) == ("PERMIT", "GRANTED", reference)

    def gates() -> dict[str, Any] | None:
        found = json.loads(running.run("gate", "lag", "--json").stdout)
        by_holder = {each["holder"]: each for each in found["gates"]}
        return {**by_holder, "head": found["head"]} if {"consent", "identity", "sender"} <= set(by_holder) else None

    found = eventually_sync(gates, 20)
    assert found["sender"]["pid"] == sender.pid
    for holder in ("consent", "identity", "sender"):
        assert found[holder]["position"] == found["head"]["position"]
        assert found[holder]["lag"] == 0
        assert found[holder]["staleness_s"] < 2
    table = running.run("gate", "lag").stdout.splitlines()
    assert table[0].split() == ["gate", "pid", "position", "lag", "staleness", "measured"]
    assert {"consent", "sender", "the"} <= {line.split()[0] for line in table[1:]}

    withdraw(running, person, purpose)
    second = json.loads(sender.stdout.readline())
    assert (second["answer"], second["reason"]) == ("DENY", "WITHDRAWN")
    assert second["position"] > first["position"]
