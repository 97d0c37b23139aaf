"""Errors that cross a service's edge: a reason from a table, a code, and what a caller needs to act.

Pure: nothing here knows gRPC. `rpc/status.py` translates to and from `google.rpc.Status`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

Code = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""Names of the gRPC status codes, OK left out."""

CODES: Final[frozenset[str]] = frozenset(get_args(Code))
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]")  # AIP-193
_DOMAIN: Final = re.compile(r"[a-z][a-z0-9-]*\.rapport")


@dataclass(frozen=True, slots=True)
class Reason:
    """One way a call can fail.

    Attributes:
        name: UPPER_SNAKE, stable for ever: programs decide by it.
        code: gRPC status code.
        retryable: Whether the same call may succeed later, unchanged.
        meaning: One sentence for the documentation.
    """

    name: str
    code: Code
    retryable: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field that broke a rule: its path in the request and the rule, never the value."""

    path: str
    description: str


@dataclass(frozen=True, slots=True)
class Resource:
    """What an error is about: a type such as "profile" and the resource's name or id."""

    type: str
    name: str


class RapportError(Exception):
    """A refusal with a stable reason. Its texts must name no person.

    Attributes:
        reason: The row of the error table.
        domain: Who defines the reason, for example "consent.rapport".
        message: For a developer to read.
        fields: Fields of the request that broke a rule.
        metadata: Every value that the message names, by key.
        retry_after_s: Seconds to wait before trying again; None where unknown or useless.
        resource: What the error is about.
    """

    def __init__(
        self,
        reason: Reason,
        domain: str,
        message: str,
        *,
        fields: tuple[FieldViolation, ...] = (),
        metadata: Mapping[str, str] = MappingProxyType({}),
        retry_after_s: float | None = None,
        resource: Resource | None = None,
    ) -> None:
        super().__init__(f"{reason.name}: {message}")
        self.reason = reason
        self.domain = domain
        self.message = message
        self.fields = fields
        self.metadata = metadata
        self.retry_after_s = retry_after_s
        self.resource = resource


class ErrorTable:
    """All reasons of one domain. A reason that is not in the table cannot be raised."""

    def __init__(self, domain: str, reasons: Iterable[Reason]) -> None:
        """Check and keep the reasons.

        Raises:
            ValueError: A name, code or domain is malformed, or a name occurs twice.
        """
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"not an error domain: {domain!r}")
        self.domain = domain
        self._reasons: dict[str, Reason] = {}
        for reason in reasons:
            if not _NAME.fullmatch(reason.name) or reason.code not in CODES or not reason.meaning:
                raise ValueError(f"not a reason: {reason!r}")
            if reason.name in self._reasons:
                raise ValueError(f"reason {reason.name} occurs twice in {domain}")
            self._reasons[reason.name] = reason

    def __iter__(self) -> Iterator[Reason]:
        """Iterate over the reasons in the order they were given."""
        return iter(self._reasons.values())

    def __getitem__(self, name: str) -> Reason:
        """Return the reason with this name.

        Raises:
            KeyError: There is none.
        """
        return self._reasons[name]

    def error(
        self,
        name: str,
        message: str,
        *,
        field: str | None = None,
        fields: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        resource: Resource | None = None,
    ) -> RapportError:
        """Return an error to raise.

        Args:
            name: Name of the reason.
            message: For a developer; names no person.
            field: Path of the one field at fault; its description is the message.
            fields: Fields at fault, where there are several or the description differs.
            metadata: Every value that the message names.
            retry_after_s: Seconds to wait before trying again.
            resource: What the error is about.

        Raises:
            KeyError: The reason is not in the table.
        """
        violations = tuple(fields)
        if field is not None:
            violations = (FieldViolation(field, message), *violations)
        return RapportError(
            self._reasons[name],
            self.domain,
            message,
            fields=violations,
            metadata=MappingProxyType(dict(metadata or {})),
            retry_after_s=retry_after_s,
            resource=resource,
        )

    def markdown(self) -> str:
        """Return the table for a README."""
        rows = [f"| `{r.name}` | {r.code} | {'yes' if r.retryable else 'no'} | {r.meaning} |" for r in self]
        return "\n".join(["| Reason | Code | Retryable | Meaning |", "|---|---|---|---|", *rows])


CHASSIS_ERRORS: Final = ErrorTable(
    "chassis.rapport",
    [
        Reason("INVALID_REQUEST", "INVALID_ARGUMENT", False, "A field of the request breaks a rule of the contract."),
        Reason("REQUEST_MALFORMED", "INVALID_ARGUMENT", False, "The bytes sent are not a message of the method."),
        Reason("PAGE_TOKEN_INVALID", "INVALID_ARGUMENT", False, "The page token is not one issued for this list."),
        Reason("CERTIFICATE_MISSING", "UNAUTHENTICATED", False, "The client certificate names no caller (URI SAN)."),
        Reason("CALLER_UNKNOWN", "UNAUTHENTICATED", False, "No permission is configured for the certificate's name."),
        Reason("PERMISSION_DENIED", "PERMISSION_DENIED", False, "The caller does not hold the permission named."),
        Reason("ACTOR_TOKEN_MISSING", "UNAUTHENTICATED", False, "A human must stand behind this call: no token sent."),
        Reason("ACTOR_TOKEN_INVALID", "UNAUTHENTICATED", False, "The actor token is not one that is trusted here."),
        Reason("ACTOR_TOKEN_EXPIRED", "UNAUTHENTICATED", False, "The actor token is past its time: mint another."),
        Reason("ACTOR_TOKEN_REPLAYED", "UNAUTHENTICATED", False, "The token is bound to another certificate."),
        Reason("ACTOR_PERMISSION_DENIED", "PERMISSION_DENIED", False, "No role of the actor holds the permission."),
        Reason("LOGIN_NOT_FRESH", "UNAUTHENTICATED", False, "The actor's login is too long ago for this action."),
        Reason("REQUEST_ID_REUSED", "INVALID_ARGUMENT", False, "The request id was used with another request."),
        Reason("REQUEST_IN_PROGRESS", "ABORTED", True, "The same request is still running."),
        Reason("OVERLOADED", "RESOURCE_EXHAUSTED", True, "Too many calls are in flight."),
        Reason("MESSAGE_TOO_LARGE", "RESOURCE_EXHAUSTED", False, "The message is above the size limit."),
        Reason("DEADLINE_TOO_SHORT", "DEADLINE_EXCEEDED", True, "Too little of the caller's deadline is left."),
        Reason("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", True, "The deadline passed before the answer."),
        Reason("METHOD_UNKNOWN", "UNIMPLEMENTED", False, "The server has no such method."),
        Reason("NOT_READY", "UNAVAILABLE", True, "Something the call needs is not available yet."),
        Reason("UNAVAILABLE", "UNAVAILABLE", True, "The server cannot be reached."),
        Reason("NOT_FOUND", "NOT_FOUND", False, "The resource named does not exist."),
        Reason("VERSION_NOT_FOUND", "NOT_FOUND", False, "There is no such version."),
        Reason("VERSION_STATE_INVALID", "FAILED_PRECONDITION", False, "The version is in a state that forbids it."),
        Reason("OPERATION_RUNNING", "FAILED_PRECONDITION", False, "The operation has not ended yet: cancel it first."),
        Reason("OPERATION_CANCELLED", "CANCELLED", False, "The operation was cancelled."),
        Reason("INTERNAL", "INTERNAL", False, "A fault of the service. The trace id finds it."),
    ],
)
"""What every service can answer, because the chassis does."""
