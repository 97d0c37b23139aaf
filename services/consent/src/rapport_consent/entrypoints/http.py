"""What people fetch without a login: their receipt by a signed link, and the public keys that verify it."""

from __future__ import annotations

from google.protobuf import json_format
from google.protobuf.message import Message
from rapport.consent.v1 import consent_pb2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rapport_consent.entrypoints.links import RECEIPT, ReceiptLinks
from rapport_consent.entrypoints.ports import Log, Receipts
from rapport_consent.translate.receipts import receipt_message, signing_key_message


def routes(receipts: Receipts, log: Log, links: ReceiptLinks) -> list[Route]:
    """Return what is served."""

    async def receipt(request: Request) -> Response:
        receipt_id = links.signer.open(RECEIPT, request.path_params["token"]).subject
        signed = await receipts.signed(receipt_id)
        message = receipt_message(receipt_id, signed.document, signed.signature, signed.kid)
        message.log_proof = await log.proof(receipt_id)
        return _json(message, f"{receipt_id}.json")

    async def keys(request: Request) -> Response:
        answer = consent_pb2.ListSigningKeysResponse(keys=map(signing_key_message, receipts.public_keys()))
        return _json(answer, "keys.json")

    return [Route("/receipts/{token}", receipt), Route("/keys", keys)]


def _json(message: Message, file_name: str) -> Response:
    return Response(
        json_format.MessageToJson(message),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
