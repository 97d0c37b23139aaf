"""Whom nobody may treat, so that the effect of treating can be measured: chance, the same for ever."""

from __future__ import annotations

import hmac
from typing import Final

_DRAWN: Final = 8
_ALL: Final = 1 << 8 * _DRAWN


def is_held_out(salt: bytes, profile_id: str, share: float) -> bool:
    """Whether chance holds a customer out.

    The draw depends on nothing but the customer and the installation: it is the same in every process and at any time,
    it has nothing to do with what a model says, and a larger share holds out everybody whom a smaller one does.

    Args:
        salt: Drawn once for the installation.
        profile_id: The id that stands for the person.
        share: Share of all customers.
    """
    drawn = hmac.digest(salt, profile_id.encode(), "sha256")[:_DRAWN]
    return int.from_bytes(drawn, "big") < share * _ALL
