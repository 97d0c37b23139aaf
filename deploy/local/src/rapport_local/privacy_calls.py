"""Calls to the consent service as whoever is logged in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import grpc
from rapport.consent.v1 import privacy_pb2_grpc
from rapport_chassis.errors import RapportError

from rapport_local.calling import stub_of
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.operators import current_login
from rapport_local.options import running

AnswerT = TypeVar("AnswerT")
StubT = TypeVar("StubT")
Stub: TypeAlias = "privacy_pb2_grpc.PrivacyRequestServiceAsyncStub"

_SERVICE: Final = "consent"
_HINTS: Final = {
    "LOGIN_NOT_FRESH": "log in again: rapport login NAME --role officer",
    "SAME_ACTOR": "somebody else has to do this: rapport login ANOTHER --role officer",
    "RECORDS_MISCOUNTED": "the stores count what --records hands in: a copy of all that was found",
    "REQUESTER_NOT_VERIFIED": "rapport privacy verify shows who asks",
}


def as_officer(environment: Environment, work: Callable[[Stub], Awaitable[AnswerT]]) -> AnswerT:
    """Call PrivacyRequestService as whoever is logged in.

    Raises:
        Failure: Nobody is, nothing runs, or the service refused.
    """
    return call_as_officer(environment, privacy_pb2_grpc.PrivacyRequestServiceStub, work)


def call_as_officer(
    environment: Environment,
    made: Callable[[grpc.aio.Channel], StubT],
    work: Callable[[StubT], Awaitable[AnswerT]],
) -> AnswerT:
    """Call one of consent's services as whoever is logged in.

    Raises:
        Failure: Nobody is, nothing runs, or the service refused.
    """
    status, operator = running(environment), current_login(environment)
    if operator is None:
        raise Failure("an officer must stand behind this", hint="rapport login NAME --role officer")

    async def call() -> AnswerT:
        async with stub_of(environment, status, _SERVICE, made, operator=operator) as stub:
            return await work(stub)

    try:
        return asyncio.run(call())
    except RapportError as error:
        details = ", ".join(f"{name}: {value}" for name, value in error.metadata.items())
        hint = _HINTS.get(error.reason.name, "")
        raise Failure(f"{error.reason.name}: {error.message}", details=details, hint=hint) from error
