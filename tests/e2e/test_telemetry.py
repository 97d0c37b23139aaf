"""One journey across the suite as telemetry tells it: every service, every signal, every edge, and nobody's name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from uuid import uuid4

import pytest
from opentelemetry.trace import SpanKind
from rapport_chassis.telemetry.conventions import RPC_SERVER_DURATION
from rapport_chassis.telemetry.metrics_export import read_snapshots
from rapport_chassis.telemetry.span_file import read_spans
from rapport_chassis.telemetry.span_record import SpanRecord
from rapport_local.environment import Environment
from rapport_local.services import SERVICES
from rapport_testing.waiting import eventually_sync
from suite import Suite
from suite_calm import Calm
from suite_job import MainJob
from suite_shop import open_shop, request_id

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/local/mappings/example"
NAMES = {service.name for service in SERVICES}
CANARIES = ("Zqkanary", "zq-kanary", "Qzkanarystreet", "7700900777")
JOURNEY = (
    ("churn", "score again"),
    ("pricing", "risk_raised"),
    ("notification", "offer_created"),
    ("notification", "hand over"),
)
"""The spans from a score to a mail, by service and what each is called; each links to the one before."""
ASKED = {
    "GetLedgerHead": "{}",
    "ListProfiles": "{}",
    "RankProfiles": "{}",
    "ListOffers": '{"profile_id": "prf_00000000"}',
    "ListTriggers": "{}",
}
"""A call of each service, so that each has answered one."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example of an import, of people who are called as nobody else is."""
    folder = tmp_path_factory.mktemp("journey")
    mapping = (EXAMPLE / "mapping.yaml").read_text(encoding="utf-8").replace("name: example", "name: telemetry")
    (folder / "mapping.yaml").write_text(mapping.replace("example.customers", "telemetry.customers"), encoding="utf-8")
    for name in ("orders.jsonl", "decisions.csv"):
        (folder / name).write_text((EXAMPLE / name).read_text(encoding="utf-8"), encoding="utf-8")
    header, first, *others = (EXAMPLE / "customers.csv").read_text(encoding="utf-8").splitlines()
    planted = first.replace("Ada Lovelace", "Zqkanary Zqkanary").replace("ada@", "zq-kanary@")
    planted = planted.replace("12 Larch Road", "12 Qzkanarystreet").replace("+44 7700 900101", "+447700900777")
    assert all(each in planted for each in CANARIES)
    (folder / "customers.csv").write_text("\n".join([header, planted, *others]), encoding="utf-8")
    return folder


def order(identifier: dict[str, str]) -> dict[str, object]:
    line = {"item": {"product_id": "prd_00000mug"}, "quantity": 1}
    placed = {"order_id": f"ord_{uuid4().hex}", "lines": [line], "total": {"currency_code": "GBP", "units": "9"}}
    touchpoint = {
        "occurred_at": "2024-05-01T10:00:00Z",
        "channel": "CHANNEL_WEB",
        "purpose_ids": ["order.delivery", "analytics.visits"],
        "order_placed": placed,
    }
    return {
        "source": "webshop",
        "source_event_id": uuid4().hex,
        "identifiers": [identifier],
        "touchpoint": touchpoint,
    }


@pytest.mark.timeout(300)
def test_a_journey_is_told_whole_by_every_service_and_names_nobody(
    run: Run, environment_folder: Path, journey: Path
) -> None:
    run("rapport login officer-1 --role officer")
    taken_in = run(f"rapport ingest {journey}/mapping.yaml --with-purposes --json")
    assert taken_in.returncode == 0, taken_in.stderr
    assert json.loads(taken_in.stdout)["stages"]["transactions 1 orders"]["recorded"] == 3
    # An import is not recorded call by call; one more order comes as a shop sends it.
    identifier = {"kind": "IDENTIFIER_KIND_ACCOUNT", "namespace": "telemetry.customers", "value": "C-1"}
    bought = run(f"rapport call IngestTouchpoint {quote(json.dumps({'touchpoint': order(identifier)}))}")
    assert "TOUCHPOINT_OUTCOME_RECORDED" in bought.stdout, bought.stderr
    for method, request in ASKED.items():
        asked = run(f"rapport call {method} {quote(request)}")
        assert asked.returncode == 0, asked.stderr
    telemetry = Environment.at(environment_folder).telemetry

    def spans() -> list[SpanRecord] | None:
        found = read_spans([telemetry], "")
        ended = {(each.service, each.kind) for each in found}
        return found if ("churn", SpanKind.CONSUMER) in ended and {name for name, _ in ended} >= NAMES else None

    def measured() -> bool:
        counted = {
            snapshot["service"]
            for snapshot in read_snapshots([telemetry])
            for row in snapshot["metrics"]
            if row["name"] == RPC_SERVER_DURATION.name and row["count"]
        }
        return counted >= NAMES

    found = eventually_sync(spans, 30, message="every service has written spans")
    assert found is not None
    eventually_sync(measured, 30, message="every service has written metrics")
    for name in NAMES:
        log = Environment.at(environment_folder).log_of(name).read_text(encoding="utf-8")
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        assert {line["service"] for line in lines} == {name}

    # Producer and consumer: what churn does with an order links to the call that brought it to identity.
    by_id = {each.span_id: each for each in found}
    handled = [each for each in found if each.service == "churn" and "touchpoint_recorded" in each.name]
    assert handled
    producers = [by_id[span_id] for each in handled for _, span_id in each.links if span_id in by_id]
    assert any(each.service == "identity" and each.name.endswith("/IngestTouchpoint") for each in producers)
    # Client and server: a call that one service makes of another is one trace.
    called = [each for each in found if each.kind is SpanKind.SERVER and each.parent_id in by_id]
    pairs = {(by_id[each.parent_id].service, each.service) for each in called}
    assert ("identity", "consent") in pairs

    written = [
        path for folder in ("telemetry", "logs", "data/nats") for path in (environment_folder / folder).rglob("*")
    ]
    for path in (each for each in written if each.is_file()):
        content = path.read_bytes()
        assert not [canary for canary in CANARIES if canary.encode() in content], path


async def test_a_mail_is_linked_to_the_offer_it_speaks_of_the_risk_and_the_score(suite: Suite, calm: Calm) -> None:
    async with open_shop(suite) as shop:
        await MainJob(shop, f"traced{request_id()[:8]}", 2, calm.base).run()

    def told() -> bool:
        found = read_spans([suite.environment.telemetry], "")
        first, *others = [
            [each for each in found if each.service == who and what in each.name] for who, what in JOURNEY
        ]
        ids = {each.span_id for each in first}
        for step in others:
            ids = {each.span_id for each in step if ids.intersection(span_id for _, span_id in each.links)}
        return bool(ids)

    eventually_sync(told, 30, message="every step of a journey links to the one before")
