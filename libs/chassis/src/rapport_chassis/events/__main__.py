"""`python -m rapport_chassis.events drift | apply | users`: what a deployment does with the declared files.

`drift` says where the broker differs from them and fails if it does, `apply` mends it, `users` prints the users and
their permissions for the broker's own configuration. With `--json` the answer is for programs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rapport_chassis.errors import RapportError
from rapport_chassis.events import provision
from rapport_chassis.events.jetstream import JetStreamApi, JetStreamError
from rapport_chassis.events.topology import DECLARED, Topology, TopologyError, load
from rapport_chassis.events.wire import Wire, WireError
from rapport_chassis.settings import NatsSettings, TlsFiles


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 1 where something differs, 2 where it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        topology = load(
            options.folder,
            prefix=options.prefix,
            domain=options.domain,
            trust_domain=options.trust_domain,
            replicas=options.replicas,
            max_bytes=options.max_bytes,
            gates=options.gates,
        )
        if options.command == "users":
            sys.stdout.write(json.dumps({"authorization": topology.authorization()}, indent=2) + "\n")
            return 0
        found = asyncio.run(_provision(options, topology))
    except (TopologyError, WireError, JetStreamError, RapportError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps([each.to_json() for each in found], indent=2) + "\n")
    else:
        done = "mended: " if options.command == "apply" else ""
        sys.stdout.write("".join(f"{done}{each.describe()}\n" for each in found) or "nothing differs\n")
    return 1 if found and options.command == "drift" else 0


async def _provision(options: argparse.Namespace, topology: Topology) -> list[provision.Difference]:
    tls = None
    if options.certificate is not None:
        tls = TlsFiles(certificate=options.certificate, key=options.key, authorities=options.authorities)
    settings = NatsSettings(url=options.url, tls=tls, stream_prefix=options.prefix, domain=options.domain)
    wire = await Wire.open(settings, user=provision.PROVISION_USER)
    try:
        api = JetStreamApi(wire, domain=options.domain)
        return await (provision.apply if options.command == "apply" else provision.drift)(api, topology)
    finally:
        wire.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rapport_chassis.events", description=__doc__)
    parser.add_argument("command", choices=("drift", "apply", "users"))
    parser.add_argument(
        "--folder",
        type=Path,
        default=DECLARED,
        help="where streams.yaml, consumers.yaml and users.yaml are, if not those of this release",
    )
    parser.add_argument("--json", action="store_true", help="answer for programs")
    parser.add_argument("--url", default="nats://127.0.0.1:4222", help="the broker")
    parser.add_argument("--certificate", type=Path, help="of the user who provisions")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--authorities", type=Path)
    parser.add_argument("--prefix", default="RAPPORT", help="first part of every stream's name")
    parser.add_argument("--domain", help="JetStream domain")
    parser.add_argument(
        "--gate", dest="gates", action="append", default=[], help="a program that holds a consent gate; several times"
    )
    parser.add_argument("--trust-domain", help="of the certificates' URIs, if not the declared one")
    parser.add_argument("--replicas", type=int, help="copies of each stream, if not as declared")
    parser.add_argument("--max-bytes", type=int, help="byte cap of each context's stream, if not as declared")
    return parser


if __name__ == "__main__":
    sys.exit(main())
