"""Packages made of given records, and what is found in them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from rapport_consent.adapters.package_rendering import render
from rapport_consent.adapters.package_spool import ARCHIVE, Spool
from rapport_consent.domain.packages import Origin, PackageKind, PackagePlan, PackageRecord, StoreInfo
from rapport_consent.domain.receipts import Controller

CONTROLLER = Controller(
    party_id="acme",
    name="Acme <GmbH>",
    address="1 Main Street, Berlin",
    contact="privacy@example.com",
    jurisdiction="EU",
    storage_location="EU",
    retention="3 years",
    withdrawal_method="by letter",
)
PLAN = PackagePlan(
    request_id="req_0123456789",
    kind=PackageKind.ACCESS,
    locale="en",
    made_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    controller=CONTROLLER,
    stores=(
        StoreInfo("identity", "records", "user.contact", Origin.PROVIDED, ("order",), ("Parcel Co",), source="SHOP"),
        StoreInfo("churn", "scores", "user.behaviour", Origin.INFERRED, ("retention",)),
    ),
    authority=("Data Protection Authority", "2 Court Road, Berlin"),
    purposes={"order": "To deliver what you ordered"},
    history=((datetime(2026, 11, 1, tzinfo=UTC), "You asked for access."),),
)


def record(data: Any, participant: str = "identity", store: str = "records", **fields: Any) -> PackageRecord:
    """A record with this content."""
    text = data if isinstance(data, str) else json.dumps(data)
    return PackageRecord(participant, store, fields.pop("record_id", "rec_1"), text, **fields)


def archive_of(folder: Path, records: Iterable[PackageRecord], **plan: Any) -> ZipFile:
    """The archive that is rendered of these records, less its proofs."""
    with Spool(folder, replace(PLAN, **plan)) as spool:
        for each in records:
            spool.take(each)
        spool.finish()
    render(folder)
    return ZipFile(folder / ARCHIVE)


def text_of(archive: ZipFile, path: str) -> str:
    """A file of an archive."""
    return archive.read(path).decode()


def table_of(archive: ZipFile, path: str) -> list[dict[str, str]]:
    """The rows of a table."""
    return list(csv.DictReader(io.StringIO(text_of(archive, path).removeprefix("\ufeff"), newline="")))
