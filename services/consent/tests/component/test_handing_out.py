"""What a person is handed: all that is held and nothing else, by a link that is theirs, and verified by anybody."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest
from consent_desk import request_id
from consent_privacy_desk import COMPLETED, PrivacyDesk, contest
from consent_privacy_rig import PrivacyRig
from rapport.consent.v1 import consent_pb2, privacy_pb2
from rapport.consent.v1.privacy_request_pb2 import PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, RightAsked
from rapport_chassis.ids import new_id
from rapport_privacy.certificates import verify_certificate
from rapport_privacy.packages import verify_package
from rapport_testing.prove import Scale

pytestmark = pytest.mark.xdist_group("privacy")  # one worker starts what all of them share

MOST_KIB: Final = 250 * 1024
_PLANTED: Final = re.compile(r"planted-\d+")


async def link_to(desk: PrivacyDesk, asked: str) -> str:
    """The link by which a person fetches their package."""
    return (await desk.first.GetPackageLink(privacy_pb2.GetPackageLinkRequest(privacy_request_id=asked))).link


async def test_what_is_handed_out_is_verified_by_whoever_has_it_and_fetched_by_a_link(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig, tmp_path: Path
) -> None:
    email, (person,) = privacy_rig.somebody()
    asked = await privacy_desk.verified(PRIVACY_RIGHT_ACCESS, PRIVACY_RIGHT_ERASURE, email=email, profile_id=person)
    await privacy_desk.approve(asked)
    await privacy_desk.until(asked, COMPLETED)
    listed = await privacy_desk.ledger.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
    keys = {each.kid: each.public_key for each in listed.keys}
    link = await link_to(privacy_desk, asked)
    status, content = await asyncio.to_thread(privacy_rig.fetch, link)
    assert status == 200
    downloaded = await privacy_desk.download(asked, tmp_path / "package.zip")
    assert content == downloaded.read_bytes()
    assert verify_package(downloaded, keys).manifest["request_id"] == asked
    assert (await asyncio.to_thread(privacy_rig.fetch, link[:-6] + "AAAAAA"))[0] in (400, 403, 404)
    certificate = await privacy_desk.first.GetErasureCertificate(
        privacy_pb2.GetErasureCertificateRequest(privacy_request_id=asked)
    )
    fields = verify_certificate(
        certificate.document,
        certificate.signature,
        keys[certificate.kid],
        log_proof=certificate.log_proof,
        log_keys=list(keys.values()),
    )
    assert certificate.log_proof
    assert fields["request_id"] == asked
    assert certificate.pdf.startswith(b"%PDF-")


async def test_a_link_is_dead_once_the_request_is_taken_back_that_it_rests_on(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig
) -> None:
    email, (person,) = privacy_rig.somebody()
    asked = (
        await privacy_desk.create(
            email=email, rights=[RightAsked(right=PRIVACY_RIGHT_ACCESS), contest(new_id("decision"))]
        )
    ).privacy_request_id
    await privacy_desk.login(asked, person)
    await privacy_desk.approve(asked)
    await privacy_desk.held_up(asked, "REVIEW_AWAITED", "REVIEW")
    link = await link_to(privacy_desk, asked)
    assert (await asyncio.to_thread(privacy_rig.fetch, link))[0] == 200
    await privacy_desk.first.CancelRequest(
        privacy_pb2.CancelRequestRequest(request_id=request_id(), privacy_request_id=asked, reason="taken back")
    )
    status, content = await asyncio.to_thread(privacy_rig.fetch, link)
    assert status in (400, 403, 404, 409, 412)
    assert b"VERIFICATION_STALE" in content
    assert not content.startswith(b"PK")


@pytest.mark.timeout(7200)  # what renders gives way to everything else
async def test_somebody_with_very_many_records_is_handed_all_of_them_and_nobody_elses_in_bounded_memory(
    privacy_desk: PrivacyDesk, privacy_rig: PrivacyRig, tmp_path: Path, scale: Scale, prove
) -> None:
    count = scale.pick(small=1_000, full=100_000)
    planted = {f"planted-{number}" for number in range(count)}
    email, (person,) = privacy_rig.somebody()
    _, (other,) = privacy_rig.somebody()
    privacy_rig.fill("churn", person, planted)
    privacy_rig.fill("churn", other, (f"planted-{count + number}" for number in range(500)))
    asked = await privacy_desk.verified(PRIVACY_RIGHT_ACCESS, email=email, profile_id=person)
    await privacy_desk.approve(asked)
    await privacy_desk.until(asked, COMPLETED, patience_s=scale.pick(small=300, full=3600))
    with ZipFile(await privacy_desk.download(asked, tmp_path / "package.zip")) as archive:
        records = json.loads(archive.read("data/churn/notes.json"))
        with archive.open("data/churn/notes.csv") as table:
            rows = list(csv.DictReader(io.TextIOWrapper(table, "utf-8-sig")))
        pages = [name for name in archive.namelist() if name.startswith("pages/churn-notes-")]
        shown = [string for name in pages for string in _PLANTED.findall(archive.read(name).decode())]
        (told,) = [
            each["records"]
            for each in json.loads(archive.read("manifest.json"))["stores"]
            if (each["participant"], each["store"]) == ("churn", "notes")
        ]
    for found in ([each["data"]["words"] for each in records], [each["words"] for each in rows]):
        assert sorted(found) == sorted({*planted, "likes red", "likes blue"})
    assert set(shown) == planted
    assert int(told) == count + 2
    peaks = {
        "service": resident_kib(privacy_rig.service.pid),
        "participant": resident_kib(privacy_rig.others.pid),
        "rendering": rendering_kib(privacy_rig, asked),
    }
    assert max(peaks.values()) < MOST_KIB, peaks
    prove("consent", package_records=count, **{f"package_{name}_kib": peak for name, peak in peaks.items()})


def resident_kib(pid: int | None) -> int:
    """Most memory that a process has had resident."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def rendering_kib(rig: PrivacyRig, asked: str) -> int:
    """What the process that rendered a package had resident at most, as the service tells."""
    lines = rig.service.log_path.read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines if "privacy_package_sealed" in line]
    (peak,) = [each["peak_kib"] for each in told if each["request_id"] == asked]
    assert peak > 0
    return int(peak)
