"""What becomes of ids and of the partition while records arrive in random order, by the code that serves, in memory.

The first order comes one record at a time, which is hardest on ids. The others come in batches of any size: whatever
the order and however many come at once, all must end in one partition.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from datasets import DATA_SETS
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import dump, load
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.resolution import resolve

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "services/identity/tests/support"))

from identity_memory import InMemory  # noqa: E402

LARGEST: Final = 250
"""Records of a batch at most, as in the service."""

AT_ONCE: Final = -1
"""Instead of an order: all records linked at once."""


class IdFigures(NamedTuple):
    """What an order ended in.

    Attributes:
        moved: Records whose public id changed at least once.
        merges: Merges of profiles.
        splits: Splits of profiles.
        partition: A digest of who is who.
        seconds: How long it took.
    """

    moved: int
    merges: int
    splits: int
    partition: str
    seconds: float


def run_orders(name: str, matcher: Matcher, orders: Collection[int], done: Callable[[int, IdFigures], None]) -> None:
    """Have a data set arrive in these orders, several at a time on all cores.

    Args:
        name: The data set.
        matcher: The one that decides.
        orders: Numbers of the orders; number 0 comes one record at a time.
        done: Is told what each order ended in.
    """
    weights = dump(matcher)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run_order, name, weights, order): order for order in orders}
        for each in as_completed(running):
            done(running[each], each.result())


def run_order(name: str, weights: str, order: int) -> IdFigures:
    """Return what one order ends in."""
    records, matcher = [row.record for row in DATA_SETS[name]()], load(weights)
    began = time.perf_counter()
    if order == AT_ONCE:
        clusters = resolve(records, matcher).partition.clusters
        return IdFigures(0, 0, 0, digest(clusters), time.perf_counter() - began)
    process = asyncio.run(arrive(records, matcher, order))
    memory = process.memory
    took = time.perf_counter() - began
    return IdFigures(len(memory.moved), memory.merges, memory.splits, digest(process.persons()), took)


async def arrive(records: Sequence[Record], matcher: Matcher, order: int) -> InMemory:
    """Have records arrive in an order, and return what took them."""
    process = InMemory(matcher)
    await process.partition.load()
    for batch in batches(records, order):
        await process.feed(batch)
    return process


def batches(records: Sequence[Record], order: int) -> Iterator[list[Record]]:
    """Yield the records in an order, singly for order 0, else in batches of any size."""
    draw = random.Random(order)
    rest = draw.sample(records, len(records))
    at = 0
    while at < len(rest):
        size = draw.choice([1, 5, 64, LARGEST]) if order else 1
        yield rest[at : at + size]
        at += size


def digest(persons: Collection[tuple[RecordKey, ...]]) -> str:
    """Return a digest of who is who."""
    found = hashlib.sha256()
    for person in sorted(persons):
        found.update(repr(person).encode())
    return found.hexdigest()
