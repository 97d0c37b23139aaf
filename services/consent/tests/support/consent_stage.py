"""Everything that decisions rest on, as processes that can be stopped, killed and lost: servers, services, gates."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

from consent_desk import CONSENT, furnish, start_installation
from consent_observer import Observer
from consent_rig import provision
from rapport_chassis.clock import SystemClock
from rapport_privacy.vocabulary import Reason
from rapport_testing.free_ports import free_port
from rapport_testing.gate_history import testimony, witness
from rapport_testing.gate_history.chronicle import Question
from rapport_testing.gate_history.judge import Decision, Judge, Life, Windows
from rapport_testing.ledger_sources import Portrait
from rapport_testing.postgres_standby import base_backup, promote, replace_lost
from rapport_testing.process import Killable, ServiceProcess
from rapport_testing.waiting import eventually

_clock = SystemClock()


class Stage:
    """The parts.

    Writers call both processes of the service, gates one of them: so the ledger moves while either is stopped.

    Attributes:
        installation: Servers, certificates.
        service: Does everything; it alone publishes, and follows identity's events.
        authority: What the gates call; it only answers.
        witnesses: Processes that embed a gate and write their decisions down.
        observer: Sees what is committed.
    """

    def __init__(self, folder: Path, windows: Windows, *, durable: bool) -> None:
        self.windows = windows
        self.folder = folder / "witnesses"
        self.folder.mkdir()
        self.installation = start_installation(folder / "installation", durable=durable)
        self.observer = Observer(self.installation)
        made = self.installation.process
        self.service = made(grpc__port=str(free_port()))
        self.authority = made("authority", only="api", grpc__port=str(free_port()))
        self.witnesses: list[ServiceProcess] = []
        self.troubles = 0
        self._outages: list[tuple[float, float]] = []
        self._backups = 0

    @property
    def processes(self) -> list[ServiceProcess]:
        """Every process but the servers."""
        return [*self.witnesses, self.authority, self.service]

    async def start(self) -> None:
        """Start the services."""
        self.observer.start()
        await provision(self.installation, ack_wait=10**9, max_deliver=1000)
        await _all_at_once(self.service.start, self.authority.start)
        await asyncio.to_thread(furnish, self.installation)

    async def ask(self, questions: list[Question], decisions_a_second: float) -> None:
        """Start the witnesses."""
        asked = self.folder / "questions.json"
        testimony.write_questions(asked, questions)
        self.witnesses = [
            self._witness(holder, asked, decisions_a_second, steps=holder == CONSENT.gates[0])
            for holder in CONSENT.gates
        ]
        await _all_at_once(*(each.start for each in self.witnesses))

    def stop(self) -> None:
        """Kill whatever runs, and stop the servers."""
        for process in self.processes:
            process.kill()
        self.installation.stop()

    def decisions(self) -> int:
        """How many decisions have been written down."""
        return testimony.count(self.folder)

    async def relay_stops(self) -> None:
        """SIGSTOP of the relay, and of a gate's process for longer than the bound, while the ledger moves."""
        async with self._stopped(self.service), self._stopped(self.witnesses[0]):
            await self._pass(self.windows.bound_s + 0.5)

    async def broker_stops(self) -> None:
        """SIGSTOP of the broker, while the ledger moves."""
        async with self._stopped(self.installation.nats), self._stopped(self.witnesses[1]):
            await self._pass(self.windows.bound_s / 2)

    async def authority_stops(self) -> None:
        """SIGSTOP of what gates ask, for longer than anything may go on without it, while the ledger moves."""
        async with self._stopped(self.authority), self._outage():
            await self._pass(self.windows.continuation_s + 0.5)

    async def database_stops(self) -> None:
        """SIGSTOP of the database, for longer than the bound."""
        async with self._stopped(self.installation.postgres), self._outage():
            await self._pass(self.windows.bound_s + 0.5)

    async def witness_dies(self) -> None:
        """SIGKILL of a process with a gate."""
        await asyncio.to_thread(self.witnesses[2].kill)
        await asyncio.to_thread(self.witnesses[2].start)

    async def everything_dies(self) -> None:
        """SIGKILL of all, in no particular order; the gates are back before the ledger is."""
        servers: list[Killable] = [self.installation.postgres, self.installation.nats]
        await _all_at_once(*(each.kill for each in (*servers, *self.processes)))
        async with self._outage():
            await _all_at_once(*(each.start for each in (*servers, *self.witnesses)))
        await _all_at_once(self.service.start, self.authority.start)

    async def standby_is_promoted(self, written: Callable[[], int]) -> None:
        """The database is lost, and a standby that lagged takes its place: positions are given out again."""
        postgres, folder = self.installation.postgres, self.installation.folder
        self._backups += 1
        standby, lost = folder / f"standby-{self._backups}", folder / f"lost-{self._backups}"
        await asyncio.to_thread(base_backup, postgres, standby)
        enough = written() + 10
        await eventually(lambda: written() >= enough, timeout_s=60)
        await self.observer.stop()
        await asyncio.to_thread(postgres.kill)
        killed_at = _clock.boottime()
        async with self._outage():
            await asyncio.to_thread(replace_lost, postgres, standby, lost)
        await asyncio.to_thread(promote, postgres)
        await self.observer.examine_lost(lost, killed_at)
        self.observer.start()

    async def end(self) -> None:
        """End the witnesses, each of which asks everything once more."""
        await _all_at_once(*(each.terminate for each in self.witnesses))

    async def judge(self, windows: Windows, progress: Callable[[int], None] = lambda _: None) -> Judge:
        """Judge all that the witnesses have written down."""
        judge = Judge(self.observer.chronicle, windows)
        for path in self.folder.glob(f"*{testimony.SUFFIX}"):
            for decision, life in self._decisions(path):
                judge.judge(decision, life)
                if not judge.decisions % 1000:
                    progress(1000)
                    await asyncio.sleep(0)
        return judge

    def portraits(self) -> list[Portrait]:
        """What the replicas held in the end."""
        return [pickle.loads(path.read_bytes()) for path in sorted(self.folder.glob("*.portrait"))]

    async def until_all_know(self, epoch: str, position: int) -> None:
        """Wait until every witness decides by a position."""
        await eventually(lambda: self._newest() == [(epoch, position)] * len(self.witnesses), timeout_s=60)

    async def until_all_follow(self) -> None:
        """Wait until every witness decides by what has been committed since now, of whatever epoch."""
        epoch, position = await self.observer.until_moved()

        def follow() -> bool:
            return all(known[0] == epoch and known[1] >= position for known in self._newest())

        await eventually(follow, timeout_s=60)

    def _newest(self) -> list[tuple[str, int]]:
        """By what each witness decides now."""
        found = []
        for holder in CONSENT.gates:
            files = self.folder.glob(f"{holder}-*{testimony.SUFFIX}")
            found.append(testimony.last(max(files, key=_born_at)) or ("", 0))
        return found

    def _decisions(self, path: Path) -> Iterator[tuple[Decision, Life]]:
        epochs, notes = testimony.read(path)
        questions = testimony.read_questions(self.folder / "questions.json")
        life = Life(lambda at: self._newest_proof(at, _born_at(path)), loaded_at=_born_at(path))
        for noted in notes:
            question = questions[noted.question]
            if noted.reason == Reason.ERASED:
                life.heard_fences.setdefault(question.person, noted.at)
            decision = Decision(noted.at, noted.time, question, noted.answer, epochs[noted.epoch], noted.position)
            yield decision, life

    def _newest_proof(self, at: float, born_at: float) -> float:
        """Outside of outages the ledger may have been asked at any time."""
        for began_at, ended_at in reversed(self._outages):
            if began_at <= at < ended_at:
                at = began_at
        return at if at >= born_at else -inf

    def _witness(self, holder: str, asked: Path, decisions_a_second: float, *, steps: bool) -> ServiceProcess:
        installation = self.installation
        installation.grant(holder, ["consent.replica.read", "consent.checks.read"])
        files = installation.certificate(holder)
        gate = {
            "NAME": holder,
            "TLS__CERTIFICATE": files.certificate,
            "TLS__KEY": files.key,
            "TLS__AUTHORITIES": files.authorities,
            "CONSENT": installation.address("authority"),
            "SERVER_NAME": "localhost",
            "NATS": installation.nats.url,
            "BOUND_S": self.windows.bound_s,
            "CONTINUATION_S": self.windows.continuation_s,
        }
        argv = [sys.executable, "-m", witness.__name__, str(asked), str(self.folder), holder]
        argv += ["--a-second", str(decisions_a_second), *(["--clock-steps"] if steps else [])]
        variables = {f"RAPPORT_GATE__{name}": str(value) for name, value in gate.items()}
        log = self.folder / f"{holder}.log"
        return ServiceProcess(argv, variables, log, ready_line=witness.READY, imports=["rapport_privacy.embedded"])

    @asynccontextmanager
    async def _stopped(self, process: Any) -> AsyncIterator[None]:
        await asyncio.to_thread(process.suspend)
        try:
            yield
        finally:
            await asyncio.to_thread(process.resume)

    @asynccontextmanager
    async def _outage(self) -> AsyncIterator[None]:
        """The ledger cannot be asked while this lasts."""
        began_at = _clock.boottime()
        try:
            yield
        finally:
            self._outages.append((began_at, _clock.boottime()))

    async def _pass(self, seconds: float) -> None:
        """Let decisions be taken for a while."""
        until = _clock.boottime() + seconds
        await eventually(lambda: _clock.boottime() >= until, timeout_s=seconds + 10)


def _born_at(path: Path) -> float:
    return float(path.name.removesuffix(testimony.SUFFIX).rpartition("-")[2])


async def _all_at_once(*actions: Callable[[], object]) -> None:
    await asyncio.gather(*(asyncio.to_thread(action) for action in actions))
