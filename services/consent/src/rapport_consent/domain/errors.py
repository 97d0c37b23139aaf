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
        Reason("REQUEST_NOT_FOUND", "NOT_FOUND", False, "There is no such privacy request."),
        Reason("REQUEST_INVALID", "INVALID_ARGUMENT", False, "What is asked contradicts itself or says too little."),
        Reason("REQUEST_STATE", "FAILED_PRECONDITION", False, "Where the request stands, this cannot be done."),
        Reason("RECEIVED_IN_FUTURE", "INVALID_ARGUMENT", False, "The request is dated in the future."),
        Reason("LAW_UNKNOWN", "FAILED_PRECONDITION", False, "No rule pack holds in this market on that day."),
        Reason("RIGHT_UNKNOWN", "INVALID_ARGUMENT", False, "The law of this market knows no such right."),
        Reason("REQUESTER_NOT_VERIFIED", "FAILED_PRECONDITION", False, "It has not been shown who asks."),
        Reason("SUBJECT_CHANGED", "FAILED_PRECONDITION", False, "The request was shown to be of somebody else."),
        Reason("RECORD_NOT_FOUND", "NOT_FOUND", False, "The request lists no such record."),
        Reason("RECORDS_UNDECIDED", "FAILED_PRECONDITION", False, "Doubtful records have to be chosen about first."),
        Reason("SAME_ACTOR", "PERMISSION_DENIED", False, "Another actor has to do this than who prepared it."),
        Reason("REFUSAL_NOT_ALLOWED", "FAILED_PRECONDITION", False, "The law knows no refusal on this ground."),
        Reason("REFUSAL_INCOMPLETE", "FAILED_PRECONDITION", False, "The refusal lacks what the law asks for."),
        Reason("REFUSAL_UNCONFIRMED", "FAILED_PRECONDITION", False, "A proposed refusal has to be confirmed first."),
        Reason("EXTENSION_NOT_ALLOWED", "FAILED_PRECONDITION", False, "The law lets the time not be extended so."),
        Reason("DUPLICATE_REQUEST", "ALREADY_EXISTS", False, "The person has another request for this right running."),
        Reason("TASK_NOT_FOUND", "NOT_FOUND", False, "The request has no such task for people, or it is answered."),
        Reason("HOLD_NOT_FOUND", "NOT_FOUND", False, "There is no such hold, or it is released."),
        Reason("PACKAGE_NOT_READY", "FAILED_PRECONDITION", False, "The request has no package, or none any more."),
        Reason("CERTIFICATE_NOT_READY", "FAILED_PRECONDITION", False, "The request has no certificate yet."),
        Reason("LETTER_UNKNOWN", "INVALID_ARGUMENT", False, "There is no such letter, language or marked place."),
        Reason("CONTACT_GONE", "NOT_FOUND", False, "The vault holds no address for this notification."),
    ],
)
"""The one table of the service."""
