"""The migrations of a service as files: `NNNN_expand_<what>.py` or `NNNN_contract_<what>.py`, one unbroken chain.

An expanding migration only adds, so that the release before it goes on working; a contracting one removes what no
running release uses any more. There is no way back but a further migration.
"""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from alembic.config import Config

Kind = Literal["expand", "contract"]

COMPARISON: Final = {
    "compare_type": True,
    "compare_server_default": True,
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
}
"""How a schema is compared with a model: columns with type, default and NULL, indexes, keys, checks by name."""

_NAME: Final = re.compile(r"(?P<number>\d{4})_(?P<kind>expand|contract)_[a-z0-9]+(?:_[a-z0-9]+)*")
_ENVIRONMENT: Final = Path(__file__).with_name("alembic_environment")


class MigrationError(Exception):
    """The migrations cannot be run: their files break a rule, or the database cannot be had for them."""


@dataclass(frozen=True)
class Migration:
    """One file: `number` is its revision, `kind` says whether the release before it goes on working."""

    number: str
    kind: Kind
    name: str


def configuration(folder: Path, **options: Any) -> Config:
    """Return Alembic's configuration for the migrations in `folder`, with the chassis' environment and template.

    Args:
        folder: Where the service keeps its migrations.
        options: What the environment is configured with: `connection`, or `dialect_name` to only write SQL;
            `runtime_role`, the role to grant to; `target_metadata`, the model.
    """
    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("truncate_slug_length", "80")
    config.attributes["options"] = {"transaction_per_migration": True, **COMPARISON, **options}
    return config


def read_migrations(folder: Path) -> list[Migration]:
    """Return the migrations of a service in their order.

    Raises:
        MigrationError: A file is called otherwise, a number is missing or taken twice, or the chain is broken.
    """
    migrations = [_named(path) for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    numbers = [migration.number for migration in migrations]
    if numbers != [f"{index:04}" for index in range(1, len(numbers) + 1)]:
        raise MigrationError(f"the numbers of the migrations in {folder} are not 0001, 0002, …: {numbers}")
    previous: str | None = None
    for migration in migrations:
        stated = runpy.run_path(str(folder / f"{migration.name}.py"))
        if (stated.get("revision"), stated.get("down_revision")) != (migration.number, previous):
            raise MigrationError(f"{migration.name} must state revision {migration.number!r} after {previous!r}")
        previous = migration.number
    return migrations


def next_migration(folder: Path, kind: Kind, what: str) -> Migration:
    """Return what the migration after the last one is called.

    Raises:
        MigrationError: `what` is not lower-case words joined by underscores, or the existing files break a rule.
    """
    return _named(folder / f"{len(read_migrations(folder)) + 1:04}_{kind}_{what}.py")


def _named(path: Path) -> Migration:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise MigrationError(f"{path.name} is not called NNNN_expand_<what>.py or NNNN_contract_<what>.py")
    kind: Kind = "expand" if match["kind"] == "expand" else "contract"
    return Migration(match["number"], kind, path.stem)
