"""The log of a Postfix on the same machine: whether it has taken a mail over, by its Message-ID."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from rapport_notification.domain.resolution import Capability
from rapport_notification.domain.vocabulary import DAY_US, SECOND_US

KEEPS: Final = Capability(look_up_for_us=DAY_US, look_up_after_us=5 * SECOND_US)
"""A day of log is read; what a server takes it logs within five seconds."""
_CHUNK: Final = 1 << 20


class RelayLog:
    """Looks for Message-IDs in a log, from where it has been read to before.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def seen(self, message_id: str) -> bool | None:
        """Say whether the log has a mail; None if the log cannot be read."""
        return await asyncio.to_thread(self._seen, f"message-id=<{message_id}>".encode())

    def _seen(self, needle: bytes) -> bool | None:
        try:
            with self._path.open("rb") as log:
                kept = b""
                while chunk := log.read(_CHUNK):
                    if needle in kept + chunk:
                        return True
                    kept = chunk[-len(needle) :]
        except OSError:
            return None
        return False
