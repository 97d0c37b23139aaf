"""`rapport login`: act as a human operator on this machine, from which actor tokens are minted."""

from __future__ import annotations

import click

from rapport_local import access, operators
from rapport_local.environment import Environment
from rapport_local.failure import Failure
from rapport_local.options import environment_option, existing


@click.command()
@environment_option
@click.argument("name", required=False)
@click.option("--role", "roles", multiple=True, help="What to act as; may be given several times.")
def login(environment: Environment, name: str | None, roles: tuple[str, ...]) -> None:
    """Act as NAME from now on; without NAME, say who is logged in.

    Calls that need a human operator then carry a token for this person, minted for each call, bound to the calling
    certificate and good for five minutes. A login lasts twelve hours; some actions ask for a fresh one.
    """
    existing(environment)
    if name is None:
        current = operators.current_login(environment)
        if current is None:
            raise Failure("nobody is logged in", hint="rapport login NAME --role ROLE")
        click.echo(f"{current.subject} ({', '.join(current.roles)}), since {current.auth_time:%Y-%m-%d %H:%M} UTC")
        return
    known = access.read_policy(environment).roles
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        said = f"there is no role {unknown[0]!r}" if unknown else "a login needs a role"
        raise Failure(said, hint=f"the roles are: {', '.join(known)} (see {environment.policy_file})")
    made = operators.log_in(environment, name, list(roles))
    click.echo(f"You act as {made.subject} ({', '.join(made.roles)}).")


@click.command()
@environment_option
def logout(environment: Environment) -> None:
    """Stop acting as a human operator."""
    environment.login_file.unlink(missing_ok=True)
    click.echo("Nobody is logged in.")
