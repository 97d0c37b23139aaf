"""Matchers, and long work on them, as messages of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rapport.identity.v1 import matcher_pb2
from rapport_chassis.times import stamp

from rapport_identity.app.computing import Phase
from rapport_identity.app.matchers import MatcherOrigin, Version
from rapport_identity.app.preview import Preview
from rapport_identity.domain.comparisons import Comparison, Level, bits, codes
from rapport_identity.domain.matcher import Matcher

_ORIGINS: Final = {
    MatcherOrigin.DEFAULT: matcher_pb2.MATCHER_ORIGIN_DEFAULT,
    MatcherOrigin.TRAINED: matcher_pb2.MATCHER_ORIGIN_TRAINED,
    MatcherOrigin.IMPORTED: matcher_pb2.MATCHER_ORIGIN_IMPORTED,
}
_PHASES: Final = {
    Phase.READING: matcher_pb2.MATCHER_WORK_PHASE_READING,
    Phase.TRAINING: matcher_pb2.MATCHER_WORK_PHASE_TRAINING,
    Phase.CHECKING: matcher_pb2.MATCHER_WORK_PHASE_CHECKING,
    Phase.JOINING: matcher_pb2.MATCHER_WORK_PHASE_JOINING,
}


def matcher_message(version: Version, *, whole: bool = True) -> matcher_pb2.Matcher:
    """Return a matcher as a message; in a list without its comparisons."""
    matcher, activation = version.matcher, version.activation
    message = matcher_pb2.Matcher(
        matcher_id=version.matcher_id,
        state=matcher_pb2.MATCHER_STATE_READY,
        origin=_ORIGINS[version.origin],
        sha256=version.sha256,
        prior_bits=matcher.prior,
        join_bits=matcher.join,
        fracture_bits=matcher.fracture,
        comparisons=[_comparison(each, matcher) for each in matcher.comparisons] if whole else (),
        trained_on=version.trained_on,
        created_at=stamp(version.created_at),
    )
    if activation is not None:
        message.activated_at.CopyFrom(stamp(activation.activated_at))
        message.activated_by, message.reason = activation.activated_by, activation.reason
    if activation is not None and version.deciding:
        message.records_pending = activation.pending
        message.state = matcher_pb2.MATCHER_STATE_ACTIVATING if activation.pending else matcher_pb2.MATCHER_STATE_ACTIVE
    return message


def preview_message(preview: Preview) -> matcher_pb2.MatcherPreview:
    """Return what activating a matcher would change as a message."""
    changes = [
        matcher_pb2.PreviewedChange(
            profile_ids=each.profile_ids, resulting_records=each.resulting, records_moved=each.moved
        )
        for each in preview.changes
    ]
    return matcher_pb2.MatcherPreview(
        matcher_id=preview.matcher_id,
        against_matcher_id=preview.against,
        records=preview.records,
        profiles_before=preview.before,
        profiles_after=preview.after,
        merges=preview.merges,
        splits=preview.splits,
        records_moved=preview.moved,
        largest_before=preview.largest_before,
        largest_after=preview.largest_after,
        components_cut=preview.cuts,
        changes=changes,
        as_of=stamp(preview.as_of),
    )


def work_message(phase: Phase, done: int, total: int, started_at: datetime) -> matcher_pb2.MatcherWorkMetadata:
    """Return how far long work has come as a message."""
    return matcher_pb2.MatcherWorkMetadata(phase=_PHASES[phase], done=done, total=total, started_at=stamp(started_at))


def _comparison(comparison: Comparison, matcher: Matcher) -> matcher_pb2.MatcherComparison:
    terms = {level.term for level in comparison.levels if level.term}
    return matcher_pb2.MatcherComparison(
        comparison=comparison.name,
        levels=[_level(code, level) for code, level in zip(codes(comparison), comparison.levels, strict=True)],
        frequencies=sum(len(matcher.frequencies.get(term, ())) for term in terms),
    )


def _level(code: str, level: Level) -> matcher_pb2.MatcherLevel:
    if level.m is None or level.u is None:
        return matcher_pb2.MatcherLevel(level=code)
    return matcher_pb2.MatcherLevel(level=code, m=level.m, u=level.u, bits=bits(level.m, level.u))
