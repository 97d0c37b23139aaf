"""`rapport privacy letter | package | certificate`: what is written to people, and handed out to them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import click
from google.protobuf import json_format
from rapport.consent.v1 import privacy_pb2, privacy_request_pb2
from rapport_testing.files import replace_file

from rapport_local.environment import Environment
from rapport_local.options import environment_option
from rapport_local.privacy_calls import Stub, as_officer


@click.command()
@environment_option
@click.argument("request_id")
@click.argument("kind")
@click.option("--locale", default="", help="Language; that of the request if not said.")
@click.option("--edit", "edits", multiple=True, metavar="PLACE=TEXT", help="Write into a marked place.")
@click.option("--pdf", type=click.Path(dir_okay=False, path_type=Path), help="Write it to a file, as PDF.")
def letter(
    environment: Environment, request_id: str, kind: str, locale: str, edits: tuple[str, ...], pdf: Path | None
) -> None:
    """Show letter KIND of REQUEST_ID as it would be sent: RECEIPT, IDENTITY_QUERY, EXTENSION, REFUSAL, COMPLETION."""
    marked = dict(each.split("=", maxsplit=1) for each in edits if "=" in each)
    if len(marked) != len(edits):
        raise click.UsageError("--edit takes PLACE=TEXT")

    async def work(stub: Stub) -> privacy_pb2.Letter:
        if marked:
            await stub.EditLetter(
                privacy_pb2.EditLetterRequest(
                    request_id=str(uuid4()), privacy_request_id=request_id, kind=kind.upper(), marked=marked
                )
            )
        return await stub.PreviewLetter(
            privacy_pb2.PreviewLetterRequest(privacy_request_id=request_id, kind=kind.upper(), locale=locale)
        )

    found = as_officer(environment, work)
    if pdf is not None:
        replace_file(pdf, found.pdf, mode=0o600)
        click.echo(f"written to {pdf}")
    else:
        click.echo(found.text, nl=False)


@click.command()
@environment_option
@click.argument("request_id")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--right", type=click.Choice(("access", "portability")), help="Which; the only one if not said.")
def package(environment: Environment, request_id: str, target: Path, right: str | None) -> None:
    """Write the package of REQUEST_ID to TARGET. Asks for a login of the last minutes, and is audited."""
    request = privacy_pb2.DownloadPackageRequest(
        privacy_request_id=request_id,
        right=privacy_request_pb2.PrivacyRight.Value(f"PRIVACY_RIGHT_{(right or 'unspecified').upper()}"),
    )

    async def download(stub: Stub) -> bytes:
        digest, partial = b"", target.with_name(f"{target.name}.part")
        partial.touch(mode=0o600)
        try:
            with partial.open("wb") as file:
                async for chunk in stub.DownloadPackage(request):
                    file.write(chunk.data)
                    digest = chunk.sha256 or digest
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)  # a part of somebody's data is nothing to leave about
        return digest

    click.echo(f"{target}: SHA-256 {as_officer(environment, download).hex()}")


@click.command()
@environment_option
@click.argument("request_id")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--pdf", is_flag=True, help="On one page, to be printed.")
def certificate(environment: Environment, request_id: str, target: Path, pdf: bool) -> None:
    """Write the erasure certificate of REQUEST_ID to TARGET; `rapport verify` checks it."""
    request = privacy_pb2.GetErasureCertificateRequest(privacy_request_id=request_id)
    found = as_officer(environment, lambda stub: stub.GetErasureCertificate(request))
    content = found.pdf if pdf else json_format.MessageToJson(found, preserving_proto_field_name=True).encode()
    replace_file(target, content, mode=0o600)
    click.echo(f"{found.certificate_id} written to {target}")
