"""The search for planted strings: in every database, dumped, and in every file of an environment.

A string is found wherever bytes are read; what a database prints of bytes is hexadecimal, and is searched for as such.
"""

from __future__ import annotations

import mmap
import re
import subprocess
from pathlib import Path
from typing import Any, Final

from rapport_chassis.database.roles import ServiceDatabase
from rapport_local import backups
from rapport_local.environment import Environment
from rapport_local.servers import database_server
from rapport_testing.postgres_binaries import binary

SIGN: Final = "zqkx"
"""What no string of anybody else has in it."""

LETTERS: Final = 10
"""How many letters before the sign name a person."""

_PLAIN: Final = re.compile(rb"(?:zqkx|ZQKX)[A-Za-z]{2}")
_HEXADECIMAL: Final = re.compile(rb"(?:7a716b78|5a514b58)(?:[4-7][0-9a-f]){2}")


def found_at_rest(environment: Environment, folder: Path) -> dict[str, set[str]]:
    """Search every database, dumped, and every file of the environment: streams, logs, spans, models and all.

    Left out are the files of PostgreSQL, whose databases are dumped instead, and mails that were handed over.

    Args:
        environment: Where.
        folder: For the dumps; they are deleted again.

    Returns:
        Each string with the places where it was found.
    """
    found: dict[str, set[str]] = {}
    server = database_server(environment)
    for number, (_, database) in enumerate(backups.in_order()):
        dump = folder / f"{number}.sql"
        dsn = server.dsn(ServiceDatabase.of(database.name).name)
        subprocess.run([str(binary("pg_dump")), "--file", str(dump), dsn], check=True, capture_output=True)
        for string in strings_in(dump):
            found.setdefault(string, set()).add(database.name)
        dump.unlink()
    skipped = {environment.data / "postgres", environment.mails}
    for path in environment.folder.rglob("*"):
        if path.is_file() and not skipped & set(path.parents):
            for string in strings_in(path):
                found.setdefault(string, set()).add(str(path.relative_to(environment.folder)))
    return found


def strings_in(path: Path) -> set[str]:
    """Return every string that a file holds, as it is or in hexadecimal."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return strings_of(content)
    except ValueError:  # an empty file cannot be mapped
        return set()
    except FileNotFoundError:  # it was a temporary one
        return set()


def strings_of(content: Any) -> set[str]:
    """Return every string that some bytes hold, as it is or in hexadecimal."""
    plain = {content[match.start() - LETTERS : match.end()] for match in _PLAIN.finditer(content)}
    coded = {content[match.start() - 2 * LETTERS : match.end()] for match in _HEXADECIMAL.finditer(content)}
    return {string.decode("latin-1").lower() for string in plain | set(map(_from_hexadecimal, coded))}


def _from_hexadecimal(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:  # what stands before it is none of ours
        return b""
