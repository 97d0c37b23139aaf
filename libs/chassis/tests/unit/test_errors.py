from __future__ import annotations

import pytest
from rapport_chassis.errors import CHASSIS_ERRORS, CODES, ErrorTable, FieldViolation, Reason

GONE = Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased.")


def test_every_reason_of_the_chassis_is_well_formed_and_documented() -> None:
    table = CHASSIS_ERRORS.markdown().splitlines()
    assert len(table) == 2 + len(list(CHASSIS_ERRORS))
    for reason in CHASSIS_ERRORS:
        assert reason.code in CODES
        assert any(f"`{reason.name}`" in line and reason.meaning in line for line in table)


@pytest.mark.parametrize(
    ("domain", "reasons"),
    [
        ("consent", [GONE]),
        ("consent.rapport", [GONE, GONE]),
        ("consent.rapport", [Reason("erased", "NOT_FOUND", False, "x")]),
        ("consent.rapport", [Reason("X" * 64, "NOT_FOUND", False, "x")]),
        ("consent.rapport", [Reason("ERASED", "GONE", False, "x")]),  # type: ignore[arg-type]
        ("consent.rapport", [Reason("ERASED", "NOT_FOUND", False, "")]),
    ],
    ids=["domain", "twice", "lower case", "too long", "no such code", "no meaning"],
)
def test_a_malformed_table_is_refused(domain: str, reasons: list[Reason]) -> None:
    with pytest.raises(ValueError, match=r"domain|reason"):
        ErrorTable(domain, reasons)


def test_a_reason_outside_the_table_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        ErrorTable("consent.rapport", [GONE]).error("SOMETHING_ELSE", "m")


def test_the_one_field_at_fault_is_described_by_the_message() -> None:
    error = ErrorTable("consent.rapport", [GONE]).error("PROFILE_ERASED", "is erased", field="profile_id")
    assert error.fields == (FieldViolation("profile_id", "is erased"),)
    assert (error.reason, error.domain, str(error)) == (GONE, "consent.rapport", "PROFILE_ERASED: is erased")


def test_metadata_of_an_error_cannot_be_changed_afterwards() -> None:
    given = {"a": "1"}
    error = ErrorTable("consent.rapport", [GONE]).error("PROFILE_ERASED", "m", metadata=given)
    given["a"] = "2"
    assert error.metadata == {"a": "1"}
