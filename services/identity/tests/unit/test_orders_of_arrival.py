"""Whatever the order in which a population arrives, singly or in batches, it ends in the persons of all at once."""

import random

import pytest
from identity_memory import InMemory
from rapport_identity.domain.defaults import default_matcher
from rapport_identity.domain.resolution import resolve
from rapport_identity.population import Population

ORDERS = 20


@pytest.fixture(scope="module")
def records(scale):
    return [each.record for each in Population(11).sightings(scale.pick(small=250, full=5000))]


async def test_twenty_random_orders_end_in_one_partition(records, progress):
    wanted = set(resolve(records, default_matcher()).partition.clusters)
    assert 1 < len(wanted) < len(records)
    bar = progress(ORDERS * len(records), "records")
    for order in range(ORDERS):
        draw = random.Random(order)
        process = InMemory(default_matcher())
        await process.partition.load()
        rest = draw.sample(records, len(records))
        while rest:
            size = draw.choice([1, 1, 5, 64, 250]) if order else 1
            await process.feed(rest[:size])
            bar.advance(len(rest[:size]))
            rest = rest[size:]
        assert process.persons() == wanted, order


async def test_few_public_ids_change_while_records_arrive_one_by_one(records):
    process = InMemory(default_matcher())
    await process.partition.load()
    for record in records:
        await process.feed([record])
    assert 0 < len(process.memory.moved) < len(records) / 20
    assert process.memory.merges > 0
