"""Of whom nothing can be exported: what a webhook sends and an officer hands in is in the package, once."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from consent_desk import request_id
from consent_packages import table_of
from consent_privacy_desk import COMPLETED, PrivacyDesk, open_privacy_desk
from consent_privacy_rig import PrivacyRig, running_privacy_rig
from consent_webhooks import HOST, HOSTILE, SECRET, Warehouse, serving, with_records
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport.consent.v1 import consent_pb2, privacy_pb2
from rapport.consent.v1.privacy_request_pb2 import (
    PRIVACY_RIGHT_ACCESS,
    PRIVACY_RIGHT_ERASURE,
    PRIVACY_RIGHT_PORTABILITY,
    ParticipantTask,
    PrivacyRequest,
    PrivacyRight,
)
from rapport_chassis.rpc.status import RemoteError
from rapport_privacy.packages import verify_package
from rapport_testing.free_ports import free_port
from rapport_testing.pki import IssuedFiles, LocalAuthority
from rapport_testing.refusals import refused
from rapport_testing.waiting import eventually

pytestmark = pytest.mark.xdist_group("handing-in")  # one worker starts what all of them share

MOST_BYTES = 200_000
PATIENCE_S = 60.0
BOXES = [{"store": "boxes", "record_id": "b-1", "data": {"note": "owes us", "of": "Eva"}, "redacted": ["of"]}]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> IssuedFiles:
    """The certificate of the webhook."""
    return LocalAuthority(tmp_path_factory.mktemp("pki")).issue("old", dns=[HOST])


@pytest.fixture(scope="module")
def port() -> int:
    """Where the webhook is."""
    return free_port()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, certificate: IssuedFiles, port: int) -> Iterator[PrivacyRig]:
    """A service with a webhook and people among its participants; tests may kill it."""
    folder = tmp_path_factory.mktemp("handing-in")
    keys = certificate.key.with_name("webhook.keys")
    keys.write_text(SECRET)
    registered: list[dict[str, Any]] = [
        {"name": "archive", "kind": "MANUAL", "owner": "records office", "stores": [{"store": "boxes"}]},
        {
            "name": "warehouse",
            "kind": "WEBHOOK",
            "url": f"https://{HOST}:{port}/privacy",
            "keys_file": str(keys),
            "stores": [{"store": "orders", "category": "user.orders", "origin": "OBSERVED", "kept_days": 90}],
        },
    ]
    with running_privacy_rig(
        folder,
        more=registered,
        requests__webhook_inner=json.dumps({f"{HOST}:{port}": "127.0.0.1"}),
        requests__webhook_authorities=str(certificate.authorities),
        requests__handed_in_most_bytes=str(MOST_BYTES),
    ) as made:
        yield made


@pytest.fixture
async def desk(rig: PrivacyRig) -> AsyncIterator[PrivacyDesk]:
    """Where requests are made and decided."""
    async with open_privacy_desk(rig) as made:
        yield made


@pytest.fixture
async def warehouse(certificate: IssuedFiles, port: int) -> AsyncIterator[Warehouse]:
    """The webhook, which answers while the test runs."""
    system = Warehouse()
    async with serving(certificate, system, port):
        yield system


async def approved(desk: PrivacyDesk, *rights: PrivacyRight.ValueType) -> str:
    """A request that runs, of somebody whom all know."""
    email, (person,) = desk.rig.somebody()
    asked = await desk.verified(*rights, email=email, profile_id=person)
    await desk.approve(asked)
    return asked


async def task_of(desk: PrivacyDesk, asked: str, participant: str, kind: str = "ACCESS") -> ParticipantTask:
    """What a participant is asked, once it is."""

    async def found() -> ParticipantTask | None:
        for each in (await desk.get(asked)).tasks:
            if each.participant == participant and each.kind == common_pb2.PrivacyTaskKind.Value(
                f"PRIVACY_TASK_KIND_{kind}"
            ):
                return each
        return None

    return await eventually(found, PATIENCE_S)


def told(asked: str, task_id: str, *, boxes: int = 1) -> privacy_pb2.CompleteManualTaskRequest:
    """What an officer says of a task."""
    return privacy_pb2.CompleteManualTaskRequest(
        request_id=request_id(),
        privacy_request_id=asked,
        task_id=task_id,
        outcome=common_pb2.PRIVACY_TASK_OUTCOME_DONE,
        stores=[common_pb2.StoreResult(store="boxes", found=boxes, acted=boxes)],
        reason="box 7, second shelf",
    )


async def hand_in(
    stub: Any, task: privacy_pb2.CompleteManualTaskRequest, lines: bytes = with_records(BOXES[0], []), cut: int = 17
) -> PrivacyRequest:
    """Hand records in, in many pieces."""

    async def messages() -> AsyncIterator[privacy_pb2.HandInRecordsRequest]:
        yield privacy_pb2.HandInRecordsRequest(task=task)
        for at in range(0, len(lines), cut):
            yield privacy_pb2.HandInRecordsRequest(lines=lines[at : at + cut])

    answer: PrivacyRequest = await stub.HandInRecords(messages())
    return answer


async def opened(desk: PrivacyDesk, asked: str, right: PrivacyRight.ValueType, target: Path) -> Any:
    """The package of a request, verified with the published keys."""
    request = privacy_pb2.DownloadPackageRequest(privacy_request_id=asked, right=right)
    with target.open("wb") as file:
        async for chunk in desk.first.DownloadPackage(request):
            file.write(chunk.data)
    listed = await desk.ledger.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
    verify_package(target, {each.kid: each.public_key for each in listed.keys})
    return ZipFile(target)


def kept(rig: PrivacyRig, asked: str) -> int:
    """How many answers to a request have records that are kept."""
    with rig.database("consent") as connection:
        query = "SELECT count(*) FROM privacy_handed_records WHERE request_id = %s"
        return int((connection.execute(query, [asked]).fetchone() or [0])[0])


def pieces(rig: PrivacyRig) -> int:
    """How many pieces of records there are, whosever."""
    with rig.database("consent") as connection:
        return int((connection.execute("SELECT count(*) FROM privacy_handed_pieces").fetchone() or [0])[0])


async def test_records_of_a_webhook_and_of_people_are_in_the_package_like_everybody_elses(
    desk: PrivacyDesk, rig: PrivacyRig, warehouse: Warehouse, tmp_path: Path
) -> None:
    asked = await approved(desk, PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_PORTABILITY, PRIVACY_RIGHT_ERASURE)
    await hand_in(desk.first, told(asked, (await task_of(desk, asked, "archive")).task_id))
    await desk.until(asked, COMPLETED)
    with await opened(desk, asked, PRIVACY_RIGHT_ACCESS, tmp_path / "access.zip") as archive:
        names = archive.namelist()
        orders = json.loads(archive.read("data/warehouse/orders.json"))
        rows = table_of(archive, "data/warehouse/orders.csv")
        (box,) = json.loads(archive.read("data/archive/boxes.json"))
        pages = b"".join(archive.read(name) for name in names if name.endswith(".html")).decode()
        counted = {
            (each["participant"], each["store"]): (each["records"], each["withheld"], each["redacted"])
            for each in json.loads(archive.read("manifest.json"))["stores"]
        }
    assert [each["record_id"] for each in orders] == ["o-1", "o-2"]
    assert orders[0]["recorded_at"].startswith("2026-01-02T03:04:05")
    assert rows[0]["item"] == "'=cmd()"
    assert "DE00" not in json.dumps(orders) + pages
    assert box["data"]["note"] == "owes us"
    assert "Eva" not in json.dumps(box) + pages
    assert "<script>" not in pages
    assert "user.orders" in pages
    assert not [name for name in names if name.startswith("/") or ".." in name]
    assert [name for name in names if re.fullmatch(r"data/warehouse/etc-passwd-[0-9a-f]{8}\.json", name)]
    assert counted["warehouse", "orders"] == ("2", {"iban": "1"}, "0")
    assert counted["warehouse", HOSTILE] == ("1", {}, "0")
    assert counted["archive", "boxes"] == ("1", {}, "1")
    with await opened(desk, asked, PRIVACY_RIGHT_PORTABILITY, tmp_path / "portability.zip") as archive:
        names = archive.namelist()
    assert "data/warehouse/orders.json" in names
    assert not [name for name in names if "etc-passwd" in name or "archive" in name]
    answer = await desk.first.GetErasureCertificate(privacy_pb2.GetErasureCertificateRequest(privacy_request_id=asked))
    confirmed = {each["participant"]: each["confirmed_by"] for each in json.loads(answer.document)["answers"]}
    assert (confirmed["archive"], confirmed["warehouse"]) == ("officer-1", "webhook:warehouse")
    assert warehouse.asked(asked) == ["ACCESS", "ERASE", "PROBE"]
    assert kept(rig, asked) == 0
    audited = await desk.first.ListAuditEvents(privacy_pb2.ListAuditEventsRequest(target=asked))
    deeds = [(each.actor, each.reason) for each in audited.events if each.action.endswith("HandInRecords")]
    assert deeds == [("officer-1", "box 7, second shelf")]


async def test_what_is_handed_in_twice_or_around_a_kill_is_in_the_package_once(
    rig: PrivacyRig, warehouse: Warehouse, tmp_path: Path
) -> None:
    await rig.restart("request.called=kill")
    async with open_privacy_desk(rig) as desk:
        asked = await approved(desk, PRIVACY_RIGHT_ACCESS)
    await killed(rig)  # it had heard the webhook, and not taken what it said
    assert warehouse.asked(asked) == ["ACCESS"]
    await rig.restart("request.handed_in=kill")
    async with open_privacy_desk(rig) as desk:
        task = told(asked, (await task_of(desk, asked, "archive")).task_id)
        with pytest.raises(RemoteError):
            await hand_in(desk.first, task)
    await killed(rig)
    await rig.restart()
    async with open_privacy_desk(rig) as desk:
        assert not (await task_of(desk, asked, "archive")).HasField("answer")
        for cut in (17, 99):
            assert (await hand_in(desk.first, task, cut=cut)).privacy_request_id == asked
        with refused("REQUEST_ID_REUSED"):
            await hand_in(desk.first, task, with_records(BOXES[0] | {"record_id": "b-2"}, []))
        with refused("TASK_NOT_FOUND"):
            await hand_in(desk.first, told(asked, task.task_id))
        await desk.until(asked, COMPLETED)
        with await opened(desk, asked, PRIVACY_RIGHT_ACCESS, tmp_path / "access.zip") as archive:
            boxes = json.loads(archive.read("data/archive/boxes.json"))
            orders = json.loads(archive.read("data/warehouse/orders.json"))
    assert [each["record_id"] for each in boxes] == ["b-1"]
    assert [each["record_id"] for each in orders] == ["o-1", "o-2"]


async def killed(rig: PrivacyRig) -> None:
    """Wait until a failpoint has killed the service."""

    async def dead() -> bool:
        return not rig.service.is_running

    await eventually(dead, PATIENCE_S)
    await asyncio.to_thread(rig.service.wait_killed)


async def test_a_request_that_is_taken_back_takes_what_was_handed_in_along_and_asks_nobody_any_more(
    desk: PrivacyDesk, rig: PrivacyRig, certificate: IssuedFiles, port: int
) -> None:
    asked = await approved(desk, PRIVACY_RIGHT_ACCESS)
    await hand_in(desk.first, told(asked, (await task_of(desk, asked, "archive")).task_id))
    assert kept(rig, asked) == 1
    cancelled = privacy_pb2.CancelRequestRequest(request_id=request_id(), privacy_request_id=asked, reason="taken back")
    await desk.first.CancelRequest(cancelled)

    async def gone() -> bool:
        return kept(rig, asked) == 0

    await eventually(gone, PATIENCE_S)
    with rig.database("consent") as connection:
        connection.execute("UPDATE privacy_asked_tasks SET call_at = 'yesterday' WHERE request_id = %s", [asked])
    warehouse = Warehouse()
    async with serving(certificate, warehouse, port):
        another = await approved(desk, PRIVACY_RIGHT_ACCESS)
        await eventually(lambda: _answered(desk, another, "warehouse"), PATIENCE_S)
    assert warehouse.asked(asked) == []


async def test_what_cannot_be_taken_in_is_refused_with_its_reason_and_leaves_nothing(
    desk: PrivacyDesk, rig: PrivacyRig, warehouse: Warehouse
) -> None:
    asked = await approved(desk, PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE)
    task_id = (await task_of(desk, asked, "archive")).task_id
    await eventually(lambda: _answered(desk, asked, "warehouse"), PATIENCE_S)
    assert kept(rig, asked) == 1
    before = pieces(rig)
    good = with_records(BOXES[0], [])
    with refused("RECORDS_MALFORMED") as malformed:
        await hand_in(desk.first, told(asked, task_id), good * 2 + b'{"store": "boxes", "data"\n' + good * 900, 9999)
    assert malformed.value.metadata == {"line": "3", "why": "NO_JSON"}
    with refused("RECORDS_TOO_LONG"):
        await hand_in(desk.first, told(asked, task_id, boxes=9000), good * 9000, 50_000)
    assert pieces(rig) == before
    with refused("RECORDS_MISCOUNTED") as miscounted:
        await hand_in(desk.first, told(asked, task_id, boxes=2))
    assert miscounted.value.metadata == {"store": "boxes", "found": "2", "handed_in": "1"}
    with refused("TASK_NOT_FOUND"):
        await hand_in(desk.first, told(asked, (await task_of(desk, asked, "churn")).task_id))
    with refused("PERMISSION_DENIED"):
        await hand_in(desk.shop, told(asked, task_id), cut=9999)
    assert not (await task_of(desk, asked, "archive")).HasField("answer")
    await hand_in(desk.first, told(asked, task_id))
    erasing = (await task_of(desk, asked, "archive", "ERASE")).task_id
    with refused("RECORDS_NOT_ASKED"):
        await hand_in(desk.first, told(asked, erasing))
    await desk.until(asked, COMPLETED)
    assert kept(rig, asked) == 0


async def _answered(desk: PrivacyDesk, asked: str, participant: str) -> bool:
    return (await task_of(desk, asked, participant)).HasField("answer")
