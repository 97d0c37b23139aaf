"""What a command answers when it cannot do what it was asked: one line, and exit code 1."""

from __future__ import annotations

from typing import IO, Any

import click


class Failure(click.ClickException):
    """Ends a command with exit code 1 and a text a person can act upon.

    Args:
        message: What is wrong, in one line.
        hint: What to do about it; empty if there is nothing to add.
        details: Further lines, such as the end of a log.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.details = details

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on standard error."""
        click.secho("rapport: ", nl=False, err=True, fg="red", file=file)
        click.echo(self.message, err=True, file=file)
        for line in self.details.splitlines():
            click.echo(f"  {line}", err=True, file=file)
        if self.hint:
            click.echo(f"  -> {self.hint}", err=True, file=file)
