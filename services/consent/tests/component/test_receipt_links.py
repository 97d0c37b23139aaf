"""A person without a login fetches a receipt by a signed link, and nothing else."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from consent_desk import SHOP, Desk, answers, profile
from google.protobuf import json_format
from rapport.consent.v1 import consent_pb2, consent_pb2_grpc
from rapport_privacy.receipts import verify_receipt
from rapport_testing.installation import Installation


@pytest.fixture(scope="module")
def address_file(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a second process of the service, one with an HTTP listener, writes its address."""
    folder = tmp_path_factory.mktemp("http")
    keys_file = folder / "link-keys"
    keys_file.write_text(f"{secrets.token_hex(32)}\n{secrets.token_hex(32)}\n", encoding="ascii")
    process = installation.process(
        "http",
        http__port="0",
        http__address_file=str(folder / "address"),
        links__keys_file=str(keys_file),
    )
    with process:
        yield folder / "address"


def fetch(address_file: Path, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(address_file.read_text(encoding="ascii"), timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
async def receipt(installation: Installation, desk: Desk, address_file: Path) -> consent_pb2.Receipt:
    written = await desk.shop.RecordConsent(answers(profile(), "yes stats"))
    client = installation.client(SHOP, process="http")
    try:
        stub = client.stub(consent_pb2_grpc.ConsentServiceStub)
        return await stub.GetReceipt(consent_pb2.GetReceiptRequest(receipt_id=written.entries[0].receipt_id))
    finally:
        await client.close()


async def test_the_link_leads_to_the_receipt_and_the_keys_verify_it(
    receipt: consent_pb2.Receipt, address_file: Path
) -> None:
    status, body = fetch(address_file, receipt.link)
    assert status == 200
    fetched = json_format.Parse(body, consent_pb2.Receipt())
    assert (fetched.document, fetched.signature) == (receipt.document, receipt.signature)
    assert not fetched.link
    status, body = fetch(address_file, "/keys")
    keys = {key.kid: key.public_key for key in json_format.Parse(body, consent_pb2.ListSigningKeysResponse()).keys}
    fields = verify_receipt(fetched.document, fetched.signature, keys[fetched.kid])
    assert fields["receipt_id"] == receipt.receipt_id


async def test_a_link_that_was_changed_opens_nothing(receipt: consent_pb2.Receipt, address_file: Path) -> None:
    changed = receipt.link[:-1] + ("A" if receipt.link[-1] != "A" else "B")
    for path in (changed, "/receipts/" + receipt.receipt_id, "/receipts/x"):
        status, body = fetch(address_file, path)
        assert status in (400, 403, 404)
        assert json.loads(body)["reason"] == "LINK_INVALID"
        assert b"rcp_" not in body


async def test_without_a_listener_a_receipt_has_no_link(desk: Desk) -> None:
    written = await desk.shop.RecordConsent(answers(profile(), "yes stats"))
    request = consent_pb2.GetReceiptRequest(receipt_id=written.entries[0].receipt_id)
    assert not (await desk.shop.GetReceipt(request)).link
