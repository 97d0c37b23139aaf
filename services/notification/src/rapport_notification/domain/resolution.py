"""What to do with a message of which nobody can tell whether it went: by what its class allows and its peer can do.

| The peer                     | at most once                | at least once           |
|------------------------------|-----------------------------|-------------------------|
| knows idempotency keys       | repeat with the key         | repeat with the key     |
| can be asked what it has seen| ask; not seen: send again   | the same                |
| neither                      | end it as ambiguous         | send again              |

Advertising and one-time codes are at most once, and so is service to a contract; a duty by law is at least once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rapport_notification.domain.entries import Entry, Limits, State
from rapport_notification.domain.ledger import settles_from


@dataclass(frozen=True, slots=True)
class Capability:
    """What a provider can do about a send in doubt.

    Attributes:
        key_for_us: How long it drops a second send with the same idempotency key; 0: it does not.
        look_up_for_us: How long it can tell whether it has seen a message; 0: it cannot.
        look_up_after_us: How long after a send has ended its "never seen" is final.
    """

    key_for_us: int = 0
    look_up_for_us: int = 0
    look_up_after_us: int = 0


BLIND = Capability()
"""A peer that can do neither, such as a mail server of somebody else."""


class Way(Enum):
    """How a message in doubt goes on."""

    WAIT = "wait"
    REPEAT = "repeat"
    ASK = "ask"
    SEND_AGAIN = "send again"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The next thing to do.

    Attributes:
        way: What.
        until_us: WAIT: until when. REPEAT: until when the key is known. Else 0.
    """

    way: Way
    until_us: int = 0


def resolution(entry: Entry, capability: Capability, now_us: int, limits: Limits) -> Resolution:
    """Return how a message in doubt goes on.

    Args:
        entry: In state UNKNOWN.
        capability: Of the provider its last attempt went to.
        now_us: The time.
        limits: Those its sends keep to.

    Raises:
        ValueError: It is not in doubt.
    """
    if entry.state is not State.UNKNOWN:
        raise ValueError("only a message in doubt is resolved")
    wanted = entry.ending is None and (entry.expires_us is None or now_us < entry.expires_us)
    key_until_us = entry.series_us + capability.key_for_us
    if wanted and now_us + limits.lease_us <= key_until_us:
        return Resolution(Way.REPEAT, key_until_us)
    over_us = settles_from(entry, limits)
    if now_us < over_us:
        return Resolution(Way.WAIT, over_us)
    if now_us < entry.series_us + capability.look_up_for_us:
        final_us = over_us + capability.look_up_after_us
        return Resolution(Way.ASK) if now_us >= final_us else Resolution(Way.WAIT, final_us)
    return Resolution(Way.SEND_AGAIN if wanted and entry.message_class.at_least_once else Way.GIVE_UP)
