"""Models from Splink: its JSON and term frequencies read into a matcher that gives the same weights.

A condition is translated if it is in the closed set; any other is refused by name, for a weight that means something
else offline and online is worse than none.
"""

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any as Json
from typing import Final

from rapport_identity.domain.comparisons import Comparison, Level
from rapport_identity.domain.conditions import Field, Otherwise, Same
from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.splink_conditions import UntranslatableModelError, parse_condition

NOT_OBSERVED: Final = 1e-6


def read_model(model: Mapping[str, Json], frequencies: Mapping[str, Mapping[str, float]]) -> Matcher:
    """Return the matcher of a Splink model.

    Args:
        model: What `save_model_to_json` wrote (versions 4 and 5).
        frequencies: Per column with term frequencies, how often each value occurs; they are not in the JSON.

    Raises:
        UntranslatableModelError: A level, named in the message, cannot be translated, or frequencies are missing.
    """
    comparisons = tuple(_comparison(raw) for raw in model["comparisons"])
    wanted = {level.term for comparison in comparisons for level in comparison.levels if level.term}
    if missing := wanted - frequencies.keys():
        raise UntranslatableModelError(f"no term frequencies for {', '.join(sorted(missing))}")
    chance = float(model["probability_two_random_records_match"])
    if not 0 < chance < 1:
        raise UntranslatableModelError("probability_two_random_records_match is not between 0 and 1")
    return Matcher(
        comparisons=comparisons,
        prior=log2(chance / (1 - chance)),
        frequencies={column: dict(frequencies[column]) for column in sorted(wanted)},
    )


def _comparison(raw: Mapping[str, Json]) -> Comparison:
    name = str(raw["output_column_name"])
    levels = raw["comparison_levels"]
    count = sum(not level.get("is_null_level") for level in levels)
    read: list[Level] = []
    rank = count - 1
    for level in levels:
        where = f"{name}: {level.get('label_for_charts') or level['sql_condition']}"
        try:
            condition = parse_condition(level["sql_condition"])
        except UntranslatableModelError as error:
            raise UntranslatableModelError(f"{where}: {error}") from None
        if level.get("is_null_level"):
            read.append(Level(str(level.get("label_for_charts", "null")), condition))
            continue
        default_m, default_u = _defaults(count, rank)
        read.append(
            Level(
                str(level.get("label_for_charts", level["sql_condition"])),
                condition,
                m=_probability(level.get("m_probability"), default_m),
                u=_probability(level.get("u_probability"), default_u),
                term=_bare(level.get("tf_adjustment_column")),
                term_weight=float(level.get("tf_adjustment_weight", 1.0)),
                term_floor=float(level.get("tf_minimum_u_value", 0.0)),
            )
        )
        rank -= 1
    if not isinstance(read[-1].condition, Otherwise):
        read.append(Level("no level holds", Otherwise()))
    own = [bool(level.get("disable_tf_exact_match_detection")) for level in levels]
    return Comparison(name, tuple(_with_base(level, read, detect=not off) for level, off in _paired(read, own)))


def _paired(levels: Sequence[Level], own: Sequence[bool]) -> list[tuple[Level, bool]]:
    return [(level, own[index] if index < len(own) else False) for index, level in enumerate(levels)]


def _with_base(level: Level, levels: Sequence[Level], *, detect: bool) -> Level:
    """Return the level with the probability that its frequencies replace: that of the exact match on the column."""
    if level.term is None or isinstance(level.condition, Otherwise):
        return Level(level.label, level.condition, level.m, level.u) if level.term else level
    base = level.u
    if detect:
        exact = [other.u for other in levels if other.condition == Same(Field(level.term, "l"), Field(level.term, "r"))]
        if not exact:
            raise UntranslatableModelError(f"{level.label}: no level is an exact match on {level.term}")
        base = exact[0]
    return Level(
        level.label, level.condition, level.m, level.u,
        term=level.term, term_weight=level.term_weight, term_floor=level.term_floor, term_u=base,
    )  # fmt: skip


def _probability(value: Json, default: float) -> float:
    """Return a probability; one never trained is what Splink assumes for a level of that rank."""
    if value is None:
        return default
    return NOT_OBSERVED if isinstance(value, str) else float(value)


def _defaults(count: int, rank: int) -> tuple[float, float]:
    """Return m and u that Splink assumes where training gave none; rank 0 is the least agreement."""
    if count == 1:
        return 0.95, 0.95 / 2**10
    m = 0.95 if rank == count - 1 else 0.05 / (count - 1)
    if rank == count - 1:
        bits = 10.0
    elif count == 2:
        bits = -5.0
    else:
        bits = -5 + 8 * rank / (count - 2)
    return m, m / 2**bits


def _bare(name: str | None) -> str | None:
    return name.strip('"`') if name else None
