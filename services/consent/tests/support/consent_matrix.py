"""Privacy requests with all that takes part in one process, so that each step can fail, be late, or come twice.

Coordinator, participants and their databases are real. Messages go by hand instead of through a broker: in any order,
some of them twice. A failpoint that raises stands for a kill: whoever it hits is made anew, with nothing but what it
had committed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from consent_events import merge, split
from consent_holdings import Identity, Notes, People
from rapport.common.v1 import privacy_pb2 as common_pb2
from rapport_chassis.database.engine import Database
from rapport_chassis.errors import RapportError
from rapport_chassis.events.envelope import Event, Received, headers_of
from rapport_chassis.events.eraser import Erased
from rapport_chassis.failpoints import FailpointError
from rapport_chassis.ids import new_id
from rapport_chassis.signing import SigningKeys
from rapport_consent.adapters import package_rendering
from rapport_consent.adapters import people as identity_side
from rapport_consent.adapters.calendars import shipped_calendars
from rapport_consent.adapters.decision_makers import DecisionMakers
from rapport_consent.adapters.handed_records import HandedRecords
from rapport_consent.adapters.ledger import LedgerStore
from rapport_consent.adapters.package_store import PackageStore
from rapport_consent.adapters.packages import Packages
from rapport_consent.adapters.participants import Participants
from rapport_consent.adapters.proofs import Proofs
from rapport_consent.adapters.request_letters import RequestLetters
from rapport_consent.adapters.requests import RequestStore
from rapport_consent.adapters.rule_packs import shipped_packs
from rapport_consent.adapters.sealing import Sealer
from rapport_consent.adapters.transparency import TransparencyLog
from rapport_consent.app.call_participants import CallParticipants
from rapport_consent.app.find_subject import SubjectSearch
from rapport_consent.app.fulfil_request import Fulfilment
from rapport_consent.app.hand_over_letter import LetterBox
from rapport_consent.app.review_decision import DecisionReviewing
from rapport_consent.domain.law import Law
from rapport_consent.domain.receipts import Controller
from rapport_consent.domain.request_clocks import Clocks
from rapport_consent.domain.request_words import ParticipantKind
from rapport_consent.domain.requests import Participant as Entry
from rapport_consent.domain.tasks import AskedTask, TaskAnswer
from rapport_consent.entrypoints.request_answers import ParticipantAnswers
from rapport_consent.entrypoints.subscriptions import Profiles
from rapport_consent.translate.tasks import answer_of, confirmed
from rapport_privacy.participant.ledger import Known
from rapport_privacy.participant.participant import Participant
from rapport_privacy.participant.servicer import ParticipantServicer
from rapport_testing.clock import TestClock

HOLDERS: Final = ("identity", "churn")
REGISTRY: Final = (
    Entry("identity"),
    Entry("churn"),
    Entry("warehouse", ParticipantKind.WEBHOOK),
    Entry("archive", ParticipantKind.MANUAL, "records office", "Look in the cellar."),
)

_AGAIN: Final = 0.2
_PUBLISH: Final = "DELETE FROM outbox RETURNING event_id, type, subject, headers, payload, seq"


class Direct:
    """Calls a servicer as a stub does, without a wire between."""

    def __init__(self, servicer: Any) -> None:
        self._servicer = servicer

    def __getattr__(self, method: str) -> Callable[[Any], Any]:
        return lambda request: getattr(self._servicer, method)(request, None)


class DirectPeers:
    """Gives out such stubs, by the name of who serves."""

    def __init__(self, servicers: dict[tuple[str, str], Any]) -> None:
        self._servicers = servicers

    def __contains__(self, peer: str) -> bool:
        """Whether somebody of this name serves anything."""
        return any(name == peer for name, _ in self._servicers)

    def stub(self, peer: str, stub_class: Any) -> Any:
        """Return a stub."""
        return Direct(self._servicers[peer, stub_class.__name__])


class NothingPublished:
    """A stream in which there is nothing about anybody."""

    async def erase(self, profile_ids: Any) -> Erased:
        """Find nothing."""
        return Erased(0, 0, 0, 0)


class Warehouse:
    """An old system that is called: it often does not answer, and holds nothing."""

    names = ("warehouse",)

    def __init__(self, rng: random.Random, clock: TestClock) -> None:
        self._rng = rng
        self._clock = clock

    async def call(self, task: AskedTask, profile_ids: Any, kept: Any) -> TaskAnswer | None:
        """Answer, or do not."""
        if self._rng.random() < 0.5:
            return None
        return answer_of(nothing_held(task.request_id, task, self._clock.now()))


async def everything() -> Known:
    """The participants follow no ledger: whatever a task rests upon, they know."""
    return Known("", 2**62, True)


@dataclass
class Parts:
    """All that takes part; each is made anew once it is killed.

    Attributes:
        consent: The coordinator's database.
        holders: Databases of the participants.
        folder: Where keys and packages are.
        rng: Decides what comes next.
        clock: The time.
        kills: How often somebody was killed.
        acted: Whether it was a participant that worked last.
    """

    consent: Database
    holders: dict[str, Database]
    folder: Path
    rng: random.Random
    clock: TestClock
    kills: int = 0
    acted: bool = False
    undelivered: list[tuple[str, Received]] = field(default_factory=list)
    sealer: Sealer = field(default_factory=lambda: Sealer.fresh()[0])

    def __post_init__(self) -> None:
        calendars = shipped_calendars()
        self.law = Law(shipped_packs(), Clocks(calendars.working_days, calendars.zone))
        self.ledger = LedgerStore(self.consent, lambda _: None)
        self.store = RequestStore(self.consent, self.ledger, self.sealer, self.law, self.clock)
        self.keys = {name: self._signing(name) for name in ("consent", *HOLDERS)}
        self.participants: dict[str, Participant] = {}
        for name in HOLDERS:
            self._start(name)
        self._coordinate()

    def _signing(self, name: str) -> SigningKeys:
        (self.folder / name).mkdir(exist_ok=True)
        return SigningKeys.load(self.folder / name, self.clock)

    def _start(self, name: str) -> None:
        self.participants[name] = Participant(
            name,
            database=self.holders[name],
            holding=People() if name == "identity" else Notes(),
            eraser=NothingPublished(),
            keys=self.keys[name],
            ledger=everything,
            clock=self.clock,
        )

    def _coordinate(self) -> None:
        identity: Any = Identity
        servicers: dict[tuple[str, str], Any] = {
            ("identity", "IdentityServiceStub"): identity(self.holders["identity"])
        }
        for name in HOLDERS:
            holding = People() if name == "identity" else Notes()
            servicers[name, "ParticipantServiceStub"] = ParticipantServicer(
                name, self.holders[name], holding, self.keys[name]
            )
        peers: Any = DirectPeers(servicers)
        nobody: Any = DirectPeers({})
        stated: dict[str, Any] = {name: "x" for name in Controller.__dataclass_fields__ if name not in _LISTS}
        controller = Controller(**stated)
        log = TransparencyLog(self.consent, self.keys["consent"], origin="log.example/one")
        participants = Participants(peers, HandedRecords(self.consent, self.sealer, 1 << 20, self.clock), {})
        proofs = Proofs(
            packages=Packages(self.consent, log, self.keys["consent"], folder=self.folder / "packages", render=_render),
            store=PackageStore(self.consent, self.sealer),
            participants=participants,
            letters=RequestLetters(self.law, controller),
            keys=self.keys["consent"],
            controller=controller,
            kept_for=timedelta(days=30),
            clock=self.clock,
        )
        people = identity_side.People(peers, purpose_id="privacy.requests", sure_bits=10.0)
        self.saga = Fulfilment(
            store=self.store,
            people=people,
            subjects=SubjectSearch(self.store, people, self.clock),
            letters=LetterBox(self.store, self.law, None, proofs, self.clock),
            proofs=proofs,
            reviewing=DecisionReviewing(self.store, DecisionMakers(nobody), self.clock),
            clock=self.clock,
            vault_kept_at_most=timedelta(days=1),
        )
        self.calls = CallParticipants(self.store, Warehouse(self.rng, self.clock), self.clock)
        self.answers = {name: ParticipantAnswers(name, self.store, participants, self.clock).handle for name in HOLDERS}
        self.profiles = Profiles(self.ledger, self.store, self.clock).handle

    async def coordinator_works(self) -> bool:
        """Let the coordinator take a turn; whether there was one."""
        self.acted = False
        async with self._mortal(self._coordinate):
            return await self.saga.step()
        return True

    async def caller_works(self) -> bool:
        """Let the coordinator call a participant; whether there was anything to call for."""
        self.acted = False
        async with self._mortal(self._coordinate):
            return await self.calls.step()
        return True

    async def participant_works(self, name: str) -> bool:
        """Let a participant work at a task; whether there was one."""
        self.acted = True
        async with self._mortal(lambda: self._start(name)):
            return await self.participants[name].step()
        return True

    async def deliver(self) -> bool:
        """Deliver any message, or all but deliver it; some come twice."""
        self.acted = False
        await self._collect()
        if not self.undelivered:
            return False
        at = self.rng.randrange(len(self.undelivered))
        target, event = self.undelivered[at]
        if self.rng.random() > _AGAIN:
            self.undelivered.pop(at)
        database = self.holders.get(target, self.consent)
        with contextlib.suppress(FailpointError):
            async with database.transaction() as connection:
                await self._handler(target, event)(event, connection)
                if (target, event) in self.undelivered and self.rng.random() < _AGAIN:
                    raise FailpointError("killed before the commit: it comes again")
        return True

    def tell_of_merge(self, survivor: str, *absorbed: str) -> None:
        """Have identity tell that ids are one person now."""
        self._tell(merge(survivor, *absorbed))

    def tell_of_split(self, left: str, stays: list[str], leaves: str) -> None:
        """Have identity tell that an id is somebody else's now."""
        self._tell(split(left, {left: stays, leaves: []}))

    def _tell(self, event: Event) -> None:
        received = Received.of(event.subject, event.headers(), event.payload(), stream="RAPPORT_IDENTITY", sequence=1)
        self.undelivered.append(("profiles", received))

    def _handler(self, target: str, event: Received) -> Any:
        if target == "profiles":
            return self.profiles
        return self.participants[target].handle if target in HOLDERS else self.answers[event.context]

    async def _collect(self) -> None:
        """Take up what was committed to be published."""
        for name, database in {"consent": self.consent, **self.holders}.items():
            async with database.transaction() as connection:
                found = await (await connection.execute(_PUBLISH)).fetchall()
            for event_id, kind, subject, own, payload, seq in found:
                headers = headers_of(event_id, kind, own)
                event = Received.of(subject, headers, bytes(payload), stream=name, sequence=seq)
                if event.name == "privacy_task_requested":
                    self.undelivered += [(each, event) for each in HOLDERS]
                elif event.name == "privacy_task_completed":
                    self.undelivered.append(("answers", event))

    @asynccontextmanager
    async def _mortal(self, anew: Callable[[], None]) -> AsyncIterator[None]:
        try:
            yield
        except FailpointError:
            self.kills += 1
            anew()
        except RapportError as error:
            if error.reason.name != "NOT_READY":
                raise


_LISTS: Final = ("recipients", "authority")


async def _render(folder: Path) -> None:
    """Render in this process: a child would take most of the time of a test."""
    package_rendering.render(folder)


def nothing_held(request_id: str, task: Any, now: Any) -> common_pb2.PrivacyTaskCompleted:
    """Return what people answer who look in the cellar."""
    return confirmed(
        request_id=request_id,
        task_id=task.task_id,
        participant=task.participant,
        kind=task.kind,
        outcome=common_pb2.PRIVACY_TASK_OUTCOME_NOTHING_HELD,
        stores=[],
        exceptions=[],
        now=now,
    )


def new_note() -> str:
    """Return the id of a note."""
    return new_id("record")
