"""The `rapport` command: which commands there are, each loaded only when it is used."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import Final

import click

_COMMANDS: Final = {
    "up": ("up", "Start everything on this machine; Ctrl-C stops it."),
    "down": ("down", "Stop what runs."),
    "status": ("status", "Show every process and its health."),
    "doctor": ("doctor", "Say what is wrong and how to mend it."),
    "logs": ("logs", "Show logs for a person to read."),
    "call": ("call", "Call any method of any service."),
    "ingest": ("ingest", "Take in your own customers and transactions."),
    "retain": ("retain", "Learn who may leave, offer, price and write, as far as each allows."),
    "client": ("client", "Let other programs call the services."),
    "login": ("login", "Act as a human operator."),
    "logout": ("login", "Stop acting as a human operator."),
    "keys": ("keys", "Show and rotate the keys that services sign with."),
    "gate": ("gate", "Ask the consent gate, and look after those who hold one."),
    "trace": ("trace", "Draw what happened in one call, across services."),
    "report": ("report", "Show how what the services have learned does."),
    "audit": ("audit", "Show who did what, and verify that nothing was changed."),
    "privacy": ("privacy", "See to requests of people about their data."),
    "dlq": ("dlq", "Look after events that could not be handled."),
    "backup": ("backup", "Back every database up, while everything goes on."),
    "restore": ("restore", "Bring a backup back, and nobody who was erased since."),
    "verify": ("verify", "Verify a receipt, package or certificate, offline."),
    "witness": ("witness", "Watch the transparency log and cosign it."),
    "demo": ("demo", "Show the main job on real servers."),
}
"""Name -> module of `rapport_local.commands`, and what it does; the order is that of the help."""


class _LazyGroup(click.Group):
    """Imports a command's module when the command is used: `rapport status` does not wait for gRPC."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"rapport_local.commands.{_COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="rapport-local")
def main() -> None:
    """Rapport on this machine: real PostgreSQL, real NATS and every service, without a container.

    All state is in one folder, `.rapport` in the current directory unless --folder or RAPPORT_FOLDER says otherwise;
    environments in different folders run side by side.
    """
    click.get_current_context().call_on_close(_let_go_of_a_closed_terminal)


def _let_go_of_a_closed_terminal() -> None:
    """Drop what cannot be written any more: else the interpreter fails to flush it at exit, and with it the command."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)
