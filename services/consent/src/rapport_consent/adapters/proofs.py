"""Makes what is handed to people: packages, certificates and letters, from what participants answered and hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    KeysDestroyed,
    ParticipantAnswer,
)
from rapport_consent.domain.packages import PackageKind, PackagePapers, PackagePlan
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.request_words import Choice
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right
from rapport_consent.domain.tasks import AskedTask, TaskAnswer, TaskKind, TaskOutcome, erasures, latest

_KINDS: Final = {Right.ACCESS: PackageKind.ACCESS, Right.PORTABILITY: PackageKind.PORTABILITY}
_KEYS: Final = "record_keys"
_COVER: Final = "PACKAGE"
_DUTIES: Final = frozenset({"CONTRACT", "LEGAL_DUTY", "LEGAL_OBLIGATION"})


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

    async def package_papers(self, unit: RequestUnit, request: Request) -> PackagePapers:
        """Return what goes into the packages of a request beside the records."""
        now = self.clock.now()
        purposes = (await unit.ledger.catalogue()).purposes
        in_force = {purpose_id: purpose.in_force(now) for purpose_id, purpose in purposes.items()}
        bases = {
            purpose_id: version.terms.basis(market=request.market).name
            for purpose_id, version in in_force.items()
            if version is not None
        }
        return PackagePapers(bases, (await self.letters.preview(unit, request, _COVER, request.locale)).pdf)

    async def seal_packages(
        self, request: Request, tasks: Sequence[AskedTask], papers: PackagePapers
    ) -> Mapping[Right, bool]:
        """Write the packages that a request asks for, in place of unfinished ones; say which hold anything."""
        found = {}
        asked = [task for task in latest(tasks, TaskKind.ACCESS).values() if task.answer is not None]
        stores = tuple(await self.participants.stores(asked))
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
                purposes=_bases({name for each in stores for name in each.purposes}, papers.purposes),
                history=((request.received_at, f"{request.id}: {', '.join(each.right for each in request.rights)}"),),
            )
            records = self.participants.records(asked, request.subject_ids)
            sealed = await self.packages.make(plan, records, letter=papers.letter)
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
            answers=await self._answers(erasures(tasks)),
            probe=await self._answers(latest(tasks, TaskKind.PROBE).values()),
            keys=tuple(
                KeysDestroyed(task.answer.completed_at, store.acted, task.task_id, task.participant)
                for task in erasures(tasks)
                if task.answer is not None
                for store in task.answer.stores
                if store.store == _KEYS and store.acted
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

    async def _answers(self, tasks: Iterable[AskedTask]) -> tuple[ParticipantAnswer, ...]:
        found = []
        for task in sorted(tasks, key=lambda each: (each.participant, each.attempt)):
            if task.answer is not None:
                kid = task.answer.kid
                key = await self.participants.key(task.participant, kid) if kid else None
                found.append(_answer(task, task.answer, key.public_key if key else b""))
        return tuple(found)


def _bases(named: Collection[str], in_force: Mapping[str, str]) -> dict[str, str]:
    """Return on which basis the purposes that stores name rest; what is neither a purpose nor a duty says nothing."""
    found = {name: in_force.get(name) or (name.upper() if name.upper() in _DUTIES else "") for name in named}
    return {name: basis for name, basis in found.items() if basis}


def _answer(task: AskedTask, answer: TaskAnswer, public_key: bytes) -> ParticipantAnswer:
    return ParticipantAnswer(
        participant=task.participant,
        task=task.kind.name,
        outcome=TaskOutcome(answer.outcome).name,
        completed_at=answer.completed_at,
        stores=answer.stores,
        kept=answer.kept,
        signed=answer.signed if answer.kid else b"",
        public_key=public_key,
        confirmed_by=task.confirmed_by,
    )
