"""How long an outgoing call may take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.pipeline import call_or_none

MARGIN_S: Final = 0.020
"""Kept back from the caller's deadline, to answer in time after a call to another service."""

LEAST_S: Final = 0.100
"""Less than this is not worth a call."""


class DeadlineTable:
    """Deadline of each method, set explicitly with every call.

    Never through the service config: gRPC fires its timeouts about a second early there (grpc/grpc#34547).
    """

    def __init__(self, seconds: Mapping[str, float] = MappingProxyType({}), *, default_s: float = 5.0) -> None:
        """Keep the table.

        Args:
            seconds: Full method name (`rapport.consent.v1.ConsentService/CheckConsent`) -> seconds.
            default_s: For methods with one answer that are not in it. A stream that is not in it has no deadline.
        """
        self._seconds = dict(seconds)
        self._default_s = default_s

    def of(self, method: str, *, streaming: bool) -> float | None:
        """Return the seconds a method may take by the table; None for no limit."""
        return self._seconds.get(method, None if streaming else self._default_s)


def outgoing_timeout(limit_s: float | None) -> float | None:
    """Return the seconds that a call made now may take: its limit, and no more than the call being answered leaves.

    Raises:
        RapportError: DEADLINE_TOO_SHORT where too little is left.
    """
    inbound = call_or_none()
    if inbound is None:
        return limit_s
    left_s = inbound.remaining_s() - MARGIN_S
    if left_s < LEAST_S:
        raise CHASSIS_ERRORS.error("DEADLINE_TOO_SHORT", "too little of the caller's deadline is left for this call")
    if limit_s is None:
        return left_s if left_s != float("inf") else None
    return min(limit_s, left_s)
