"""How a profile came together, drawn for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rapport.identity.v1 import explanation_pb2

_SHOWN_OF_ID: Final = 8


def short(profile_id: str) -> str:
    """Return the beginning of an id, enough to tell those of a story apart."""
    return f"{profile_id[:_SHOWN_OF_ID]}…" if profile_id else ""


def profile_lines(how: explanation_pb2.ProfileExplanation) -> Iterator[str]:
    """Yield the joins of a profile as a tree, the last one at the top, and its records as leaves."""
    if how.joins:
        yield from _lines(how, len(how.leaves) + len(how.joins) - 1, "", "")
    else:
        yield from (_leaf(each) for each in how.leaves)


def _lines(how: explanation_pb2.ProfileExplanation, node: int, first: str, below: str) -> Iterator[str]:
    if node < len(how.leaves):
        yield first + _leaf(how.leaves[node])
        return
    number = node - len(how.leaves)
    join = how.joins[number]
    decider = explanation_pb2.MatchDecider.Name(join.decided_by).removeprefix("MATCH_DECIDER_").lower()
    pairs = f"{join.pairs} pairs" if join.pairs != 1 else "1 pair"
    weakest = ", the weakest" if how.HasField("weakest_join") and how.weakest_join == number else ""
    yield f"{first}{join.average_bits:+.1f} bits over {pairs}, by {decider}{weakest}"
    yield from _lines(how, join.left, f"{below}├─ ", f"{below}│  ")
    yield from _lines(how, join.right, f"{below}└─ ", f"{below}   ")


def _leaf(leaf: explanation_pb2.TreeLeaf) -> str:
    return leaf.record.source.replace("touchpoints", "what touchpoints brought")
