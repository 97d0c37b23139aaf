"""Backups: a dump of every database, each as of one moment, beside a list of what there is.

No key is in one that opens anything. The databases hold names and addresses of nobody but in ciphertext, and the keys
of those are in a dump of their own (`identity_keys`), wrapped under an epoch key that lies in a folder of secrets and
is destroyed within 30 days. Keys to sign with, epoch keys, hash keys and those of the vault are kept as secrets are.
"""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from rapport_chassis.database.roles import ServiceDatabase
from rapport_testing.files import replace_file
from rapport_testing.postgres_access import PostgresAccess
from rapport_testing.postgres_binaries import binary

from rapport_local.failure import Failure
from rapport_local.services import SERVICES, LocalDatabase, LocalService

_MANIFEST: Final = "backup.json"
_FORMAT: Final = 1


class Dump(BaseModel):
    """One dump.

    Attributes:
        service: Whose database it is.
        database: What the database is called in the table of services.
        file: Its name in the folder.
        sha256: Digest of the file.
        size: Its bytes.
    """

    model_config = ConfigDict(frozen=True)

    service: str
    database: str
    file: str
    sha256: str
    size: int


class Backup(BaseModel):
    """What a folder holds.

    Attributes:
        format: Version of this description.
        begun_at: When the first dump was begun.
        ended_at: When the last one was whole.
        dumps: The dumps.
    """

    model_config = ConfigDict(frozen=True)

    format: int = _FORMAT
    begun_at: AwareDatetime
    ended_at: AwareDatetime
    dumps: list[Dump]

    def of(self, service: LocalService, database: LocalDatabase) -> Dump | None:
        """Return the dump of a database, None if it is in none."""
        return next(
            (each for each in self.dumps if (each.service, each.database) == (service.name, database.name)), None
        )


def in_order() -> list[tuple[LocalService, LocalDatabase]]:
    """Return every database in the order in which it is dumped.

    A key is durable before the value that it encrypts: keys come after the values. The ledger comes last, so that it
    knows every erasure that another dump knows.
    """
    services = sorted(SERVICES, key=lambda service: service.name == "consent")
    return [(service, database) for service in services for database in service.databases]


def prepare(folder: Path) -> None:
    """Make the folder, closed to others; what a backup that was killed has left in it goes.

    Raises:
        Failure: It holds something else, or a backup already.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise Failure(f"{folder} cannot be used: {error.strerror}") from error
    if _MANIFEST in found:
        raise Failure(f"{folder} holds a backup already", hint="choose another folder; a backup is never changed")
    ours = {name for _, database in in_order() for name in (_file(database), f"{_file(database)}.part")}
    if found - ours:
        raise Failure(f"{folder} holds other files", hint="choose a new folder")
    for name in found:
        (folder / name).unlink()


def dump(server: PostgresAccess, service: LocalService, database: LocalDatabase, folder: Path) -> Dump | None:
    """Dump a database as of one moment, while it is in use; None if there is no such database.

    Raises:
        Failure: PostgreSQL could not.
    """
    name = ServiceDatabase.of(database.name).name
    if not exists(server, name):
        return None
    whole, part = folder / _file(database), folder / f"{_file(database)}.part"
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    run("pg_dump", "--format=custom", "--compress=1", "--file", str(part), server.dsn(name))
    with part.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    part.rename(whole)
    return Dump(service=service.name, database=database.name, file=whole.name, sha256=digest, size=whole.stat().st_size)


def finish(folder: Path, begun_at: datetime, dumps: list[Dump]) -> Backup:
    """Write the list: from then on it is a backup."""
    backup = Backup(begun_at=begun_at, ended_at=datetime.now(UTC), dumps=dumps)
    replace_file(folder / _MANIFEST, backup.model_dump_json(indent=2).encode(), mode=0o600)
    return backup


def read(folder: Path) -> Backup:
    """Return what a folder holds.

    Raises:
        Failure: It holds no whole backup, or one of another format.
    """
    try:
        backup = Backup.model_validate_json((folder / _MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise Failure(
            f"{folder} holds no whole backup", hint=f"a backup that was finished has a {_MANIFEST}"
        ) from error
    except (OSError, ValidationError) as error:
        raise Failure(f"{folder / _MANIFEST} cannot be read", details=str(error)) from error
    if backup.format != _FORMAT:
        raise Failure(f"{folder} is a backup of format {backup.format}", hint="use the release that made it")
    return backup


def verified(folder: Path, dump: Dump) -> Path:
    """Return the file of a dump, which must be what it was.

    Raises:
        Failure: It is missing or was changed.
    """
    path = folder / dump.file
    try:
        with path.open("rb") as file:
            whole = file_digest(file, "sha256").hexdigest() == dump.sha256
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    if not whole:
        raise Failure(f"{path} is not what was written: its digest is another one")
    return path


def exists(server: PostgresAccess, database: str) -> bool:
    """Say whether there is a database of this name."""
    return bool(server.execute(f"SELECT FROM pg_database WHERE datname = '{database}'"))


def run(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL to its end.

    Raises:
        Failure: It failed.
    """
    done = subprocess.run([str(binary(program)), *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Failure(f"{program} failed", details=done.stderr.strip())


def _file(database: LocalDatabase) -> str:
    return f"{database.name}.dump"
