"""What a gate costs beside a dict and a sorted array of the same ids: time, memory, loading, merging.

    python libs/privacy/benchmarks/gate.py [--subjects N] [--keys N] [--rounds N] [--output FOLDER]

Rounds of floor and subject are interleaved in one run; the figures are medians of processor time. Every key that is
looked up is a string of its own, as one that arrives in a request is: both sides hash it and compare it with what they
keep. Of a hundred people 60 have a lasting grant, 15 one that expires, 14 a withdrawal, 10 a grant of something else
only, and one was erased.
"""

import argparse
import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_chassis.clock import SystemClock
from rapport_chassis.ids import new_id
from rapport_privacy.audience import PackedIds
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.merging import merge
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad
from rapport_testing.bench import Figure, Report

PURPOSE, OTHER_PURPOSE = "marketing.email", "marketing.post"
BRAND = "alba"
CHUNK = 2000
BOUND_S = 3600.0  # the run itself is the only thing that happens: freshness must not lapse in it
KINDS = 60 * ["lasting"] + 15 * ["expiring"] + 14 * ["withdrawn"] + 10 * ["other"] + ["erased"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    report = Report("gate", options.output)
    bench = Bench(report, options.subjects, options.rounds)
    bench.load()
    bench.memory()
    bench.checks(options.keys)
    bench.filters()
    asyncio.run(bench.merges())
    print(f"written to {report.write()}")


class Bench:
    """One replica, measured from its loading on."""

    def __init__(self, report: Report, subjects: int, rounds: int) -> None:
        self._report = report
        self._rounds = rounds
        self._ids = [new_id("profile") for _ in range(subjects)]
        self._replica = Replica()
        self._clock = SystemClock()
        self._freshness = Freshness(bound_s=BOUND_S, continuation_s=BOUND_S)
        self._gate = Gate(self._replica, self._freshness, self._clock)

    def load(self) -> None:
        """From the bytes of a snapshot's messages to a replica that is ready."""
        load, elapsed = SnapshotLoad(), 0.0
        for data in map(consent_pb2.StreamSnapshotResponse.SerializeToString, self._messages()):
            began = time.thread_time()
            load.take(consent_pb2.StreamSnapshotResponse.FromString(data))
            elapsed += time.thread_time() - began
        began = time.thread_time()
        load.pack()
        packing = time.thread_time() - began
        self._replica.load(load)
        gc.collect()
        millions = len(self._ids) / 1_000_000
        self._report.add(Figure("gate load of a million, messages to columns", elapsed / millions, "s"))
        self._report.add(Figure("gate load of a million, sorting", packing / millions, "s"))
        self._report.add(Figure("gate load of a million", (elapsed + packing) / millions, "s", 20.0, "<= 1"))
        boottime = self._clock.boottime()
        self._freshness.head_read(boottime, self._replica.position, self._replica.position, boottime)

    def memory(self) -> None:
        """What the columns take."""
        block, fences = self._replica.contents.block, self._replica.fences
        packed = block.keys.size_bytes + fences.packed.size_bytes
        people = len(block) + len(fences)
        self._report.add(Figure("gate memory by subject, fenced ones too", packed / people, "B", 32.0, "<= 1"))
        self._report.add(Figure("gate side table, by decision", block.side_bytes / len(block.details.until), "B"))
        everything = (packed + block.side_bytes) / people
        self._report.add(Figure("gate memory by subject, side table too", everything, "B"))
        left = len(self._replica.contents.recent) + len(fences.recent)
        self._report.add(Figure("gate subjects that columns cannot hold", left, ""))

    def checks(self, keys: int) -> None:
        """A check beside a look-up in a dict of all the ids."""
        known = dict.fromkeys(self._ids, True)
        cold = random.Random(1).sample(range(len(self._ids)), min(keys, len(self._ids)))
        self._check("gate check, cold", cold, known, "<= 10")
        self._check("gate check, hot", cold[:16] * (len(cold) // 16), known)
        for kind in dict.fromkeys(KINDS):
            self._check(f"gate check, cold, {kind}", [each for each in cold if _kind(each) == kind], known)

    def _check(self, name: str, chosen: Sequence[int], known: dict[str, bool], budget: str = "") -> None:
        floors, values = [], []
        for _ in range(self._rounds):
            floors.append(self._seconds_each(chosen, lambda ids: [known.get(each) for each in ids]))
            values.append(self._seconds_each(chosen, self._ask))
        value, floor = statistics.median(values) * 1e9, statistics.median(floors) * 1e9
        self._report.add(Figure(name, value, "ns", floor, budget))

    def _ask(self, ids: Sequence[str]) -> None:
        check = self._gate.check
        for each in ids:
            check(each, PURPOSE, brand_id=BRAND)

    def _seconds_each(self, chosen: Sequence[int], run: Callable[[Sequence[str]], object]) -> float:
        ids = ["".join(("prf_", self._ids[number][4:])) for number in chosen]
        gc.disable()
        began = time.thread_time()
        run(ids)
        elapsed = time.thread_time() - began
        gc.enable()
        return elapsed / len(ids)

    def filters(self) -> None:
        """A whole audience beside a bare search of the same ids in a sorted array."""
        shuffled = random.Random(2).sample(self._ids, len(self._ids))
        began = time.thread_time()
        audience = PackedIds.of(shuffled)
        self._report.add(Figure("gate filter, conversion of all ids", (time.thread_time() - began) * 1e3, "ms"))
        ordered = np.sort(audience.prefixes)
        floors, values, permitted = [], [], np.zeros(0, np.bool_)
        for _ in range(self._rounds):
            began = time.thread_time()
            np.searchsorted(ordered, audience.prefixes)
            floors.append(time.thread_time() - began)
            began = time.thread_time()
            permitted = self._gate.filter(audience, PURPOSE, brand_id=BRAND)
            values.append(time.thread_time() - began)
        lasting = sum(_kind(number) in ("lasting", "expiring") for number in range(len(self._ids)))
        assert np.count_nonzero(permitted) == lasting, "the filter permits other people than the population says"
        value, floor = statistics.median(values) * 1e3, statistics.median(floors) * 1e3
        self._report.add(Figure("gate filter of all ids", value, "ms", floor, "<= 5"))

    async def merges(self) -> None:
        """How long the loop stands still while what has changed is packed."""
        changed = max(10_000, len(self._ids) // 50)
        position = self._replica.position
        for number in range(changed):
            known = number % 2 and self._ids[number * 7 % len(self._ids)]
            subject = _subject(known or new_id("profile"), "lasting")
            subject.whole = False
            position += 1
            self._replica.apply(ledger_pb2.LedgerChange(epoch="bench", position=position, subjects=[subject]))
        quiet = await _longest_pause(asyncio.sleep(1.0))
        began = time.perf_counter()
        pause = await _longest_pause(merge(self._replica))
        elapsed = time.perf_counter() - began
        self._report.add(Figure("gate merge of 2% into the columns", elapsed * 1e3, "ms"))
        self._report.add(Figure("gate merge, longest pause of the loop", pause * 1e3, "ms", quiet * 1e3))
        assert not self._replica.contents.unpacked

    def _messages(self) -> Iterator[consent_pb2.StreamSnapshotResponse]:
        erased = [each for number, each in enumerate(self._ids) if _kind(number) == "erased"]
        living = [(each, _kind(number)) for number, each in enumerate(self._ids) if _kind(number) != "erased"]
        header = consent_pb2.SnapshotHeader()
        header.position.epoch, header.position.position = "bench", len(self._ids)
        yield consent_pb2.StreamSnapshotResponse(header=header)
        yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(purposes=[_purpose()]))
        for start in range(0, len(erased), CHUNK):
            fences = [ledger_pb2.Fence(profile_id=each) for each in erased[start : start + CHUNK]]
            yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(fences=fences))
        for start in range(0, len(living), CHUNK):
            subjects = [_subject(profile_id, kind) for profile_id, kind in living[start : start + CHUNK]]
            yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(subjects=subjects))
        trailer = consent_pb2.SnapshotTrailer(subjects=len(living), fences=len(erased))
        yield consent_pb2.StreamSnapshotResponse(trailer=trailer)


def _kind(number: int) -> str:
    return KINDS[number % len(KINDS)]


def _purpose() -> ledger_pb2.PurposeState:
    consent = purpose_pb2.BasisRule(basis=purpose_pb2.LEGAL_BASIS_CONSENT)
    terms = purpose_pb2.PurposeTerms(bases=[consent], brand_scoped=True, direct_marketing=True)
    since = Timestamp()
    since.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    rule = ledger_pb2.PurposeRule(version=1, active_from=since, terms=terms)
    return ledger_pb2.PurposeState(purpose_id=PURPOSE, rules=[rule])


def _subject(profile_id: str, kind: str) -> ledger_pb2.SubjectState:
    withdrawn = kind == "withdrawn"
    state = ledger_pb2.KeyState(
        purpose_id=OTHER_PURPOSE if kind == "other" else PURPOSE,
        brand_id=BRAND,
        status=ledger_pb2.CONSENT_STATUS_WITHDRAWN if withdrawn else ledger_pb2.CONSENT_STATUS_GRANTED,
        evidence=ledger_pb2.EVIDENCE_KIND_CAPTURED,
        decided_at=Timestamp(seconds=1_700_000_000),
        expires_at=Timestamp(seconds=4_000_000_000) if kind == "expiring" else None,
        reference=new_id("ledger_event"),
        notice_id="signup",
        notice_version=1,
        granting_ids=[] if withdrawn else [profile_id],
    )
    return ledger_pb2.SubjectState(profile_id=profile_id, whole=True, states=[state])


async def _longest_pause(work: Coroutine[None, None, None]) -> float:
    """Seconds between two turns of the loop, at most, while some work goes on."""
    task = asyncio.create_task(work)
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await task
    return longest


if __name__ == "__main__":
    main()
