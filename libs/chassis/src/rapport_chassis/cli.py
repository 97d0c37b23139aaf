"""The commands of a service: `python -m rapport_<name> serve | migrate | provision | check-config`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from rapport_chassis.errors import ErrorTable
from rapport_chassis.settings import DatabaseSettings, ServiceSettings

if TYPE_CHECKING:
    from rapport_chassis.process import Assembly
    from rapport_chassis.rpc.health import Role
    from rapport_chassis.telemetry.names import Attribute

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

_GARBAGE_THRESHOLD = 100_000

EXIT_CONFIGURATION = 78
"""Exit code for settings that cannot be used (EX_CONFIG of sysexits.h)."""


@dataclass(frozen=True)
class Command(Generic[SettingsT]):
    """A command that a service has beside those of every service.

    Attributes:
        name: What it is called by.
        help: What it does, in a line.
        run: Does it and returns the exit code.
    """

    name: str
    help: str
    run: Callable[[SettingsT], int]


@dataclass(frozen=True)
class ServiceDefinition(Generic[SettingsT]):
    """What the commands must know of a service.

    Attributes:
        name: Its name, for example "consent".
        distribution: The installed package, which has its version.
        settings_class: Its settings.
        build: Puts its process together, called in the loop that will run it.
        errors: Its reasons.
        migrations: Folder of its migrations; None for a service without a database.
        further_migrations: Says where else it keeps data, each database with the folder of its migrations.
        topology: Folder of the declared streams, consumers and users; None where nothing is provisioned.
        log_keys: Keys its logs may have, beside the chassis's.
        commands: Commands that it has beside those of every service.
    """

    name: str
    distribution: str
    settings_class: type[SettingsT]
    build: Callable[[SettingsT, tuple[Role, ...]], Assembly]
    errors: ErrorTable
    migrations: Path | None = None
    further_migrations: Callable[[SettingsT], Sequence[tuple[DatabaseSettings, Path]]] = lambda _: ()
    topology: Path | None = None
    log_keys: tuple[Attribute, ...] = ()
    commands: tuple[Command[SettingsT], ...] = ()

    @property
    def version(self) -> str:
        """The installed release; "unknown" where it is run without being installed."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return "unknown"


def later(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports its module when it is called: what serves takes long to import.

    Args:
        module: Where the function is.
        name: Its name.
    """

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call


def main(service: ServiceDefinition[Any], arguments: Sequence[str] | None = None) -> int:
    """Run the command named by the arguments and return the exit code."""
    options = _parser(service).parse_args(arguments)
    try:
        settings = service.settings_class()
    except ValidationError as error:
        sys.stderr.write(f"{_problems(service, error)}\n")
        return EXIT_CONFIGURATION
    command: Callable[[ServiceDefinition[Any], Any, argparse.Namespace], int] = options.command
    return command(service, settings, options)


def _parser(service: ServiceDefinition[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m rapport_{service.name}", description=f"Rapport: {service.name}")
    parser.add_argument("--version", action="version", version=service.version)
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="run the service until SIGTERM")
    serve.add_argument("--only", choices=("api", "events", "relay"), help="have one role alone")
    serve.set_defaults(command=_serve)
    migrate = commands.add_parser("migrate", help="bring the database to the newest schema")
    migrate.add_argument("--check", action="store_true", help="change nothing; fail where a migration is pending")
    migrate.set_defaults(command=_migrate)
    provision = commands.add_parser("provision", help="apply the declared streams and consumers")
    provision.add_argument("--check", action="store_true", help="change nothing; fail where something differs")
    provision.set_defaults(command=_provision)
    check = commands.add_parser("check-config", help="print the effective settings, secrets masked")
    check.add_argument("--json", action="store_true", help="as JSON")
    check.set_defaults(command=_check_config)
    for each in service.commands:
        own = commands.add_parser(each.name, help=each.help, description=each.help)
        own.set_defaults(command=_own(each))
    return parser


def _own(command: Command[Any]) -> Callable[[ServiceDefinition[Any], Any, argparse.Namespace], int]:
    return lambda _service, settings, _options: command.run(settings)


def _serve(service: ServiceDefinition[Any], settings: ServiceSettings, options: argparse.Namespace) -> int:
    import uvloop

    from rapport_chassis.failpoints import arm_from_environment
    from rapport_chassis.process import serve
    from rapport_chassis.rpc.health import ROLES
    from rapport_chassis.rpc.registration import RegistrationError
    from rapport_chassis.telemetry.logs import configure_logging, guard_process

    level = settings.telemetry.log_level
    configure_logging(service.name, service.version, level=level, keys=service.log_keys)
    guard_process()
    arm_from_environment(settings.environment)
    roles: tuple[Role, ...] = (options.only,) if options.only else ROLES

    async def run() -> int:
        assembly = service.build(settings, roles)
        # What is loaded by now stays: the collector need not look at it again, nor run after every 700 objects.
        gc.freeze()
        gc.set_threshold(_GARBAGE_THRESHOLD)
        configure_logging(
            service.name, service.version, telemetry=assembly.telemetry, level=level, keys=service.log_keys
        )
        return await serve(assembly)

    try:
        return uvloop.run(run())
    except (RegistrationError, OSError) as error:  # their texts hold names of methods and files, nothing else
        sys.stderr.write(f"{service.name} cannot be served: {error}\n")
        return EXIT_CONFIGURATION


def _migrate(service: ServiceDefinition[Any], settings: ServiceSettings, options: argparse.Namespace) -> int:
    from rapport_chassis.database.migrate import pending, upgrade

    if service.migrations is None:
        sys.stderr.write(f"{service.name} has no database\n")
        return 2
    databases = [(settings.database, service.migrations), *service.further_migrations(settings)]
    if options.check:
        missing = [name for database, folder in databases for name in pending(database, folder)]
        sys.stdout.write("".join(f"pending {name}\n" for name in missing) or "nothing to migrate\n")
        return 1 if missing else 0
    done = [name for database, folder in databases for name in upgrade(database, folder)]
    sys.stdout.write("".join(f"migrated {name}\n" for name in done) or "nothing to migrate\n")
    return 0


def _provision(service: ServiceDefinition[Any], settings: ServiceSettings, options: argparse.Namespace) -> int:
    from rapport_chassis.events.provision import provision

    if service.topology is None:
        sys.stderr.write(f"{service.name} declares no streams\n")
        return 2
    lines = asyncio.run(provision(settings.nats, service.topology, check=options.check))
    sys.stdout.write("".join(f"{line}\n" for line in lines) or "nothing differs\n")
    return 1 if options.check and lines else 0


def _check_config(service: ServiceDefinition[Any], settings: ServiceSettings, options: argparse.Namespace) -> int:
    from rapport_chassis.settings_report import masked

    rows = masked(settings)
    if options.json:
        sys.stdout.write(f"{json.dumps(dict(rows), indent=2)}\n")
    else:
        width = max(len(row.variable) for row in rows)
        sys.stdout.write("".join(f"{row.variable:<{width}}  {row.value}\n" for row in rows))
    return 0


def _problems(service: ServiceDefinition[Any], error: ValidationError) -> str:
    """Name the variables at fault and what is wrong with them, never their values."""
    prefix = service.settings_class.model_config.get("env_prefix", "")
    lines = [
        f"  {prefix}{'__'.join(str(part).upper() for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "\n".join(["these settings cannot be used:", *lines])
