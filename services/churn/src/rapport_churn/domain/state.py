"""What is known of one profile: its facts, compact and in order, and the running sums that vectors are read from."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from hashlib import blake2b

from rapport_churn.domain.facts import Fact
from rapport_churn.domain.features import Summary
from rapport_churn.domain.tracks import Track
from rapport_churn.domain.vectors import ORDERS_TRACK, Plan, summary_of


def token_of(fact_id: str) -> int:
    """Return 64 bits that stand for a fact's id inside a state."""
    return int.from_bytes(blake2b(fact_id.encode(), digest_size=8).digest(), "little", signed=True)


class ProfileState:
    """The facts of one profile, whatever the order and however often they are told.

    Whose a fact is, is not decided here: the log keeps one issue of each fact, and moves it when another supersedes it.
    The times of a fact are the same in every issue of it.
    """

    __slots__ = (
        "_arrivals", "_channels", "_kinds", "_known_until", "_plan", "_quantities", "_times", "_tokens", "_tracks",
        "_values", "_wound",
    )  # fmt: skip

    def __init__(self, plan: Plan, facts: Iterable[Fact] = ()) -> None:
        self._plan = plan
        self._times = array("q")
        self._arrivals = array("q")
        self._tokens = array("q")
        self._values = array("q")
        self._quantities = array("q")
        self._kinds = array("B")
        self._channels = array("B")
        self._known_until = 0
        self._tracks: dict[int, Track] = {}
        self._wound = 0
        for fact in facts:
            self.apply(fact)

    def __len__(self) -> int:
        return len(self._times)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProfileState) and self._columns() == other._columns()

    @property
    def known_until(self) -> int:
        """When the last of its facts arrived; 0 if it has none."""
        return self._known_until

    def apply(self, fact: Fact) -> bool:
        """Take in a fact; return whether it was new."""
        _, _, _, kind, time, arrival, value, quantity, channel = fact
        return self._add(time, arrival, token_of(fact.fact_id), value, quantity, kind, channel)

    def withdraw(self, fact_id: str) -> bool:
        """Forget a fact; return whether it was here."""
        try:
            place = self._tokens.index(token_of(fact_id))
        except ValueError:
            return False
        self._unwind(place)
        for column in self._columns():
            column.pop(place)
        self._known_until = max(self._arrivals, default=0)
        return True

    def known(self, known_at: int) -> ProfileState:
        """Return the state as it was known at an instant: without what had not arrived."""
        if known_at >= self._known_until:
            return self
        state = ProfileState(self._plan)
        kept = [place for place, arrival in enumerate(self._arrivals) if arrival <= known_at]
        for column, mine in zip(state._columns(), self._columns(), strict=True):
            column.extend(array(column.typecode, [mine[place] for place in kept]))
        state._known_until = max(state._arrivals, default=0)
        return state

    def vector(self, at: int, known_at: int) -> list[float]:
        """Return the features at an instant by what had happened by then and was known at another."""
        state = self.known(known_at)
        state._wind()
        return self._plan.vector(state._tracks, at)

    def summary(self, at: int, known_at: int) -> Summary | None:
        """Summarise the purchases up to an instant by what was known at another; None if there are none."""
        state = self.known(known_at)
        state._wind()
        return summary_of(state._tracks.get(ORDERS_TRACK), at)

    def _columns(self) -> tuple[array[int], ...]:
        return (
            self._times, self._arrivals, self._tokens, self._values, self._quantities, self._kinds, self._channels
        )  # fmt: skip

    def _add(self, time: int, arrival: int, token: int, value: int, quantity: int, kind: int, channel: int) -> bool:
        times, place = self._times, len(self._times)
        if place and time <= times[-1]:
            place = bisect_right(times, time)
            same = place
            while same and times[same - 1] == time:
                same -= 1
                if self._tokens[same] == token:
                    return False
            # Facts of one instant are kept in order of channel, then token: so the last is of the highest channel.
            while place > same and (self._channels[place - 1], self._tokens[place - 1]) > (channel, token):
                place -= 1
            self._unwind(place)
        fact = (time, arrival, token, value, quantity, kind, channel)
        if place == len(times):
            for column, number in zip(self._columns(), fact, strict=True):
                column.append(number)
        else:
            for column, number in zip(self._columns(), fact, strict=True):
                column.insert(place, number)
        if arrival > self._known_until:
            self._known_until = arrival
        return True

    def _wind(self) -> None:
        for place in range(self._wound, len(self._times)):
            value, channel = self._values[place], self._channels[place]
            for index, source in self._plan.routes(self._kinds[place], channel):
                if source.admits(value):
                    track = self._tracks.get(index)
                    if track is None:
                        track = self._tracks[index] = self._plan.track(index)
                    track.wind(self._times[place], value, self._quantities[place], channel)
        self._wound = len(self._times)

    def _unwind(self, place: int) -> None:
        while self._wound > place:
            self._wound -= 1
            last = self._wound
            for index, source in self._plan.routes(self._kinds[last], self._channels[last]):
                if source.admits(self._values[last]):
                    self._tracks[index].unwind()
