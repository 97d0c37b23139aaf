"""`rapport keys`: the keys that services sign with, and their rotation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from rapport_chassis.clock import SystemClock
from rapport_chassis.key_folder import KeyFolderError
from rapport_chassis.signing import SigningKeys

from rapport_local.aligned import columns
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing
from rapport_local.services import SERVICES, LocalService

_FOLDER_SETTING: Final = "SIGNING_FOLDER"
_SIGNING: Final = {service.name: service for service in SERVICES if _FOLDER_SETTING in service.folders}
_HEADINGS: Final = ("service", "kid", "state", "signs from (UTC)", "until")


@click.group()
def keys() -> None:
    """Look at the keys that services sign with, and rotate them."""


@keys.command("list")
@environment_option
def list_(environment: Environment) -> None:
    """List all signing keys, the newest first. Retired ones sign nothing any more, and verify for ever."""
    rows = [
        (
            service.name,
            key.kid,
            "retired" if key.retired_at else "active",
            f"{key.active_from:%Y-%m-%d %H:%M:%S}",
            f"{key.retired_at:%Y-%m-%d %H:%M:%S}" if key.retired_at else "",
        )
        for service in _SIGNING.values()
        for key in _keys_of(existing(environment), service).public_keys()
    ]
    for line in columns(_HEADINGS, rows):
        click.echo(line)


@keys.command()
@environment_option
@click.argument("service", type=click.Choice(list(_SIGNING)), default=next(iter(_SIGNING)))
def rotate(environment: Environment, service: str) -> None:
    """Let SERVICE sign with a new key from now on.

    A running service takes it up within a second, without a restart. What the old key signed goes on verifying; its
    private half is deleted.
    """
    ring = _keys_of(existing(environment), _SIGNING[service])
    retired = ring.public_keys()[0].kid
    with _refused_in_words():
        active = ring.rotate()
    click.echo(f"{service} signs with {active} from now on; {retired} only verifies.")


def _keys_of(environment: Environment, service: LocalService) -> SigningKeys:
    folder: Path = environment.service_folder(service.name) / service.folders[_FOLDER_SETTING]
    if not any(folder.glob("*.pem")):
        raise Failure(f"{service.name} has no signing key yet", hint="`rapport up` starts it; it makes the first one")
    with _refused_in_words():
        return SigningKeys(folder, SystemClock())


@contextlib.contextmanager
def _refused_in_words() -> Iterator[None]:
    try:
        yield
    except KeyFolderError as error:
        raise Failure(str(error)) from error
