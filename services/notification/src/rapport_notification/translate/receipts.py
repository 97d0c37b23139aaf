"""Decisions about messages, as they were sealed and as messages of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rapport.notification.v1 import notification_pb2
from rapport_chassis.times import set_stamp
from rapport_privacy.vocabulary import Answer, Basis, Reason

from rapport_notification.domain.explaining import is_chain

_DECISIONS: Final = {
    "send": notification_pb2.SEND_DECISION_SEND,
    "hold": notification_pb2.SEND_DECISION_HOLD,
    "drop": notification_pb2.SEND_DECISION_DROP,
}


def explanation_of(
    record: notification_pb2.NotificationRecord, receipts: Sequence[tuple[bytes, bytes]]
) -> notification_pb2.NotificationExplanation:
    """Return a message with every decision about it.

    Args:
        record: The message.
        receipts: As they were sealed, and their digests, oldest first.
    """
    return notification_pb2.NotificationExplanation(
        notification=record,
        receipts=[_receipt(json.loads(canonical), digest) for canonical, digest in receipts],
        intact=is_chain(receipts),
    )


def _receipt(held: Mapping[str, Any], digest: bytes) -> notification_pb2.DecisionReceipt:
    receipt = notification_pb2.DecisionReceipt(
        decision_id=held["decision_id"],
        decision=_DECISIONS[held["result"]],
        channel=held["channel"] or 0,  # type: ignore[arg-type] # numbers are the contract's
        hold_reason=held["hold"] or 0,  # type: ignore[arg-type] # the same
        drop_reason=held["drop"] or 0,  # type: ignore[arg-type] # the same
        suppressed=held["suppressed"],
        template="@".join(str(part) for part in held["template"] or ()),
        channels_expected=held["channels_expected"] or {},
        provider=held["provider"],
        providers_health=held["providers_health"] or {},
        attempt=held["attempt"],
        digest=digest,
        caps=[notification_pb2.CapSeen(**each) for each in held["caps"]],
    )
    set_stamp(receipt.decided_at, datetime.fromisoformat(held["decided_at"]))
    if (consent := held["consent"]) is not None:
        seen = receipt.permission
        seen.answer = Answer[consent["answer"]]  # type: ignore[assignment] # numbers are the contract's
        seen.reason = Reason[consent["reason"]]  # type: ignore[assignment] # numbers are the contract's
        seen.basis = Basis[consent["basis"]]  # type: ignore[assignment] # numbers are the contract's
        seen.reference = consent["grant_reference"]
        seen.position.epoch, seen.position.position = consent["epoch"], consent["position"]
        set_stamp(seen.as_of, datetime.fromisoformat(held["decided_at"]))
        if consent["staleness_us"] >= 0:
            seen.staleness.FromMicroseconds(consent["staleness_us"])
    if (preference := held["preference"]) is not None:
        receipt.preference.category = preference["category"]
        receipt.preference.channel = preference["channel"] or 0  # type: ignore[assignment] # the same
        receipt.preference.wanted = preference["wanted"]
        receipt.preference.set_at.FromMicroseconds(preference["set_us"])
    if (window := held["window"]) is not None:
        _window(receipt.window, window)
    return receipt


def _window(message: notification_pb2.WindowSeen, held: Mapping[str, Any]) -> None:
    for (zone, country), local_time in zip(held["zones"], held["local_times"], strict=True):
        message.places.add(zone=zone, country=country, local_time=local_time)
    message.sources.extend(held["sources"])
    message.rules, message.open = held["rules"], held["is_open"]
    if held["opens_at"] is not None:
        set_stamp(message.opens_at, datetime.fromisoformat(held["opens_at"]))
