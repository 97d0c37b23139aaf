from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.scheduling import FairQueue, Priority, Queued
from rapport_testing.prove import Scale

BULK, URGENT, NORMAL = Priority.BULK, Priority.URGENT, Priority.NORMAL


def queued(number: int, priority: Priority = BULK, brand: str = "a", destination: str = "relay") -> Queued:
    return Queued(f"ntf_{number}", priority, brand, destination)


def popped(queue: FairQueue, count: int) -> list[Queued]:
    found = []
    for _ in range(count):
        message = queue.pop()
        if message is None:
            break
        found.append(message)
    return found


def test_an_urgent_message_goes_next_whatever_waits(scale: Scale) -> None:
    queue = FairQueue(places=8, urgent_places=2, per_destination=4)
    for number in range(scale.pick(small=5_000, full=50_000)):
        queue.push(queued(number, brand=f"brand{number % 3}", destination=f"d{number % 7}"))
    assert len(popped(queue, 100)) == 6  # all places are taken but those kept
    queue.push(queued(-1, URGENT))
    message = queue.pop()
    assert message is not None
    assert message.notification_id == "ntf_-1"


def test_a_brand_with_a_hundred_times_as_many_gets_every_other_turn() -> None:
    queue = FairQueue(places=10_000, urgent_places=0, per_destination=10_000)
    for number in range(2_000):
        queue.push(queued(number, brand="loud"))
    for number in range(20):
        queue.push(queued(-number, brand="quiet"))
    first = Counter(each.brand_id for each in popped(queue, 40))
    assert first == {"loud": 20, "quiet": 20}


def test_a_stalled_destination_holds_its_bound_and_nothing_else() -> None:
    queue = FairQueue(places=20, urgent_places=2, per_destination=3)
    for number in range(100):
        queue.push(queued(number, destination="stalled"))
        queue.push(queued(1000 + number, destination=f"d{number}", brand="b"))
    taken = popped(queue, 100)
    assert Counter(each.destination == "stalled" for each in taken) == {True: 3, False: 15}
    for each in taken:
        if each.destination != "stalled":
            queue.done(each)
    assert all(each.destination != "stalled" for each in popped(queue, 100))
    queue.push(queued(-1, URGENT, destination="stalled"))
    assert queue.pop() is not None  # an urgent one has room of its own there


def test_a_stream_of_urgent_messages_does_not_stop_the_rest_for_good() -> None:
    queue = FairQueue(places=2, urgent_places=1, per_destination=4, lower_turn=8)
    for number in range(200):
        queue.push(queued(number, URGENT))
    queue.push(queued(-1, NORMAL))
    seen = []
    for _ in range(20):
        message = queue.pop()
        assert message is not None
        seen.append(message.priority)
        queue.done(message)
    assert NORMAL in seen


MESSAGES = st.builds(
    queued, st.integers(0, 10**6), st.sampled_from(Priority), st.sampled_from("abc"), st.sampled_from("xyz")
)
OPERATIONS = st.lists(st.one_of(MESSAGES, st.just("pop"), st.just("done")), max_size=200)


@given(OPERATIONS)
def test_whatever_happens_every_message_goes_once_and_the_bounds_hold(operations: list[Queued | str]) -> None:
    queue = FairQueue(places=6, urgent_places=2, per_destination=2)
    pushed, gone, under_way = Counter[Queued](), Counter[Queued](), []
    for operation in operations:
        if isinstance(operation, Queued):
            queue.push(operation)
            pushed[operation] += 1
        elif operation == "pop" and (message := queue.pop()) is not None:
            under_way.append(message)
            gone[message] += 1
        elif operation == "done" and under_way:
            queue.done(under_way.pop(0))
        by_destination = Counter(each.destination for each in under_way)
        assert len(under_way) <= 6
        assert all(count <= 4 for count in by_destination.values())
        assert len(queue) == sum((pushed - gone).values())
    while len(queue):
        message = queue.pop()
        if message is None:
            queue.done(under_way.pop(0))  # nothing may go: then something is under way
        else:
            under_way.append(message)
            gone[message] += 1
    assert gone == pushed


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="places"):
        FairQueue(places=2, urgent_places=2, per_destination=1)
