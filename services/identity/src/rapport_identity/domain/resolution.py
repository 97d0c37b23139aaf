"""From records to persons in one pure function: what any order of arrival, on any number of replicas, must end in."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rapport_identity.domain import sharing
from rapport_identity.domain.blocking import RULES, Rule
from rapport_identity.domain.components import Edge
from rapport_identity.domain.folding import Column, fold_record
from rapport_identity.domain.linkage import NO_CONSTRAINTS, Constraints, Partition, partition
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import Record, RecordKey
from rapport_identity.domain.weighing import Prepared


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which records meet.

    Attributes:
        pairs: Pairs that share a key, ends in order, sorted.
        capped: For each kind of key, how many keys were held by too many to bring anybody together.
    """

    pairs: tuple[tuple[RecordKey, RecordKey], ...]
    capped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The persons among the records, and what was left out on the way.

    Attributes:
        partition: The persons.
        capped: As in `Candidates`.
        shared: Identifiers that are not personal, and what they are.
        compared: Pairs that blocking brought together.
    """

    partition: Partition
    capped: Mapping[str, int]
    shared: Mapping[tuple[str, str], sharing.Sharing]
    compared: int


def resolve(
    records: Iterable[Record],
    matcher: Matcher,
    constraints: Constraints = NO_CONSTRAINTS,
    rules: Sequence[Rule] = RULES,
) -> Resolution:
    """Return the persons among the records; of records with one key the last given counts."""
    folded = {record.key: fold_record(record) for record in records}
    shared = judge_identifiers(folded)
    personal = {key: sharing.without_shared(columns, shared) for key, columns in folded.items()}
    prepared = {key: matcher.prepare_columns(key, columns) for key, columns in personal.items()}
    met = candidates(personal, rules)
    edges = list(weigh_pairs(met.pairs, prepared, matcher))
    found = partition(
        list(prepared),
        edges,
        lambda a, b: matcher.score(prepared[a], prepared[b]),
        join=matcher.join,
        fracture=matcher.fracture,
        largest=matcher.largest_component,
        constraints=constraints,
    )
    return Resolution(found, met.capped, shared, len(met.pairs))


def judge_identifiers(
    folded: Mapping[RecordKey, Mapping[str, Column]],
) -> dict[tuple[str, str], sharing.Sharing]:
    """Return what is not personal among the identifiers of all records."""
    holders: dict[tuple[str, str], Counter[str]] = {}
    for key, columns in folded.items():
        who = sharing.holder(key, columns)
        for column in sharing.LIMITS:
            for value in columns[column] or ():
                holders.setdefault((column, value), Counter())[who] += 1
    judged = {
        (column, value): sharing.judge(column, value, held, held.total()) for (column, value), held in holders.items()
    }
    return {identifier: verdict for identifier, verdict in judged.items() if verdict is not sharing.Sharing.PERSONAL}


def candidates(columns: Mapping[RecordKey, Mapping[str, Column]], rules: Sequence[Rule] = RULES) -> Candidates:
    """Return which records meet, each pair once however many keys it shares."""
    pairs: set[tuple[RecordKey, RecordKey]] = set()
    capped: dict[str, int] = {}
    for rule in rules:
        blocks: dict[str, list[RecordKey]] = {}
        for key in sorted(columns):
            for block in rule.keys(columns[key]):
                blocks.setdefault(block, []).append(key)
        for held in blocks.values():
            if len(held) > rule.cap:
                capped[rule.name] = capped.get(rule.name, 0) + 1
            else:
                pairs.update(combinations(held, 2))
    return Candidates(tuple(sorted(pairs)), capped)


def weigh_pairs(
    pairs: Iterable[tuple[RecordKey, RecordKey]], prepared: Mapping[RecordKey, Prepared], matcher: Matcher
) -> Iterable[Edge]:
    """Yield the edges that reach the fracture value."""
    for one, other in pairs:
        bits = matcher.score(prepared[one], prepared[other])
        if bits >= matcher.fracture:
            yield Edge(one, other, bits)
