"""Contact points: out of records, and as callers get them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from rapport.identity.v1 import events_pb2, identity_pb2, record_pb2, touchpoint_pb2
from rapport_chassis.times import moment, stamp
from rapport_privacy.translate import decision_message

from rapport_identity.app.contact_points import Asked, HeldPoint, Reach, Usable
from rapport_identity.app.stored import HeldRecord
from rapport_identity.translate.records import normal_form

_ADDRESS: Final = 0  # beside the numbers of kinds of identifiers
_KINDS: Final[Mapping[int, frozenset[int]]] = {
    touchpoint_pb2.CHANNEL_EMAIL: frozenset({events_pb2.IDENTIFIER_KIND_EMAIL}),
    touchpoint_pb2.CHANNEL_SMS: frozenset({events_pb2.IDENTIFIER_KIND_PHONE}),
    touchpoint_pb2.CHANNEL_CALL: frozenset({events_pb2.IDENTIFIER_KIND_PHONE}),
    touchpoint_pb2.CHANNEL_PUSH: frozenset({events_pb2.IDENTIFIER_KIND_DEVICE}),
    touchpoint_pb2.CHANNEL_APP: frozenset({events_pb2.IDENTIFIER_KIND_ACCOUNT, events_pb2.IDENTIFIER_KIND_DEVICE}),
    touchpoint_pb2.CHANNEL_IN_APP: frozenset({events_pb2.IDENTIFIER_KIND_ACCOUNT, events_pb2.IDENTIFIER_KIND_DEVICE}),
    touchpoint_pb2.CHANNEL_WEB: frozenset({events_pb2.IDENTIFIER_KIND_ACCOUNT, events_pb2.IDENTIFIER_KIND_COOKIE}),
    touchpoint_pb2.CHANNEL_CHAT: frozenset({events_pb2.IDENTIFIER_KIND_ACCOUNT, events_pb2.IDENTIFIER_KIND_EXTERNAL}),
    touchpoint_pb2.CHANNEL_SOCIAL: frozenset({events_pb2.IDENTIFIER_KIND_EXTERNAL}),
    touchpoint_pb2.CHANNEL_POST: frozenset({_ADDRESS}),
}
"""By what somebody is reached on a channel; on the others, such as a shop, nobody is."""


def asked_of(request: identity_pb2.GetContactPointsRequest) -> Asked:
    """Return what contact points are wanted for."""
    return Asked(
        request.profile_id,
        request.purpose_id,
        request.brand_id,
        request.market,
        request.at_least if request.HasField("at_least") else None,
    )


def points_of(held: HeldRecord, channel: touchpoint_pb2.Channel.ValueType) -> Sequence[HeldPoint]:
    """Return the contact points of a record by which somebody is reached on a channel."""
    record = record_pb2.Record.FromString(held.payload or b"")
    occurred_at = moment(record.occurred_at) if record.HasField("occurred_at") else held.recorded_at
    return [
        HeldPoint(held.record_no, same_as, occurred_at, _body(record, point))
        for same_as, point in _points(record, _KINDS.get(channel, frozenset()))
    ]


def reach_message(reach: Reach) -> identity_pb2.GetContactPointsResponse:
    """Return how a person may be reached as a message."""
    return identity_pb2.GetContactPointsResponse(
        contact_points=map(_point_message, reach.points),
        decision=decision_message(reach.decision),
        withheld=reach.withheld,
        current_profile_id=reach.profile_id,
    )


def _points(record: record_pb2.Record, kinds: Collection[int]) -> Iterator[tuple[str, identity_pb2.ContactPoint]]:
    for each in record.person.identifiers:
        normal = normal_form(each, record.market) if each.kind in kinds else None
        if normal is None:
            continue
        _, value = normal
        if each.kind == events_pb2.IDENTIFIER_KIND_EMAIL:
            point = identity_pb2.ContactPoint(email=each.value.strip())
        elif each.kind == events_pb2.IDENTIFIER_KIND_PHONE:
            if not value.startswith("+"):
                continue  # digits that no country makes sense of cannot be dialled
            point = identity_pb2.ContactPoint(phone=value)
        else:
            point = identity_pb2.ContactPoint(endpoint=each)
        yield f"{each.kind}|{value}", point
    if _ADDRESS in kinds:
        for address in record.person.addresses[:1]:  # the present one
            text = address.SerializeToString(deterministic=True)
            yield f"{_ADDRESS}|{text.hex()}", identity_pb2.ContactPoint(address=address)


def _body(record: record_pb2.Record, point: identity_pb2.ContactPoint) -> bytes:
    if record.person.names:
        point.name.CopyFrom(record.person.names[0])
    point.locale = record.locale
    return point.SerializeToString()


def _point_message(usable: Usable) -> identity_pb2.ContactPoint:
    point = identity_pb2.ContactPoint.FromString(usable.body)
    point.contact_point_id = usable.contact_point_id
    point.recorded_under = usable.recorded_under
    point.occurred_at.CopyFrom(stamp(usable.occurred_at))
    return point
