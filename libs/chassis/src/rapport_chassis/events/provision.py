"""Brings streams and consumers at the broker to what is declared, or says where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rapport_chassis.errors import RapportError
from rapport_chassis.events.jetstream import JetStreamApi
from rapport_chassis.events.topology import ConsumerSpec, StreamSpec, Topology, load
from rapport_chassis.events.wire import Wire
from rapport_chassis.settings import NatsSettings

PROVISION_USER: Final = "provision"
"""The user who may create streams and consumers, as `deploy/nats/users.yaml` calls it."""

_ABSENT: Final = "absent"
# What the broker leaves out of its answer where it has the value that means nothing.
_UNSAID: Final[Mapping[str, Any]] = {"compression": "none", "deny_delete": False, "allow_rollup_hdrs": False}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the broker differs from what is declared.

    Attributes:
        kind: What is concerned.
        name: The stream, or "stream/consumer".
        field: The setting; empty if the whole is missing.
        declared: What the files say.
        actual: What the broker has; "absent" if the whole is missing.
    """

    kind: Literal["stream", "consumer"]
    name: str
    field: str
    declared: Any
    actual: Any

    def describe(self) -> str:
        """Return one line for a person."""
        if not self.field:
            return f"{self.kind} {self.name} is missing"
        return f"{self.kind} {self.name}: {self.field} is {self.actual!r}, declared {self.declared!r}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for programs."""
        return asdict(self)


async def drift(api: JetStreamApi, topology: Topology) -> list[Difference]:
    """Return every difference between the broker and what is declared; nothing is changed.

    What is not declared is left alone and not reported: the account may be shared.

    Raises:
        RapportError: BROKER_UNAVAILABLE.
    """
    found: list[Difference] = []
    for stream in topology.streams:
        found += _differences("stream", stream.name, stream.config, await _stream(api, stream))
    for consumer in topology.consumers:
        name = f"{consumer.stream}/{consumer.name}"
        found += _differences("consumer", name, consumer.config, await _consumer(api, consumer))
    return found


async def apply(api: JetStreamApi, topology: Topology) -> list[Difference]:
    """Create what is missing, change what differs, and return what was mended; nothing is ever deleted.

    Raises:
        JetStreamError: The broker refused a change, as of a stream's storage; it must then be mended by hand.
        RapportError: BROKER_UNAVAILABLE.
    """
    mended: list[Difference] = []
    for stream in topology.streams:
        found = _differences("stream", stream.name, stream.config, await _stream(api, stream))
        if found:
            verb = "CREATE" if not found[0].field else "UPDATE"
            await api.call(f"STREAM.{verb}.{stream.name}", stream.config)
        mended += found
    for consumer in topology.consumers:
        name = f"{consumer.stream}/{consumer.name}"
        found = _differences("consumer", name, consumer.config, await _consumer(api, consumer))
        if found:
            await api.call(
                f"CONSUMER.DURABLE.CREATE.{consumer.stream}.{consumer.name}",
                {"stream_name": consumer.stream, "config": consumer.config},
            )
        mended += found
    return mended


async def provision(nats: NatsSettings, folder: Path, *, check: bool) -> list[str]:
    """Apply what a folder declares, or with `check` change nothing, and return the differences found, for a person.

    Args:
        nats: Where the broker is, with the certificate of the user `provision`.
        folder: Where the declarations are.
        check: Whether to look only.

    Raises:
        WireError: The broker cannot be reached.
        TopologyError: What is declared cannot be.
    """
    topology = load(
        folder,
        prefix=nats.stream_prefix,
        domain=nats.domain,
        replicas=nats.replicas,
        max_bytes=nats.stream_max_bytes,
    )
    wire = await Wire.open(nats, user=PROVISION_USER)
    try:
        api = JetStreamApi(wire, domain=nats.domain)
        return [each.describe() for each in await (drift if check else apply)(api, topology)]
    finally:
        wire.close()


async def _stream(api: JetStreamApi, stream: StreamSpec) -> Mapping[str, Any] | None:
    return await _config(api.stream_info(stream.name), "STREAM_MISSING")


async def _consumer(api: JetStreamApi, consumer: ConsumerSpec) -> Mapping[str, Any] | None:
    return await _config(api.consumer_info(consumer.stream, consumer.name), "STREAM_MISSING", "CONSUMER_MISSING")


async def _config(asked: Any, *missing: str) -> Mapping[str, Any] | None:
    try:
        config: Mapping[str, Any] = (await asked)["config"]
    except RapportError as error:
        if error.reason.name in missing:
            return None
        raise
    return config


def _differences(
    kind: Literal["stream", "consumer"], name: str, declared: Mapping[str, Any], actual: Mapping[str, Any] | None
) -> list[Difference]:
    if actual is None:
        return [Difference(kind, name, "", "declared", _ABSENT)]
    return [
        Difference(kind, name, field, value, actual.get(field, _UNSAID.get(field)))
        for field, value in declared.items()
        if not _same(value, actual.get(field, _UNSAID.get(field)))
    ]


def _same(declared: Any, actual: Any) -> bool:
    if isinstance(declared, list) and isinstance(actual, list) and all(isinstance(each, str) for each in declared):
        return sorted(declared) == sorted(actual)
    return bool(declared == actual)
