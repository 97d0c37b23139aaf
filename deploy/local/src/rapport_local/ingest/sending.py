"""Batches on their way: sent over one stream, answered one by one, sent again while a service is not ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar

from google.rpc import code_pb2, error_details_pb2, status_pb2
from rapport_chassis.rpc.status import RemoteError

from rapport_local.failure import Failure

PATIENCE_S: Final = 60.0
"""How long a service may be away or not ready before an import gives up; what is settled stays."""

_AGAIN: Final = frozenset({code_pb2.UNAVAILABLE, code_pb2.ABORTED, code_pb2.RESOURCE_EXHAUSTED})
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 2.0

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
EntryT = TypeVar("EntryT")


class HasStatus(Protocol):
    """What became of one entry of a batch."""

    @property
    def status(self) -> status_pb2.Status:
        """OK, or why it was refused."""
        ...


ResultT = TypeVar("ResultT", bound=HasStatus)


class Conversation(Generic[RequestT, AnswerT]):
    """One stream to a service, on which each request is answered before the next is sent; opened anew after a break.

    Args:
        open_stream: Begins the call.
        opening: Sent first on every stream, and not answered; None for nothing.
    """

    def __init__(
        self, open_stream: Callable[[AsyncIterator[RequestT]], AsyncIterable[AnswerT]], opening: RequestT | None = None
    ) -> None:
        self._open = open_stream
        self._opening = opening
        self._requests: asyncio.Queue[RequestT | None] = asyncio.Queue()
        self._answers: AsyncIterator[AnswerT] | None = None

    async def __aenter__(self) -> Conversation[RequestT, AnswerT]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    async def ask(self, request: RequestT) -> AnswerT:
        """Return the answer to a request, which must be safe to repeat.

        Raises:
            RemoteError: The service refused.
            Failure: It was away for too long.
        """
        waits = _Waits()
        while True:
            if self._answers is None:
                self._requests = asyncio.Queue()
                self._answers = aiter(self._open(self._sent(self._requests)))
            self._requests.put_nowait(request)
            try:
                return await anext(self._answers)
            except (RemoteError, StopAsyncIteration) as error:
                await self._hang_up()
                if isinstance(error, RemoteError) and not error.reason.retryable:
                    raise
                await waits.next()

    async def _sent(self, requests: asyncio.Queue[RequestT | None]) -> AsyncGenerator[RequestT, None]:
        if self._opening is not None:
            yield self._opening
        while (request := await requests.get()) is not None:
            yield request

    async def _hang_up(self) -> None:
        self._requests.put_nowait(None)
        answers, self._answers = self._answers, None
        if isinstance(answers, AsyncGenerator):
            await answers.aclose()


async def settled(
    entries: Sequence[EntryT], ask: Callable[[Sequence[EntryT]], Any], results_of: Callable[[Any], Sequence[ResultT]]
) -> list[ResultT]:
    """Return the final result of every entry: those that the service could not judge yet are asked again.

    Args:
        entries: The entries of a batch.
        ask: Sends some of them and returns the answer.
        results_of: The results in an answer, one for each entry sent.

    Raises:
        RemoteError: The service refused the batch.
        Failure: It was not ready for too long.
    """
    final: list[ResultT | None] = [None] * len(entries)
    waiting = list(range(len(entries)))
    waits = _Waits()
    while waiting:
        results = results_of(await ask([entries[at] for at in waiting]))
        for at, result in zip(waiting, results, strict=True):
            final[at] = None if result.status.code in _AGAIN else result
        waiting = [at for at in waiting if final[at] is None]
        if waiting:
            await waits.next()
    return [each for each in final if each is not None]


def refusal(status: status_pb2.Status) -> tuple[str, str]:
    """Return the path of the field at fault, empty for none in particular, and the reason of a refusal."""
    path, reason, rule = "", code_pb2.Code.Name(status.code), ""
    for detail in status.details:
        if detail.TypeName() == "google.rpc.ErrorInfo":
            reason = error_details_pb2.ErrorInfo.FromString(detail.value).reason
        elif detail.TypeName() == "google.rpc.BadRequest":
            violations = error_details_pb2.BadRequest.FromString(detail.value).field_violations
            path, rule = (violations[0].field, violations[0].description) if violations else ("", "")
    return path, f"{reason}: {rule or status.message}"


class _Waits:
    """Ever longer waits, until patience ends."""

    def __init__(self) -> None:
        self._wait_s = _FIRST_WAIT_S
        self._left_s = PATIENCE_S

    async def next(self) -> None:
        if self._left_s <= 0:
            raise Failure(
                "the service was not ready for a minute",
                hint="see `rapport status`; the same command goes on where this one stopped",
            )
        await asyncio.sleep(self._wait_s)
        self._left_s -= self._wait_s
        self._wait_s = min(_LONGEST_WAIT_S, self._wait_s * 2)
