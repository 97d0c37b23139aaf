"""How streams and subjects are called. Contexts, events and consumers go in; nothing here names a person."""

from __future__ import annotations

from typing import Final

CONTEXTS: Final = ("identity", "consent", "churn", "pricing", "notification")
"""The contexts that publish events, each to a stream of its own."""


def stream_name(prefix: str, context: str) -> str:
    """Return the stream of a context, for example "RAPPORT_CONSENT"."""
    return f"{prefix}_{context.upper()}"


def dead_letter_stream(prefix: str) -> str:
    """Return the stream that all contexts share for their dead letters."""
    return f"{prefix}_DLQ"


def retry_stream(prefix: str) -> str:
    """Return the stream that all contexts share for replays."""
    return f"{prefix}_RETRY"


def dead_letter_subject(context: str, consumer: str) -> str:
    """Return where a consumer of this context leaves its dead letters."""
    return f"rapport.dlq.{context}.{consumer}"


def retry_subject(context: str, consumer: str) -> str:
    """Return where a replay for this one consumer is addressed to."""
    return f"rapport.retry.{context}.{consumer}"
