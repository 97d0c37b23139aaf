"""What a change of the consent ledger is about."""

from __future__ import annotations

from rapport.consent.v1 import ledger_pb2

from rapport_churn.app.withdrawals import Change


def change_of(message: ledger_pb2.LedgerChange) -> Change:
    """Return whom a change concerns."""
    named = {message.named_id, message.current_id, *(fence.profile_id for fence in message.fences)}
    for subject in message.subjects:
        named.add(subject.profile_id)
        named.update(subject.redirect_ids)
    profiles = frozenset(each for each in named if each.startswith("prf_"))
    return Change(message.position, profiles, bool(message.purposes))
