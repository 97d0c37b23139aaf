"""The part of the JetStream API that is used here: look at streams and consumers, read and delete single messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rapport_chassis.errors import RapportError
from rapport_chassis.events.errors import EVENT_ERRORS

_NOT_FOUND: Final = 404
_STREAM_NOT_FOUND: Final = 10059


class Requester(Protocol):
    """Whatever sends one request to the broker and returns its answer."""

    async def request(
        self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> bytes:
        """Send one request and return its answer.

        Raises:
            RapportError: BROKER_UNAVAILABLE.
        """
        ...


class JetStreamError(Exception):
    """The broker refused.

    Attributes:
        code: Like an HTTP status.
        error_code: What exactly, as the broker numbers it.
    """

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.code = int(error.get("code", 0))
        self.error_code = int(error.get("err_code", 0))
        super().__init__(f"{error.get('description', 'refused')} ({self.error_code})")


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as a stream keeps it."""

    subject: str
    sequence: int
    headers: Mapping[str, str]
    data: bytes


class JetStreamApi:
    """Calls to JetStream.

    Args:
        requester: Sends them.
        domain: JetStream domain, if the installation has one.
    """

    def __init__(self, requester: Requester, *, domain: str | None = None) -> None:
        self._requester = requester
        self.prefix = api_prefix(domain)

    async def call(self, verb: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a call such as "STREAM.INFO.RAPPORT_CONSENT" and return its answer.

        Raises:
            JetStreamError: The broker refused.
            RapportError: BROKER_UNAVAILABLE: it did not answer, which is also what a missing permission looks like.
        """
        payload = json.dumps(body).encode() if body is not None else b""
        answer: dict[str, Any] = json.loads(await self._requester.request(f"{self.prefix}.{verb}", payload))
        if "error" in answer:
            raise JetStreamError(answer["error"])
        return answer

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> int:
        """Publish a message and return its sequence, once the stream has it.

        Raises:
            JetStreamError: The stream refused it.
            RapportError: BROKER_UNAVAILABLE; whether it was stored is unknown: publish again with the same message id.
        """
        answer = json.loads(await self._requester.request(subject, payload, headers=headers))
        if "error" in answer:
            raise JetStreamError(answer["error"])
        return int(answer["seq"])

    async def stream_info(self, stream: str) -> dict[str, Any]:
        """Return configuration and state of a stream.

        Raises:
            RapportError: STREAM_MISSING, BROKER_UNAVAILABLE.
        """
        try:
            return await self.call(f"STREAM.INFO.{stream}")
        except JetStreamError as error:
            if error.code == _NOT_FOUND:
                raise _stream_missing(stream) from None
            raise

    async def consumer_info(self, stream: str, consumer: str) -> dict[str, Any]:
        """Return configuration and state of a consumer.

        Raises:
            RapportError: STREAM_MISSING, CONSUMER_MISSING, BROKER_UNAVAILABLE.
        """
        try:
            return await self.call(f"CONSUMER.INFO.{stream}.{consumer}")
        except JetStreamError as error:
            if error.error_code == _STREAM_NOT_FOUND:
                raise _stream_missing(stream) from None
            if error.code == _NOT_FOUND:
                raise EVENT_ERRORS.error(
                    "CONSUMER_MISSING",
                    f"consumer {consumer} of stream {stream} was not provisioned yet",
                    metadata={"stream": stream, "consumer": consumer},
                ) from None
            raise

    async def get(self, stream: str, sequence: int) -> StoredMessage | None:
        """Return a message, or None if it is not there (any more)."""
        answer = await self._requester.request(self.get_subject(stream), get_body(sequence))
        return stored_message(answer)

    def get_subject(self, stream: str) -> str:
        """Return the subject of the call that reads a message; its body is `get_body`."""
        return f"{self.prefix}.STREAM.MSG.GET.{stream}"

    async def delete(self, stream: str, sequence: int) -> bool:
        """Delete a message and overwrite it on disk; False if it was not there."""
        try:
            await self.call(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": False})
        except JetStreamError as error:
            if error.code == _NOT_FOUND or "not found" in str(error):
                return False
            raise
        return True


def _stream_missing(stream: str) -> RapportError:
    return EVENT_ERRORS.error("STREAM_MISSING", f"stream {stream} does not exist yet", metadata={"stream": stream})


def api_prefix(domain: str | None) -> str:
    """Return the beginning of all subjects of the API."""
    return f"$JS.{domain}.API" if domain else "$JS.API"


def get_body(sequence: int) -> bytes:
    """Return the body of the call that reads a message."""
    return b'{"seq":%d}' % sequence


def stored_message(answer: bytes) -> StoredMessage | None:
    """Read the answer of the call that reads a message; None if it says that there is none.

    Raises:
        JetStreamError: It says something else.
    """
    body = json.loads(answer)
    if "error" in body:
        error = JetStreamError(body["error"])
        if error.code == _NOT_FOUND:
            return None
        raise error
    message = body["message"]
    return StoredMessage(
        subject=message["subject"],
        sequence=message["seq"],
        headers=_headers(base64.b64decode(message.get("hdrs", ""))),
        data=base64.b64decode(message.get("data", "")),
    )


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name: value.strip() for name, _, value in pairs}
