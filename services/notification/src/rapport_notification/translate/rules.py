"""Wishes, categories and caps: as messages of the contract, and as the rules know them."""

from __future__ import annotations

from collections.abc import Iterable

from rapport.notification.v1 import preference_pb2
from rapport_chassis.authored import Version
from rapport_chassis.times import moment

from rapport_notification.app.times import micros_of
from rapport_notification.domain.caps import Cap
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.preferences import Category, Wish
from rapport_notification.domain.vocabulary import Channel
from rapport_notification.translate.templates import status_of


def body_of(request: preference_pb2.UpsertRuleRequest) -> bytes:
    """Return what is kept of a rule: its terms."""
    kept = preference_pb2.UpsertRuleRequest()
    kept.CopyFrom(request)
    kept.ClearField("request_id")
    return kept.SerializeToString(deterministic=True)


def rule_message(version: Version) -> preference_pb2.SendingRule:
    """Return a version of a rule as a message."""
    kept = preference_pb2.UpsertRuleRequest.FromString(version.body)
    message = preference_pb2.SendingRule(name=version.id, status=status_of(version))
    if kept.HasField("category"):
        message.category.CopyFrom(kept.category)
    else:
        message.cap.CopyFrom(kept.cap)
    return message


def category_in(name: str, kept: preference_pb2.UpsertRuleRequest) -> Category:
    """Return a category."""
    terms = kept.category
    return Category(name, terms.owed, frozenset(map(Channel, terms.channels)) or frozenset(Channel))


def cap_in(name: str, kept: preference_pb2.UpsertRuleRequest) -> Cap:
    """Return a cap."""
    terms = kept.cap
    channels = frozenset(map(Channel, terms.channels))
    return Cap(name, terms.limit, terms.days, channels, frozenset(terms.categories), terms.lends)


def wishes_in(preferences: Iterable[preference_pb2.Preference], now_us: int) -> list[Wish]:
    """Return wishes; one without a time, or with one to come, is said now.

    Raises:
        RapportError: INVALID_REQUEST, RULE_INVALID: a category and channel is named twice.
    """
    found: dict[tuple[str, int], Wish] = {}
    for at, each in enumerate(preferences):
        cell = (each.category, int(each.channel))
        if cell in found:
            raise ERRORS.error("RULE_INVALID", "each category and channel once", field=f"preferences[{at}]")
        set_us = min(micros_of(moment(each.set_at)), now_us) if each.HasField("set_at") else now_us
        found[cell] = Wish(each.category, Channel(each.channel) if each.channel else None, each.wanted, set_us)
    return list(found.values())


def preferences_message(
    profile_id: str, wishes: Iterable[Wish], place: tuple[str, str] | None, version: int
) -> preference_pb2.Preferences:
    """Return what a person wants as a message."""
    message = preference_pb2.Preferences(profile_id=profile_id, version=version)
    for wish in wishes:
        each = message.preferences.add(category=wish.category, channel=int(wish.channel or 0), wanted=wish.wanted)
        each.set_at.FromMicroseconds(wish.set_us)
    if place is not None:
        message.place.zone, message.place.country = place
    return message
