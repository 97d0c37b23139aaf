"""Makes what is handed to people: packages, certificates and letters, from what participants answered and hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from rapport_chassis.clock import Clock
from rapport_chassis.ids import id_from
from rapport_chassis.signing import SigningKeys

from rapport_consent.adapters import certificates
from rapport_consent.adapters.letter_texts import authority_of
from rapport_consent.adapters.package_store import Certificate, PackageStore, keep_certificate
from rapport_consent.adapters.packages import Packages
from rapport_consent.adapters.participants import Participants
from rapport_consent.adapters.request_letters import RequestLetters
from rapport_consent.app.request_ports import RequestUnit
from rapport_consent.domain.certificates import (
    ErasureFacts,
    KeptRecords,
    KeysDestroyed,
    ParticipantAnswer,
    StoreOutcome,
)
from rapport_consent.domain.packages import PackageKind, PackagePlan
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.requests import Choice, ParticipantKind, Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskAnswer, TaskKind, TaskOutcome, latest

_KINDS: Final = {Right.ACCESS: PackageKind.ACCESS, Right.PORTABILITY: PackageKind.PORTABILITY}
_KEYS: Final = "record_keys"


@dataclass(frozen=True)
class Proofs:
    """Makes what is handed to people.

    Attributes:
        packages: Writes packages.
        store: Keeps them.
        participants: Hand out what they hold, and the keys they sign with.
        letters: Writes letters.
        keys: What certificates are signed with.
        controller: Who answers for the data.
        kept_for: How long a package can be opened.
        clock: The time.
    """

    packages: Packages
    store: PackageStore
    participants: Participants
    letters: RequestLetters
    keys: SigningKeys
    controller: Controller
    kept_for: timedelta
    clock: Clock

    async def seal_packages(self, request: Request, tasks: Sequence[AskedTask]) -> Mapping[Right, bool]:
        """Write the packages that a request asks for, in place of unfinished ones; say which hold anything."""
        found = {}
        asked = [
            task
            for task in latest(tasks, TaskKind.ACCESS).values()
            if task.participant_kind is ParticipantKind.EVENT and task.answer is not None
        ]
        stores = tuple(await self.participants.stores([task.participant for task in asked]))
        for right, kind in _KINDS.items():
            if not request.asks(right):
                continue
            now = self.clock.now()
            plan = PackagePlan(
                request.id,
                kind,
                request.locale,
                now,
                self.controller,
                stores,
                authority=authority_of(request.market, self.controller),
                history=((request.received_at, f"{request.id}: {', '.join(each.right for each in request.rights)}"),),
            )
            sealed = await self.packages.make(plan, self.participants.records(asked, request.subject_ids))
            try:
                await self.store.keep(
                    request.id, right, sealed.path, sealed.sha256, now=now, expires_at=now + self.kept_for
                )
            finally:
                await self.packages.discard(plan)
            found[right] = sealed.holds_anything
        return found

    async def certify(self, unit: RequestUnit, request: Request, tasks: Sequence[AskedTask], now: datetime) -> str:
        """Make the certificate of an erasure and return its id: the same each time.

        Raises:
            RapportError: CERTIFICATE_NOT_READY with the reasons as metadata.
        """
        certificate_id = id_from("erasure_certificate", sha256(request.id.encode()).digest())
        facts = ErasureFacts(
            certificate_id=certificate_id,
            request_id=request.id,
            rule_pack=request.rule_pack,
            received_at=request.received_at,
            approved_at=request.approved_at or now,
            completed_at=now,
            ids=len(request.closure_ids),
            answers=await self._answers(tasks, TaskKind.ERASE),
            probe=await self._answers(tasks, TaskKind.PROBE),
            keys=tuple(
                KeysDestroyed(task.answer.completed_at, store.acted, task.task_id, task.participant)
                for task in latest(tasks, TaskKind.ERASE).values()
                if task.answer is not None
                for store in task.answer.stores
                if store.store == _KEYS
            ),
            choices={
                choice.value: sum(each.choice is choice for each in request.records if each.doubtful)
                for choice in (Choice.INCLUDED, Choice.EXCLUDED)
            },
            controller=self.controller,
        )
        signed = await certificates.issue(unit.connection, facts, self.keys)
        (key,) = (key for key in self.keys.public_keys() if key.kid == signed.kid)
        pdf = certificates.certificate_pdf(signed.document, key.public_key, request.locale)
        await keep_certificate(
            unit.connection,
            request.id,
            Certificate(certificate_id, signed.document, signed.signature, signed.kid, pdf),
            now,
        )
        return certificate_id

    async def keep_letter(self, unit: RequestUnit, request: Request, kind: str, now: datetime) -> str:
        """Keep a letter as it is sent; return the hash of it in hexadecimal."""
        return await self.letters.keep(unit, request, kind, now)

    async def _answers(self, tasks: Sequence[AskedTask], kind: TaskKind) -> tuple[ParticipantAnswer, ...]:
        found = []
        for name, task in sorted(latest(tasks, kind).items()):
            if task.answer is not None:
                key = await self.participants.key(name, task.answer.kid) if task.answer.kid else None
                found.append(_answer(task, task.answer, key.public_key if key else b""))
        return tuple(found)


def _answer(task: AskedTask, answer: TaskAnswer, public_key: bytes) -> ParticipantAnswer:
    return ParticipantAnswer(
        participant=task.participant,
        task=task.kind.name,
        outcome=TaskOutcome(answer.outcome).name,
        completed_at=answer.completed_at,
        stores=tuple(StoreOutcome(each.store, each.found, each.acted) for each in answer.stores),
        kept=tuple(KeptRecords(each.store, each.count, each.ground, each.until) for each in answer.kept),
        signed=answer.signed if answer.kid else b"",
        public_key=public_key,
        confirmed_by=task.confirmed_by,
    )
