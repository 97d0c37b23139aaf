"""The scenarios of the Senzing truth set: passed, or what was joined or missed, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import Final

from datasets import Labelled
from rapport_identity.domain import sharing
from rapport_identity.domain.evidence import evidence
from rapport_identity.domain.folding import fold_record
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.records import RecordKey
from rapport_identity.domain.resolution import Resolution
from rapport_identity.domain.weighing import Prepared

REASONS: Final[Mapping[str, str]] = {
    "102": "one surname, birthday, address and e-mail: only given names that are alike part them, as with twins",
    "103": "Darla, Darlene, Darletta are taken for spellings of one name: nothing but surname and birthday is known",
    "108": "two persons of one name at one address: the records without a birthday can be either's",
    "109": "Pat is short for Patrick and Patricia at one address: passports alone part them, and may be mistyped",
    "203": "names in two scripts, which are not carried over, and an address in one line beside one in parts",
    "206": "names in two scripts; three spellings hold a telephone without its country as if three persons did",
    "210": "Keeley and Kaylee are no spellings of one name: surname, e-mail and telephone could be two relatives'",
    "218": "Anna and Annabelle: surname and telephone outweigh that the given names are alike only",
}
"""Why a scenario is not decided as its authors meant it, where it is not."""


def scenarios(resolution: Resolution, rows: Sequence[Labelled], matcher: Matcher) -> dict[str, str]:
    """Return for each scenario: pass, or what is joined or missed with what weighed most, and the reason."""
    cluster_of = {key: index for index, cluster in enumerate(resolution.partition.clusters) for key in cluster}
    prepared = {
        row.record.key: matcher.prepare_columns(
            row.record.key, sharing.without_shared(fold_record(row.record), resolution.shared)
        )
        for row in rows
    }
    groups: dict[str, list[Labelled]] = defaultdict(list)
    for row in rows:
        groups[row.household or ""].append(row)
    found = {}
    for group, members in sorted(groups.items(), key=lambda item: int(item[0])):
        wrong = [
            (one, other, cluster_of[one.record.key] == cluster_of[other.record.key])
            for i, one in enumerate(members)
            for other in members[i + 1 :]
            if (cluster_of[one.record.key] == cluster_of[other.record.key]) != (one.person == other.person)
        ]
        if not wrong:
            found[group] = "pass"
            continue
        shown = ", ".join(_pair(one, other, joined, matcher, prepared) for one, other, joined in wrong[:2])
        more = f" and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        found[group] = f"{REASONS.get(group, 'not looked into')}\n{shown}{more}"
    return found


def _pair(
    one: Labelled, other: Labelled, joined: bool, matcher: Matcher, prepared: Mapping[RecordKey, Prepared]
) -> str:
    found = evidence(matcher, prepared[one.record.key], prepared[other.record.key])
    strongest = nlargest(4, found.weights, key=lambda each: abs(each.bits))
    told = ", ".join(f"{each.comparison} {each.bits:+.0f}" for each in strongest if each.bits)
    names = f"{one.record.key.source_record_id}+{other.record.key.source_record_id}"
    return f"{'joined' if joined else 'missed'} {names} ({found.score:+.0f} bits: {told})"
