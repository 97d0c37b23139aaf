"""What the commands have in common: the folder they work on, and that something runs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rapport_local.environment import DEFAULT_FOLDER, FOLDER_VARIABLE, Environment
from rapport_local.failure import Failure
from rapport_local.status import EnvironmentStatus, live_status

F = TypeVar("F", bound=Callable[..., Any])


def environment_option(command: F) -> F:
    """Give a command the option --folder, and its function the parameter `environment`."""

    def read(_: click.Context, __: click.Parameter, value: Path) -> Environment:
        return Environment.at(value)

    return click.option(
        "--folder",
        "environment",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_FOLDER,
        show_default=True,
        envvar=FOLDER_VARIABLE,
        show_envvar=True,
        callback=read,
        help="Folder of the environment.",
    )(command)


def running(environment: Environment) -> EnvironmentStatus:
    """Return the status of the environment, which must run.

    Raises:
        Failure: It does not.
    """
    status = live_status(environment)
    if status is None:
        raise Failure(f"no environment runs in {environment.folder}", hint="start it with `rapport up`")
    return status


def existing(environment: Environment) -> Environment:
    """Return the environment, which must have been started at least once.

    Raises:
        Failure: Its folder does not exist.
    """
    if not environment.exists:
        raise Failure(f"there is no environment in {environment.folder}", hint="start one with `rapport up`")
    return environment
