"""What an environment consists of, and the order in which it is started and stopped."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, Literal

from rapport_chassis.database.roles import RolePasswords, ServiceDatabase, create_service_database
from rapport_chassis.events.provision import PROVISION_USER, provision
from rapport_chassis.events.topology import DECLARED
from rapport_chassis.settings import DatabaseSettings
from rapport_testing.nats import NatsServer
from rapport_testing.pki import LocalAuthority
from rapport_testing.postgres import PostgresServer

from rapport_local import access, broker, operators
from rapport_local.concurrency import in_thread
from rapport_local.databases import database_settings
from rapport_local.environment import HOST, SERVERS, Environment
from rapport_local.failure import Failure
from rapport_local.leftovers import stop_left_over
from rapport_local.probe import RoleProbe
from rapport_local.processes import Mails, Nats, Postgres, Service
from rapport_local.progress import Progress
from rapport_local.replacement import drop_left_over
from rapport_local.service_settings import Connections, DatabaseAccess, prepare_files, variables
from rapport_local.services import MAILS, SERVICES, LocalService
from rapport_local.status import EnvironmentStatus, ProcessStatus, write_status
from rapport_local.supervisor import Supervisor

_READY_TIMEOUT_S: Final = 60.0


class Stack:
    """PostgreSQL, NATS and services, as processes of one environment that this process holds.

    Args:
        environment: Where; held by the caller.
        progress: Gets the steps of the start and the stop.
        changed: Called after each change of a process.
        services: The services to start; what one misses of another it waits for.
        process: Makes the process of a service.
        durable: Whether commits reach the disk; without, they outlive a killed process, but not a lost machine.
    """

    def __init__(
        self,
        environment: Environment,
        progress: Progress,
        changed: Callable[[ProcessStatus], None],
        services: Sequence[LocalService] = SERVICES,
        process: type[Service] = Service,
        *,
        durable: bool = True,
    ) -> None:
        self._environment = environment
        self._wanted = services
        self._process = process
        self._durable = durable
        self._progress = progress
        self._changed = changed
        self._phase: Literal["starting", "running", "stopping", "stopped"] = "starting"
        self._ready_after_s: float | None = None
        self._supervisor = Supervisor(self._note)
        self._services: list[Service] = []
        self.nats_url = ""
        """Address of NATS, once it is started."""
        self._migrating = asyncio.Lock()

    def status(self) -> EnvironmentStatus:
        """Return what is known of everything."""
        return EnvironmentStatus(
            folder=str(self._environment.folder),
            pid=os.getpid(),
            phase=self._phase,
            ready_after_s=self._ready_after_s,
            processes=self._supervisor.statuses(),
        )

    async def start(self) -> bool:
        """Start everything and say whether all of it is ready; what is not goes on trying.

        Raises:
            Failure: A migration or the provisioning failed.
            ProcessError: PostgreSQL or NATS did not start.
        """
        with self._progress.step("certificates, secrets and permissions"):
            await in_thread(self._prepare)
        try:
            async with asyncio.TaskGroup() as group:
                postgres = group.create_task(self._start_postgres())
                nats = group.create_task(self._start_nats())
                group.create_task(in_thread(import_module, "rapport_chassis.database.migrate"))
                ports = self._take_ports()
                if any(service.mails for service in self._wanted):
                    group.create_task(self._start_mails(ports[MAILS]))
                for service in self._wanted:
                    group.create_task(self._start_service(service, ports, postgres, nats))
        except ExceptionGroup as errors:
            raise _first(errors) from None
        ready = await self._supervisor.ready([process.name for process in self._supervisor.statuses()], 1.0)
        self._phase = "running"
        self._ready_after_s = self._progress.elapsed_s if ready else None
        self._write()
        return ready

    async def stop(self) -> None:
        """Stop the services first, then the servers they need; nothing is left when it returns."""
        self._phase = "stopping"
        names = [status.name for status in self._supervisor.statuses()]
        services = [name for name in names if name not in SERVERS]
        if services:
            with self._progress.step("services stopped"):
                await self._supervisor.stop(services)
                for service in self._services:
                    await service.close()
        with self._progress.step("NATS and PostgreSQL stopped"):
            await self._supervisor.stop(name for name in names if name not in services)
        self._phase = "stopped"
        self._write()

    async def halt(self, name: str, *, at_once: bool = False) -> None:
        """Stop one process and leave it stopped; `at_once` kills it."""
        await self._supervisor.stop([name], at_once=at_once)

    async def resume(self, name: str) -> None:
        """Start a process that was halted, and wait until it is ready.

        Raises:
            ProcessError: It did not start.
        """
        await self._supervisor.start(name)
        await self._supervisor.ready([name], _READY_TIMEOUT_S)

    async def kill(self) -> None:
        """End everything at once, for a person who does not want to wait."""
        await self._supervisor.kill()

    def _prepare(self) -> None:
        stop_left_over(self._environment)
        access.issue_certificates(self._environment)
        access.write_policy(self._environment)
        operators.make_issuer(self._environment)

    async def _start_postgres(self) -> PostgresServer:
        data, log = self._environment.data / "postgres", self._environment.log_of("postgres")
        initialised = self._environment.data / "postgres.initialised"
        if data.exists() and not initialised.exists():
            # The first start was killed half way: nothing was stored yet, and the rest cannot be used.
            await in_thread(shutil.rmtree, data)
        title = "PostgreSQL started" if initialised.exists() else "PostgreSQL initialised and started"
        server = PostgresServer(data, require_passwords=True, durable=self._durable, log_path=log)
        self._supervisor.add(Postgres(server))
        with self._progress.step(title):
            await self._supervisor.start("postgres")
            initialised.touch(mode=0o600)
            await in_thread(drop_left_over, server.access)
        return server

    async def _start_nats(self) -> NatsServer:
        authority = LocalAuthority(self._environment.certificates)
        users = broker.Users(self._environment)
        server = NatsServer(
            self._environment.data / "nats",
            users=users.current(),
            tls=authority.files("nats"),
            port=self._environment.take_port("nats"),
            monitoring_port=self._environment.take_port("nats monitoring"),
            log_path=self._environment.log_of("nats"),
        )
        self._supervisor.add(Nats(server, users.current))
        with self._progress.step("NATS started, with JetStream, TLS and one user per service"):
            await self._supervisor.start("nats")
            self.nats_url = server.url
        with self._progress.step("streams and consumers provisioned"):
            settings = broker.settings_for(self._environment, server.url, PROVISION_USER)
            await provision(settings, DECLARED, check=False)
        return server

    def _take_ports(self) -> dict[str, int]:
        """Return the port of each service, those for HTTP, and that of the mail server."""
        names = [service.name for service in SERVICES]
        names += [f"{service.name} http" for service in SERVICES if service.http]
        return {name: self._environment.take_port(name) for name in (*names, MAILS)}

    async def _start_mails(self, port: int) -> None:
        folder = self._environment.mails
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._supervisor.add(Mails(port, folder, self._environment.log_of(MAILS)))
        await self._supervisor.start(MAILS)

    async def _start_service(
        self,
        service: LocalService,
        ports: Mapping[str, int],
        postgres: asyncio.Task[PostgresServer],
        nats: asyncio.Task[NatsServer],
    ) -> None:
        environment = self._environment
        server, connections = await postgres, Connections((await nats).url, ports)
        address = f"{HOST}:{ports[service.name]}"
        process = self._process(
            service.name,
            service.module,
            variables(service, environment, connections),
            address,
            environment.log_of(service.name),
            RoleProbe(address, access.tls_files(environment, access.CLI)),
        )
        self._services.append(process)
        self._supervisor.add(process)
        await in_thread(self._create_databases, service, server)
        with self._progress.step(f"{service.name}: serving and ready"):
            await self._migrate(service)
            await self._supervisor.start(service.name)
            await self._supervisor.ready([service.name], _READY_TIMEOUT_S)

    def _create_databases(self, service: LocalService, server: PostgresServer) -> None:
        made = {}
        for database in service.databases:
            # New at each start: nobody but the service's own files needs to know them.
            owner, runtime = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
            create_service_database(server.dsn(), database.name, RolePasswords(owner=owner, runtime=runtime))
            names = ServiceDatabase.of(database.name)
            made[database] = DatabaseAccess(
                dsn=server.dsn(names.name, names.runtime_role, runtime),
                owner_dsn=server.dsn(names.name, names.owner_role, owner),
            )
        prepare_files(service, self._environment, made)

    async def _migrate(self, service: LocalService) -> None:
        with self._progress.step(f"{service.name}: migrated"):
            # One database after another: Alembic keeps the migration that runs in global variables.
            async with self._migrating:
                try:
                    for each in service.databases:
                        settings = database_settings(self._environment, service, each)
                        await in_thread(_upgrade, settings, service.migrations(each))
                except Exception as error:
                    raise Failure(f"the migrations of {service.name} failed", details=str(error)) from error

    def _note(self, status: ProcessStatus) -> None:
        self._write()
        self._changed(status)

    def _write(self) -> None:
        write_status(self._environment, self.status())


def _upgrade(settings: DatabaseSettings, migrations: Path) -> None:
    # Half a second of imports, which `Stack.start` has begun while PostgreSQL starts.
    from rapport_chassis.database.migrate import upgrade

    upgrade(settings, migrations)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell: all others follow from a start that was broken off, or say the same."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
