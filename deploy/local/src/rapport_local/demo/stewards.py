"""The scene about taking back: a steward splits a profile, facts move with their person, and it is undone exactly."""

from __future__ import annotations

from collections.abc import Sequence

from rapport.consent.v1 import consent_pb2
from rapport.identity.v1 import events_pb2, profile_pb2, steward_pb2

from rapport_local.demo.asking import request_id, until
from rapport_local.demo.events import Merged
from rapport_local.demo.recognition import Customer
from rapport_local.demo.report import Report
from rapport_local.demo.scenes import EMAIL, NORTH
from rapport_local.demo.shop import STEWARD, Cast
from rapport_local.demo.streams import published
from rapport_local.demo.trees import short


async def split(report: Report, cast: Cast, customer: Customer, merged: Merged) -> None:
    """The account in the app turns out to be somebody else's."""
    before = await _profile(cast, customer.profile_id)
    report.say(f"The clerk had picked the wrong account. {STEWARD}, with a login, takes its record out of the profile.")
    decision = await cast.steward.SplitProfile(
        steward_pb2.SplitProfileRequest(
            request_id=request_id(),
            profile_id=customer.profile_id,
            leaving=[steward_pb2.RecordGroup(records=[merged.app])],
            reason="two people",
        )
    )
    left = {each.profile_id: each for each in decision.profiles}
    report.rows([("profile", "version", "records", "stands for"), *(_row(each) for each in decision.profiles)])
    report.expect(set(left) == {customer.profile_id, merged.other}, "both are themselves again, under the ids they had")
    report.expect(
        merged.other not in left[customer.profile_id].redirect_ids
        and left[customer.profile_id].state.record_count == before.state.record_count - 1,
        "nothing but the app's record has left",
    )
    issues = await until(lambda: _issues(cast, merged.fact_id), lambda found: len(found) > 1)
    rows = [("the order in the app, as published", "version", "profile")]
    rows += [(each.fact.fact_id, str(each.fact.owner_version), short(each.fact.profile_id)) for each in issues]
    report.rows(rows)
    report.expect(
        issues[-1].fact.profile_id == merged.other and _rising([each.fact.owner_version for each in issues]),
        "the order in the app was issued again: the same fact, a higher version",
    )
    entry = consent_pb2.CheckEntry(profile_id=merged.other, purpose_id=EMAIL, brand_id=NORTH)
    decided = await until(lambda: cast.check_ledger(entry), lambda answer: answer.current_profile_id == merged.other)
    report.decision("app", entry, decided)
    report.expect(
        decided.current_profile_id == merged.other, "consent follows: the account is asked for by itself again"
    )

    withdrawn = await cast.steward.WithdrawConstraint(
        steward_pb2.WithdrawConstraintRequest(
            request_id=request_id(), constraint_id=decision.constraint.constraint_id, reason="was right"
        )
    )
    (again,) = withdrawn.profiles
    report.expect(
        (again.profile_id, again.state, again.redirect_ids) == (before.profile_id, before.state, before.redirect_ids),
        "the steward takes it back, and the profile is exactly as it was",
    )


async def _profile(cast: Cast, profile_id: str) -> profile_pb2.Profile:
    return await cast.identity.GetProfile(profile_pb2.GetProfileRequest(profile_id=profile_id))


async def _issues(cast: Cast, fact_id: str) -> list[events_pb2.TouchpointRecorded]:
    found = await published(cast, "RAPPORT_IDENTITY", events_pb2.TouchpointRecorded)
    return [each for each in found if each.fact.fact_id == fact_id]


def _row(profile: profile_pb2.Profile) -> tuple[str, str, str, str]:
    stands_for = ", ".join(map(short, profile.redirect_ids)) or "itself alone"
    return short(profile.profile_id), str(profile.version), str(profile.state.record_count), stands_for


def _rising(versions: Sequence[int]) -> bool:
    return len(versions) > 1 and list(versions) == sorted(set(versions))
