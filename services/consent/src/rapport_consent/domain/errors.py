"""Everything the consent service can refuse, with what it means."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

ERRORS: Final = ErrorTable(
    "consent.rapport",
    [
        Reason("UNKNOWN_PURPOSE", "INVALID_ARGUMENT", False, "No such purpose; near names are in the metadata."),
        Reason("PURPOSE_INACTIVE", "FAILED_PRECONDITION", False, "No version of the purpose is in force."),
        Reason("BRAND_REQUIRED", "INVALID_ARGUMENT", False, "Each brand asks for itself: a grant must name its brand."),
        Reason("BRAND_NOT_APPLICABLE", "INVALID_ARGUMENT", False, "The purpose does not exist for this brand."),
        Reason("MARKET_NOT_APPLICABLE", "INVALID_ARGUMENT", False, "The purpose does not exist for this market."),
        Reason("ITEM_REPEATED", "INVALID_ARGUMENT", False, "The same purpose and brand is answered twice."),
        Reason("SEPARATE_CONSENT_BUNDLED", "INVALID_ARGUMENT", False, "A separate consent may not ride in a bundle."),
        Reason("NOTICE_REQUIRED", "INVALID_ARGUMENT", False, "A captured grant must name the notice that was shown."),
        Reason("NOTICE_UNKNOWN", "INVALID_ARGUMENT", False, "No such notice in this version and language."),
        Reason(
            "NOTICE_DOES_NOT_COVER", "INVALID_ARGUMENT", False, "The notice does not speak of the purpose or brand."
        ),
        Reason("CONFIRMATION_REQUIRED", "INVALID_ARGUMENT", False, "The grant counts only once it is confirmed."),
        Reason(
            "EVIDENCE_DECLARED_REFUSED",
            "FAILED_PRECONDITION",
            False,
            "The operator's word is no proof in production, nor for explicit, separate or confirmed consent.",
        ),
        Reason("OCCURRED_IN_FUTURE", "INVALID_ARGUMENT", False, "The decision is dated in the future."),
        Reason("SIGNAL_UNSUPPORTED", "UNIMPLEMENTED", False, "Signals of this kind cannot be read yet."),
        Reason("SUBJECT_NOT_TOLD", "FAILED_PRECONDITION", False, "The person must be told before it is lifted."),
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased, for ever."),
        Reason("TERMS_INVALID", "INVALID_ARGUMENT", False, "The terms contradict themselves or an earlier version."),
        Reason("NOTICE_NOT_FOUND", "NOT_FOUND", False, "There is no such notice in this version and language."),
        Reason("RECEIPT_NOT_FOUND", "NOT_FOUND", False, "There is no such receipt, or its person was erased."),
        Reason("EPOCH_UNKNOWN", "FAILED_PRECONDITION", False, "The position belongs to another life of the ledger."),
        Reason("IMPORT_HEADER_MISSING", "INVALID_ARGUMENT", False, "An import opens with one header."),
        Reason("ROW_ALREADY_IMPORTED", "ALREADY_EXISTS", False, "The row was imported before."),
    ],
)
"""The one table of the service."""
