"""Streams, consumers and users as `deploy/nats/*.yaml` declare them, filled in for one installation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from rapport_chassis.events.jetstream import api_prefix
from rapport_chassis.events.names import CONTEXTS, retry_stream, retry_subject, stream_name
from rapport_chassis.yaml_text import parse_yaml

DECLARED: Final = Path(__file__).with_name("declared")
"""What this release declares: `deploy/nats`, which a link brings into the package and so into its wheel."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES: Final = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NANOSECONDS: Final = 1_000_000_000
_QUANTITY: Final = re.compile(r"(?P<number>[0-9]+)(?P<unit>[A-Za-z]+)")
_CONSUMER_NAME: Final = re.compile(r"[a-z]+-[a-z0-9-]+")
_GATE_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")


class TopologyError(ValueError):
    """A file says something that cannot be; the text names the file and the place."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream as it should be; `config` is what the broker is told."""

    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable consumer as it should be; `config` is what the broker is told."""

    name: str
    service: str
    stream: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UserSpec:
    """A user of the broker.

    Attributes:
        name: For people.
        uri: URI of the client certificate, which is the user's name at the broker.
        publish: Subjects it may publish to.
        subscribe: Subjects it may subscribe to.
    """

    name: str
    uri: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that must exist at the broker before events flow."""

    streams: tuple[StreamSpec, ...]
    consumers: tuple[ConsumerSpec, ...]
    users: tuple[UserSpec, ...]

    def authorization(self) -> dict[str, Any]:
        """Return the users as the `authorization` block of the broker's configuration (JSON is read by it)."""
        return {
            "users": [
                {
                    "user": user.uri,
                    "permissions": {
                        "publish": {"allow": list(user.publish)},
                        "subscribe": {"allow": list(user.subscribe)},
                    },
                }
                for user in self.users
            ]
        }


