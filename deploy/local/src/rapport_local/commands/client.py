"""`rapport client`: certificates and permissions for other programs."""

from __future__ import annotations

import asyncio
from shlex import quote

import click
from google.protobuf import message_factory
from google.protobuf.descriptor import FileDescriptor
from protovalidate import Validator
from rapport_chassis.auth.permissions import Grants
from rapport_testing.pki import IssuedFiles

from rapport_local import access
from rapport_local.calling import methods_of
from rapport_local.environment import DEFAULT_FOLDER, Environment
from rapport_local.options import environment_option, existing
from rapport_local.reflection import OfferedMethod
from rapport_local.services import SERVICES
from rapport_local.status import live_status


@click.group()
def client() -> None:
    """Let other programs call the services."""


@client.command()
@environment_option
@click.argument("name")
@click.option("--may", "permissions", multiple=True, required=True, help="A permission; may be given several times.")
def add(environment: Environment, name: str, permissions: tuple[str, ...]) -> None:
    """Issue a certificate to NAME, let it do what --may says, and print a call that works.

    A client that exists gets the permissions in addition. `rapport call` without a method lists what each method needs.
    """
    existing(environment)
    files, held = access.add_client(environment, name, permissions)
    click.echo(f"{access.caller(name)} may: {', '.join(held)}\n")
    for title, path in (
        ("certificate", files.certificate),
        ("private key", files.key),
        ("authorities", files.authorities),
    ):
        click.echo(f"  {title}  {path}")
    folder = "" if environment == Environment.at(DEFAULT_FOLDER) else f" --folder {quote(str(environment.folder))}"
    if name in access.gate_holders(environment):
        click.echo(f'\nIts processes may hold a consent gate:\n  eval "$(rapport gate env{folder} {name})"')
    shown = _example(environment, held)
    if shown is None:
        return
    method, request = shown
    click.echo(f"\nTry it:\n  rapport call{folder} --as {name} {method.short_name} {quote(request)}")
    click.echo(f"\nThe same from Python, with the stubs of rapport-contracts:\n{_in_python(method, request, files)}")


@client.command("list")
@environment_option
def list_(environment: Environment) -> None:
    """List all clients, when their certificates end, and what they may do."""
    certificates = access.read_policy(existing(environment)).certificates
    for name in access.holders(environment):
        permissions = certificates.get(access.caller(name), [])
        ends = access.expiry(access.tls_files(environment, name).certificate)
        click.echo(f"{name:<16}  until {ends:%Y-%m-%d}  {', '.join(permissions) or '-'}")


def _example(environment: Environment, permissions: list[str]) -> tuple[OfferedMethod, str] | None:
    """A call that the client may make now: a method without request fields first, else the one its service names."""
    status = live_status(environment)
    if status is None:
        return None
    grants = Grants(permissions)
    methods = [
        method
        for method in asyncio.run(methods_of(environment, status))
        if grants.allow(method.permission) and not method.human and not method.descriptor.client_streaming
    ]
    examples = {name: request for service in SERVICES for name, request in service.examples.items()}
    for method in methods:
        if method.short_name in examples:
            return method, examples[method.short_name]
    return next(((method, "{}") for method in methods if _may_be_empty(method)), None)


def _may_be_empty(method: OfferedMethod) -> bool:
    request = message_factory.GetMessageClass(method.descriptor.input_type)()
    return not Validator().collect_violations(request)


def _in_python(method: OfferedMethod, request: str, files: IssuedFiles) -> str:
    service = method.descriptor.containing_service
    message = method.descriptor.input_type
    module = _module(service.file)
    return f"""\
  import grpc
  from google.protobuf import json_format
  from pathlib import Path
  from {service.file.package} import {_module(message.file)}_pb2, {module}_pb2_grpc
  credentials = grpc.ssl_channel_credentials(
      Path("{files.authorities}").read_bytes(),
      Path("{files.key}").read_bytes(),
      Path("{files.certificate}").read_bytes(),
  )
  request = json_format.Parse({request!r}, {_module(message.file)}_pb2.{message.name}())
  with grpc.secure_channel("{method.address}", credentials) as channel:
      print({module}_pb2_grpc.{service.name}Stub(channel).{method.descriptor.name}(request))"""


def _module(file: FileDescriptor) -> str:
    return file.name.rsplit("/", maxsplit=1)[-1].removesuffix(".proto")
