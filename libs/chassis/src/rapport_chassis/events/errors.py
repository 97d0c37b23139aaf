"""What can go wrong with an event, as reasons of one table."""

from __future__ import annotations

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

EVENT_ERRORS: Final = ErrorTable(
    "events.rapport",
    [
        Reason("EVENT_TOO_LARGE", "INVALID_ARGUMENT", False, "The event's payload is above 900 KB."),
        Reason("EVENT_MALFORMED", "INVALID_ARGUMENT", False, "The message received is not the event it claims to be."),
        Reason("EVENT_INVALID", "INVALID_ARGUMENT", False, "A field of the event breaks a rule of the contract."),
        Reason("STREAM_MISSING", "UNAVAILABLE", True, "The stream does not exist yet: its context is not deployed."),
        Reason("CONSUMER_MISSING", "UNAVAILABLE", True, "The durable consumer was not provisioned yet."),
        Reason("CONSUMER_DRIFTED", "FAILED_PRECONDITION", False, "The durable consumer is not what the code expects."),
        Reason("CONSUMER_PAUSED", "UNAVAILABLE", False, "Too many failures in a row: a person looks and resumes it."),
        Reason("CONSUMER_FAILED", "INTERNAL", False, "A fault of the service keeps the consumer from running."),
        Reason("STREAM_REFUSES", "RESOURCE_EXHAUSTED", True, "The stream refuses events, as a full one does."),
        Reason("ORIGINAL_ERASED", "NOT_FOUND", False, "The event referred to was erased from its stream."),
        Reason("ORIGINAL_GONE", "NOT_FOUND", False, "The event referred to was erased or has aged out of its stream."),
        Reason("DEAD_LETTER_UNKNOWN", "NOT_FOUND", False, "There is no dead letter with this number."),
        Reason("BROKER_UNAVAILABLE", "UNAVAILABLE", True, "NATS cannot be reached or does not answer in time."),
    ],
)
"""Reasons of the event machinery; they reach dead letters, health detail and the command line."""
