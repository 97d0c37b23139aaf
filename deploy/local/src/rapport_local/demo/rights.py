"""The scenes about rights: somebody asks what is known of them, somebody asks to be forgotten; both can be proven."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf import json_format
from google.type.date_pb2 import Date
from rapport.churn.v1 import churn_pb2
from rapport.common.v1 import privacy_pb2 as task_pb2
from rapport.consent.v1 import consent_pb2, privacy_pb2, privacy_request_pb2
from rapport.identity.v1 import identity_pb2, profile_pb2
from rapport_chassis.rpc.status import RemoteError
from rapport_testing.files import replace_file

from rapport_local.commands.verify import verify
from rapport_local.demo.asking import request_id, until
from rapport_local.demo.recognition import Customer
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import OFFICER, SECOND_OFFICER, Cast
from rapport_local.demo.town import Customer as Neighbour
from rapport_local.demo.trees import short
from rapport_local.failure import Failure

PACKAGE: Final = "package.zip"
CERTIFICATE: Final = "certificate.json"
KEYS: Final = "keys.json"
_COMPLETED: Final = privacy_request_pb2.PRIVACY_REQUEST_STATE_COMPLETED
_NOT_YET: Final = frozenset({"SUBJECT_UNSEARCHED", "ABORTED"})
_DONE_S: Final = 120.0
_STORES_SHOWN: Final = 4
_LOOK_EVERY_S: Final = 0.2
_SEEN: Final = privacy_request_pb2.SeenDocument(kind="PASSPORT", seen_on=Date(year=2026, month=11, day=2))


@dataclass(frozen=True)
class Asked:
    """A privacy request.

    Attributes:
        request_id: The request.
        doubtful: How many records an officer had to look at, as little tells that they are of this person.
        began: When it was made, by the clock that measures.
    """

    request_id: str
    doubtful: int
    began: float


async def asked(cast: Cast, right: privacy_request_pb2.PrivacyRight.ValueType, email: str, profile_id: str) -> Asked:
    """Take a request in, look at a document, and have another officer approve it: its work begins."""
    began = time.perf_counter()
    made = await cast.requests.CreateRequest(
        privacy_pb2.CreateRequestRequest(
            request_id=request_id(),
            rights=[privacy_request_pb2.RightAsked(right=right)],
            channel=privacy_request_pb2.PRIVACY_CHANNEL_EMAIL,
            requester_role=privacy_request_pb2.REQUESTER_ROLE_SUBJECT,
            contact=privacy_request_pb2.RequesterContact(email=email),
            subject=privacy_pb2.SubjectHint(email=email),
            market="DE",
            market_reason="RESIDENCE",
            locale="en",
        )
    )
    privacy_request_id = made.privacy_request_id
    await _once_searched(
        lambda: cast.requests.VerifyRequester(
            privacy_pb2.VerifyRequesterRequest(
                request_id=request_id(), privacy_request_id=privacy_request_id, document=_SEEN, profile_id=profile_id
            )
        )
    )
    doubtful = await _decided(cast, privacy_request_id)
    await _once_searched(
        lambda: cast.approves.ApproveRequest(
            privacy_pb2.ApproveRequestRequest(
                request_id=request_id(), privacy_request_id=privacy_request_id, reason="checked"
            )
        )
    )
    return Asked(privacy_request_id, doubtful, began)


async def access(report: Report, cast: Cast, customer: Customer, request: Asked, folder: Path) -> None:
    """The customer of the first scenes gets everything that five services hold, in one sealed package."""
    report.say(
        f"The customer of the first scenes asks by mail. {OFFICER} saw a passport, {SECOND_OFFICER} approved: nobody "
        "can do both. Five services copied what they hold."
        + (f" Little links {_pieces(request.doubtful)} to them: somebody looked first." if request.doubtful else "")
    )
    await _completed(cast, request)
    took_s = time.perf_counter() - request.began
    content = b"".join(
        [
            chunk.data
            async for chunk in cast.requests.DownloadPackage(
                privacy_pb2.DownloadPackageRequest(privacy_request_id=request.request_id)
            )
        ]
    )
    replace_file(folder / PACKAGE, content, mode=0o600)
    listed = await cast.shop.ListSigningKeys(consent_pb2.ListSigningKeysRequest())
    replace_file(folder / KEYS, json_format.MessageToJson(listed).encode())
    said = _verified(folder / PACKAGE, folder / KEYS)
    report.lines(
        f"rapport verify {PACKAGE} --keys {KEYS}",
        [line for line in said if line.startswith("genuine") or (" record" in line and " 0 records" not in line)],
    )
    report.expect(bool(said), f"sealed {took_s:.1f} s after it was asked for, and verified offline")
    archive = zipfile.ZipFile(io.BytesIO(content))
    held = b"".join(archive.read(name) for name in archive.namelist())
    report.expect(
        customer.person.email().value.encode() in held and customer.person.surname.encode() in held,
        "what the sources had sent of them is in it, in plain words",
    )
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    replace_file(folder / "changed.zip", bytes(changed), mode=0o600)
    report.expect(
        not _verified(folder / "changed.zip", folder / KEYS), "with one bit changed it is not genuine any more"
    )
    (folder / "changed.zip").unlink()
    report.figure("access package", f"{took_s:.1f} s", f"from asking to seal, {len(archive.namelist())} files")


async def erasure(
    report: Report, cast: Cast, neighbour: Neighbour, profile_id: str, request: Asked, folder: Path
) -> None:
    """A customer who got a mail is forgotten by all five services, and gets a certificate of it."""
    report.say(f"{short(profile_id)}, to whom an offer was mailed, asks to be forgotten.")
    done = await _completed(cast, request)
    took_s = time.perf_counter() - request.began
    report.rows([("participant", "answer", "erased", "held in"), *_erased(done)])
    certificate = await cast.requests.GetErasureCertificate(
        privacy_pb2.GetErasureCertificateRequest(privacy_request_id=request.request_id)
    )
    document = json_format.MessageToJson(certificate, preserving_proto_field_name=True)
    replace_file(folder / CERTIFICATE, document.encode(), mode=0o600)
    said = _verified(folder / CERTIFICATE, folder / KEYS)
    report.lines(f"rapport verify {CERTIFICATE} --keys {KEYS}", list(_proven(said)))
    report.expect(bool(said), f"certified {took_s:.1f} s after it was asked for, and verified offline")
    fields = json.loads(certificate.document)
    report.expect(
        {each["outcome"] for each in fields["probe"]} == {"NOTHING_HELD"},
        "looked again afterwards, each service says that it holds nothing",
    )
    report.expect(
        not any(each.encode() in certificate.document for each in (profile_id, neighbour.person.surname)),
        "the certificate itself names nobody",
    )
    report.expect(await _refused(cast, profile_id) == {"PROFILE_ERASED"}, "profile and score: PROFILE_ERASED, for ever")
    found = await cast.identity.LookupProfile(identity_pb2.LookupProfileRequest(identifier=neighbour.email))
    report.expect(found.outcome == identity_pb2.LOOKUP_OUTCOME_NOT_FOUND, "nobody is known by that address any more")
    entry = consent_pb2.CheckEntry(profile_id=profile_id, purpose_id=EMAIL, brand_id=NORTH)
    decision = await cast.check(entry)
    report.decision("gate", entry, decision)
    report.expect(decision.answer == consent_pb2.ANSWER_DENY_FENCED, "and every gate is closed to that id")
    report.figure("erased and certified", f"{took_s:.1f} s", "in five services; verified offline")


async def _decided(cast: Cast, privacy_request_id: str) -> int:
    """Look at each doubtful record and say that it is of the person; return how many there were."""
    asking = privacy_pb2.GetRequestRequest(privacy_request_id=privacy_request_id)
    found = await until(
        lambda: cast.requests.GetRequest(asking), lambda found: bool(found.records), every_s=_LOOK_EVERY_S
    )
    doubtful = [each.record_ref for each in found.records if each.doubtful]
    for record_ref in doubtful:
        await cast.requests.ChooseRecord(
            privacy_pb2.ChooseRecordRequest(
                request_id=request_id(),
                privacy_request_id=privacy_request_id,
                record_ref=record_ref,
                choice=privacy_request_pb2.SUBJECT_CHOICE_INCLUDED,
                reason="name and birth date on the document",
            )
        )
    return len(doubtful)


async def _once_searched(call: Callable[[], Awaitable[object]]) -> None:
    """Call once it is known whom a request is about."""

    async def called() -> bool:
        try:
            await call()
        except RemoteError as error:
            if error.reason.name not in _NOT_YET:
                raise
            return False
        return True

    await until(called, bool, every_s=_LOOK_EVERY_S)


async def _completed(cast: Cast, request: Asked) -> privacy_request_pb2.PrivacyRequest:
    asking = privacy_pb2.GetRequestRequest(privacy_request_id=request.request_id)
    return await until(
        lambda: cast.requests.GetRequest(asking),
        lambda found: found.state == _COMPLETED,
        within_s=_DONE_S,
        every_s=_LOOK_EVERY_S,
    )


async def _refused(cast: Cast, profile_id: str) -> set[str]:
    """Return why services do not speak of somebody; empty if one does."""
    reasons = set()
    for call in (
        cast.identity.GetProfile(profile_pb2.GetProfileRequest(profile_id=profile_id)),
        cast.churn.ScoreProfile(churn_pb2.ScoreProfileRequest(profile_id=profile_id)),
    ):
        try:
            await call
        except RemoteError as error:
            reasons.add(error.reason.name)
        else:
            return set()
    return reasons


def _pieces(count: int) -> str:
    return "one record" if count == 1 else f"{count} records"


def _verified(file: Path, keys: Path) -> list[str]:
    """Return what `rapport verify` prints of a file; nothing if it does not hold."""
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            verify.main([str(file), "--keys", str(keys)], standalone_mode=False)
    except Failure:
        return []
    return said.getvalue().splitlines()


def _proven(said: list[str]) -> Iterator[str]:
    """Yield of what is printed of a certificate what each service found when it looked again, and the proof."""
    for line in said:
        if line.startswith("probe"):
            yield " ".join(line.split()[:3]).lower().replace("_", " ")
        elif line.startswith(("transparency log", "genuine")):
            yield " ".join(line.split())


def _erased(done: privacy_request_pb2.PrivacyRequest) -> Iterator[tuple[str, str, str, str]]:
    """Yield what each participant answered when it was asked to erase."""
    for task in done.tasks:
        if task.kind == task_pb2.PRIVACY_TASK_KIND_ERASE:
            outcome = task_pb2.PrivacyTaskOutcome.Name(task.answer.outcome)
            stores = task.answer.stores
            yield (
                task.participant,
                outcome.removeprefix("PRIVACY_TASK_OUTCOME_").replace("_", " ").lower(),
                str(sum(each.acted for each in stores)),
                ", ".join([each.store for each in stores if each.found][:_STORES_SHOWN]),
            )
