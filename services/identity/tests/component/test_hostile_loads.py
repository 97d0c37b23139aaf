"""Loads that would make one person of everybody, over the wire: nobody becomes a crowd, and others are served."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from time import perf_counter

import pytest
from identity_desk import (
    DEVICE,
    EMAIL,
    PHONE,
    Desk,
    IdentityInstallation,
    identifier,
    open_desk,
    record,
    start_installation,
)
from rapport.identity.v1 import record_pb2
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale

pytestmark = pytest.mark.heavy

BATCH = 50
FEW = 150
"""Records that are one person before it is known that too many share what they have."""

SHARED = (
    identifier(EMAIL, "everybody@posteo.net"),
    identifier(PHONE, "+441603600000"),
    identifier(DEVICE, "kiosk", "app"),
)
"""What everybody is sent with."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, scale: Scale) -> Iterator[IdentityInstallation]:
    made = start_installation(tmp_path_factory.mktemp("hostile"), durable=scale.is_full)
    service = made.process()
    try:
        service.start()
        yield made
    finally:
        service.kill()
        made.stop()


def bare(number: int) -> record_pb2.Record:
    """One more record with the name, mailbox, telephone and device of all others."""
    return record("Ann Lee", *SHARED, number=f"bare/{number}")


def nameless(number: int) -> record_pb2.Record:
    """One that has nothing but these."""
    return record("", *SHARED, number=f"nameless/{number}")


def strange(number: int) -> record_pb2.Record:
    """One that has these, and a name of its own."""
    draw = random.Random(number)
    name = " ".join("".join(draw.choices("bcdfghjklmnprstvwz", k=9)).capitalize() for _ in range(2))
    return record(name, *SHARED, number=f"strange/{number}")


async def p99_ms(desk: Desk, until: asyncio.Event) -> float:
    """Look somebody else up without a pause, and return how long 99 of 100 calls took at most."""
    other = identifier(EMAIL, "somebody.else@posteo.net")
    await desk.resolve(record("Wilhelmina Ostrander", other, number="else"))
    took: list[float] = []
    while not until.is_set() or len(took) < 100:
        began = perf_counter()
        await desk.look_up(other)
        took.append(1000 * (perf_counter() - began))
    return sorted(took)[len(took) * 99 // 100]


@pytest.mark.parametrize("made", [bare, nameless, strange])
async def test_a_load_with_one_mailbox_telephone_device_and_name_makes_nobody_a_crowd(
    installation: IdentityInstallation,
    scale: Scale,
    prove: Prove,
    progress: MakeProgress,
    made: Callable[[int], record_pb2.Record],
) -> None:
    count = scale.pick(small=300, full=1_000_000)
    kind = made.__name__
    bar = progress(count, f"records, {kind}")
    answered: Counter[str] = Counter()
    async with open_desk(installation, deadline_s=60) as desk, open_desk(installation, deadline_s=60) as caller:
        await desk.until_serving("api")
        done = asyncio.Event()
        done.set()
        alone = await p99_ms(caller, done)
        done.clear()
        beside = asyncio.create_task(p99_ms(caller, done))
        for batch in (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH)):
            (answer,) = await desk.load([made(number) for number in batch])
            assert not any(each.status.code for each in answer.results)
            answered.update(each.resolved.profile_id for each in answer.results)
            bar.advance(len(batch))
        done.set()
        p99 = await beside
        last = await desk.resolve(made(count))
        profile = await desk.profile(last.profile_id)
    assert profile.state.record_count == 1
    assert len(answered) >= count - FEW
    prove("identity", **{f"hostile_{kind}_records": count, f"hostile_{kind}_p99_ms": round(p99, 1)})
    print(f"{kind}: {count} records; look-ups of others p99 {p99:.1f} ms, before it {alone:.1f} ms")  # noqa: T201