def load(
    folder: Path,
    *,
    prefix: str = "RAPPORT",
    domain: str | None = None,
    trust_domain: str | None = None,
    replicas: int | None = None,
    max_bytes: int | None = None,
    gates: Sequence[str] = (),
) -> Topology:
    """Read `streams.yaml`, `consumers.yaml` and `users.yaml`.

    Args:
        folder: Where they are.
        prefix: First part of every stream's name.
        domain: JetStream domain.
        trust_domain: Of the certificates' URIs, if not the declared one.
        replicas: Copies of each stream, if not as declared.
        max_bytes: Byte cap of each context's stream, if not the declared one.
        gates: Names of programs beside the services that hold a consent gate, each a user of its own.

    Raises:
        TopologyError: Something in them cannot be.
    """
    streams, consumers, users = (_read(folder / f"{name}.yaml") for name in ("streams", "consumers", "users"))
    names = {"prefix": prefix, "api": api_prefix(domain), "trust_domain": trust_domain or users["trust_domain"]}
    defaults = dict(streams["defaults"])
    if max_bytes is not None:
        defaults["max_bytes"] = max_bytes
    durables = _consumers(consumers, prefix)
    return Topology(
        streams=tuple(_stream({**defaults, **each}, names, replicas) for each in streams["streams"]),
        consumers=durables,
        users=_users(users, names, durables, gates),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise TopologyError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(content, dict):
        raise TopologyError(f"{path} holds no mapping")
    return content


def _stream(declared: Mapping[str, Any], names: Mapping[str, str], replicas: int | None) -> StreamSpec:
    name = _fill(declared["name"], names)
    return StreamSpec(
        name,
        {
            "name": name,
            "description": declared["description"],
            "subjects": [_fill(subject, names) for subject in declared["subjects"]],
            "storage": declared["storage"],
            "retention": declared["retention"],
            "discard": declared["discard"],
            "compression": declared["compression"],
            "max_age": _nanoseconds(declared["max_age"]),
            "max_bytes": _size(declared["max_bytes"]),
            "max_msg_size": _size(declared["max_msg_size"]),
            "duplicate_window": _nanoseconds(declared["duplicate_window"]),
            "num_replicas": replicas or declared["replicas"],
            "deny_delete": False,
            "allow_rollup_hdrs": False,
        },
    )


def _consumers(content: Mapping[str, Any], prefix: str) -> tuple[ConsumerSpec, ...]:
    specs: list[ConsumerSpec] = []
    for each in content["consumers"]:
        declared = {**content["defaults"], **each}
        name, service, context = declared["name"], declared["service"], declared["stream"]
        if not _CONSUMER_NAME.fullmatch(name) or not name.startswith(f"{service}-"):
            raise TopologyError(f"consumer {name!r} is not called <reader>-<purpose>")
        if {service, context} - set(CONTEXTS):
            raise TopologyError(f"consumer {name!r} names a context that does not exist")
        subjects = [f"rapport.{context}.v1.{event}.*" for event in declared["events"]]
        for stream, filters in (
            (stream_name(prefix, context), subjects),
            (retry_stream(prefix), [retry_subject(service, name)]),
        ):
            specs.append(ConsumerSpec(name, service, stream, _consumer(declared, filters)))
    keys = [(spec.stream, spec.name) for spec in specs]
    if len(set(keys)) != len(keys):
        raise TopologyError("a consumer is declared twice")
    return tuple(specs)


def _consumer(declared: Mapping[str, Any], filters: Sequence[str]) -> dict[str, Any]:
    subjects = {"filter_subject": filters[0]} if len(filters) == 1 else {"filter_subjects": list(filters)}
    return {
        "durable_name": declared["name"],
        "name": declared["name"],
        "description": declared["description"],
        "ack_policy": "explicit",
        "ack_wait": _nanoseconds(declared["ack_wait"]),
        "max_deliver": declared["max_deliver"],
        "max_ack_pending": declared["max_ack_pending"],
        "max_waiting": declared["max_waiting"],
        "deliver_policy": declared["deliver_policy"],
        "replay_policy": "instant",
        **subjects,
    }


def _users(
    content: Mapping[str, Any], names: Mapping[str, str], consumers: Sequence[ConsumerSpec], gates: Sequence[str]
) -> tuple[UserSpec, ...]:
    users: list[UserSpec] = []
    for service in CONTEXTS:
        own = {**names, "service": service, "stream": stream_name(names["prefix"], service)}
        readers = [spec for spec in consumers if spec.service == service]
        more = [
            _fill(subject, {**own, "source": spec.stream, "consumer": spec.name})
            for spec in readers
            for subject in content["service"]["consumer_publish"]
        ]
        sources = dict.fromkeys(spec.stream for spec in readers if spec.stream != retry_stream(names["prefix"]))
        more += [
            _fill(subject, {**own, "source": source})
            for source in sources
            for subject in content["service"]["source_publish"]
        ]
        users.append(_user(service, content["service"], own, more))
        users.append(_user(f"{service}-eraser", content["eraser"], own))
    users += [_user(other["name"], other, names) for other in content["others"]]
    for gate in gates:
        if not _GATE_NAME.fullmatch(gate):
            raise TopologyError(f"{gate!r} is not the name of a certificate's holder")
        users.append(_user(gate, content["gate"], {**names, "name": gate}))
    if len({user.uri for user in users}) != len(users):
        raise TopologyError("a user is declared twice")
    return tuple(users)


def _user(name: str, declared: Mapping[str, Any], names: Mapping[str, str], more: Sequence[str] = ()) -> UserSpec:
    publish = [_fill(subject, names) for subject in declared["publish"]]
    return UserSpec(
        name=name,
        uri=_fill(declared["uri"], names),
        publish=tuple(dict.fromkeys([*publish, *more])),
        subscribe=tuple(_fill(subject, names) for subject in declared["subscribe"]),
    )


def _fill(text: str, names: Mapping[str, str]) -> str:
    try:
        return text.format_map(names)
    except (KeyError, ValueError) as error:
        raise TopologyError(f"unknown placeholder in {text!r}") from error


def _nanoseconds(text: str) -> int:
    return _quantity(text, _UNITS) * _NANOSECONDS


def _size(text: str | int) -> int:
    return text if isinstance(text, int) else _quantity(text, _SIZES)


def _quantity(text: str, units: Mapping[str, int]) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None or match["unit"] not in units:
        raise TopologyError(f"not a quantity: {text!r}; units are {', '.join(units)}")
    return int(match["number"]) * units[match["unit"]]
