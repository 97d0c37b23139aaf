"""`rapport doctor`: what is wrong, and how to mend it."""

from __future__ import annotations

from itertools import chain

import click
from rich.console import Console
from rich.text import Text

from rapport_local.doctor import LOOKS, Finding
from rapport_local.doctor_live import live_findings
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing

_MARKS = {"good": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✗", "red")}


@click.command()
@environment_option
def doctor(environment: Environment) -> None:
    """Look at everything that is known to go wrong, and say how to mend what has.

    Exit code 1 if something keeps the environment from working; warnings alone are 0.
    """
    existing(environment)
    console = Console(soft_wrap=True, highlight=False)
    bad = 0
    for finding in chain.from_iterable([*(look(environment) for look in LOOKS), live_findings(environment)]):
        _print(console, finding)
        bad += finding.state == "bad"
    if bad:
        raise Failure(f"{bad} {'thing needs' if bad == 1 else 'things need'} mending")


def _print(console: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.state]
    console.print(Text.assemble((mark, style), " ", finding.what))
    if finding.mend:
        console.print(Text.assemble("    mend: ", (finding.mend, "bold")))
