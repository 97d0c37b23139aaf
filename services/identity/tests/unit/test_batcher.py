import asyncio

import pytest
from rapport_identity.app.batcher import Batcher


class Desk:
    """Answers batches when it is let go, and remembers them."""

    def __init__(self):
        self.batches = []
        self.open = asyncio.Event()
        self.busy = asyncio.Event()

    async def __call__(self, asked):
        self.batches.append(list(asked))
        self.busy.set()
        await self.open.wait()
        if "bad" in asked:
            raise ValueError("bad")
        return [each.upper() for each in asked]


async def test_a_lone_call_starts_at_once_and_those_meanwhile_go_together():
    desk = Desk()
    batcher = Batcher(desk, largest=3)
    first = asyncio.create_task(batcher("a"))
    await desk.busy.wait()
    rest = [asyncio.create_task(batcher(each)) for each in "bcde"]
    await asyncio.sleep(0)
    desk.open.set()
    assert await asyncio.gather(first, *rest) == ["A", "B", "C", "D", "E"]
    assert desk.batches == [["a"], ["b", "c", "d"], ["e"]]


async def test_a_batch_that_fails_tells_its_callers_and_the_next_one_is_answered():
    desk = Desk()
    desk.open.set()
    batcher = Batcher(desk)
    with pytest.raises(ValueError, match="bad"):
        await batcher("bad")
    assert await batcher("a") == "A"


async def test_a_caller_that_gives_up_takes_nothing_from_the_others():
    desk = Desk()
    batcher = Batcher(desk)
    first = asyncio.create_task(batcher("a"))
    await desk.busy.wait()
    leaving, staying = asyncio.create_task(batcher("b")), asyncio.create_task(batcher("c"))
    await asyncio.sleep(0)
    leaving.cancel()
    first.cancel()
    desk.open.set()
    assert await staying == "C"
    await batcher.close()
    assert desk.batches == [["a"], ["c"]]
