"""Cost of a gate check beside a bare dict look-up of the same keys: cold random keys of many subjects, then hot ones.

    python libs/privacy/benchmarks/gate.py [--subjects N] [--keys N] [--rounds N] [--output FOLDER]

Rounds of floor and subject are interleaved in one run; the figures are medians per operation. Every key is a string of
its own, as one that arrives in a request is: both sides hash it and compare it with the stored one. "hashed" gives both
sides keys whose hash is known already, which is the hardest floor.
"""

import argparse
import gc
import json
import random
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rapport.consent.v1 import consent_pb2, ledger_pb2, purpose_pb2
from rapport_chassis.clock import SystemClock
from rapport_privacy.freshness import Freshness
from rapport_privacy.gate import Gate
from rapport_privacy.replica import Replica
from rapport_privacy.snapshot import SnapshotLoad

PURPOSE = "marketing.email"
BRAND = "alba"
CHUNK = 1000
BOUND_S = 3600.0  # the run itself is the only thing that happens: freshness must not lapse in it


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    rows = list(measure(options.subjects, options.keys, options.rounds))
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "gate.jsonl").open("w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            name, value, floor = row["bench"], f"{row['value']:.3f} {row['unit']}", f"{row['floor']:.3f}"
            print(f"{name:<24}{value:>18}   floor {floor:>8}   x{row['ratio']:.1f}")


def measure(subjects: int, keys: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Load a replica and measure it."""
    memory_before = _resident_bytes()
    replica, load_s = load(subjects)
    gc.collect()
    yield _row("gate.load", load_s, 20.0 * subjects / 1_000_000, "s")
    yield _row("gate.memory", (_resident_bytes() - memory_before) / subjects, 32.0, "B/subject")
    clock = SystemClock()
    freshness = Freshness(bound_s=BOUND_S, continuation_s=BOUND_S)
    freshness.head_read(clock.boottime(), replica.position, replica.position, clock.boottime())
    gate = Gate(replica, freshness, clock)
    chosen = random.Random(1).sample(range(subjects), min(keys, subjects))
    known = replica.contents.subjects
    cold, hot = chosen, chosen[:16] * (len(chosen) // 16)
    for name, sample, hashed in (("cold", cold, False), ("cold.hashed", cold, True), ("hot", hot, False)):
        floors, values = [], []
        for _ in range(rounds):
            floors.append(_seconds_each(_ids(sample, hashed), lambda ids: [known.get(each) for each in ids]))
            values.append(_seconds_each(_ids(sample, hashed), lambda ids: _check_all(gate, ids)))
        yield _row(f"gate.check.{name}", statistics.median(values) * 1e6, statistics.median(floors) * 1e6, "us")


def load(subjects: int) -> tuple[Replica, float]:
    """A replica of that many subjects, each with one grant, and the seconds it took from the bytes of a snapshot."""
    snapshot, replica = SnapshotLoad(), Replica()
    elapsed = 0.0
    for data in map(consent_pb2.StreamSnapshotResponse.SerializeToString, _messages(subjects)):
        began = time.perf_counter()
        snapshot.take(consent_pb2.StreamSnapshotResponse.FromString(data))
        elapsed += time.perf_counter() - began
    replica.load(snapshot)
    return replica, elapsed


def _messages(subjects: int) -> Iterator[consent_pb2.StreamSnapshotResponse]:
    header = consent_pb2.SnapshotHeader()
    header.position.epoch, header.position.position = "bench", subjects
    yield consent_pb2.StreamSnapshotResponse(header=header)
    yield consent_pb2.StreamSnapshotResponse(chunk=consent_pb2.SnapshotChunk(purposes=[_purpose()]))
    for start in range(0, subjects, CHUNK):
        chunk = consent_pb2.SnapshotChunk(subjects=map(_subject, range(start, min(start + CHUNK, subjects))))
        yield consent_pb2.StreamSnapshotResponse(chunk=chunk)
    yield consent_pb2.StreamSnapshotResponse(trailer=consent_pb2.SnapshotTrailer(subjects=subjects))


def profile_id(number: int) -> str:
    """An id of the usual length."""
    return f"prf_{number:022d}"


def _ids(sample: Sequence[int], hashed: bool) -> list[str]:
    ids = [profile_id(number) for number in sample]
    if hashed:
        deque(map(hash, ids), maxlen=0)
    return ids


def _check_all(gate: Gate, ids: Sequence[str]) -> None:
    check = gate.check
    for each in ids:
        check(each, PURPOSE, brand_id=BRAND)


def _seconds_each(ids: Sequence[str], run: Callable[[Sequence[str]], object]) -> float:
    gc.disable()
    began = time.perf_counter()
    run(ids)
    elapsed = time.perf_counter() - began
    gc.enable()
    return elapsed / len(ids)


def _purpose() -> ledger_pb2.PurposeState:
    consent = purpose_pb2.BasisRule(basis=purpose_pb2.LEGAL_BASIS_CONSENT)
    terms = purpose_pb2.PurposeTerms(bases=[consent], brand_scoped=True, direct_marketing=True)
    since = Timestamp()
    since.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    rule = ledger_pb2.PurposeRule(version=1, active_from=since, terms=terms)
    return ledger_pb2.PurposeState(purpose_id=PURPOSE, rules=[rule])


def _subject(number: int) -> ledger_pb2.SubjectState:
    state = ledger_pb2.KeyState(
        purpose_id=PURPOSE,
        brand_id=BRAND,
        status=ledger_pb2.CONSENT_STATUS_GRANTED,
        evidence=ledger_pb2.EVIDENCE_KIND_CAPTURED,
        decided_at=Timestamp(seconds=1_700_000_000 + number),
        expires_at=Timestamp(seconds=4_000_000_000),
        reference=f"cev_{number:022d}",
        notice_id="signup",
        notice_version=1,
        granting_ids=[profile_id(number)],
    )
    return ledger_pb2.SubjectState(profile_id=profile_id(number), whole=True, states=[state])


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _row(bench: str, value: float, floor: float, unit: str) -> dict[str, Any]:
    return {"bench": bench, "value": value, "floor": floor, "ratio": value / floor, "unit": unit}


if __name__ == "__main__":
    main()
