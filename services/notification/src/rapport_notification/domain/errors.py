"""Everything the notification service can refuse, with what it means."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

ERRORS: Final = ErrorTable(
    "notification.rapport",
    [
        Reason("NOTIFICATION_NOT_FOUND", "NOT_FOUND", False, "There is no such message."),
        Reason("NOTIFICATION_ENDED", "FAILED_PRECONDITION", False, "The message has ended: it went, or will not."),
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased, for ever."),
        Reason("PURPOSE_UNKNOWN", "INVALID_ARGUMENT", False, "There is no such purpose."),
        Reason("TEMPLATE_NOT_FOUND", "NOT_FOUND", False, "No such template is in force for the brand."),
        Reason("TEMPLATE_INVALID", "INVALID_ARGUMENT", False, "A template cannot be taken: the text says why."),
        Reason("VALUES_INVALID", "INVALID_ARGUMENT", False, "Values do not fit the variables of the template."),
        Reason(
            "VALUE_NAMES_SOMEBODY", "INVALID_ARGUMENT", False, "A value reads as an address or a number of somebody."
        ),
        Reason("CHANNEL_NOT_OFFERED", "INVALID_ARGUMENT", False, "The template is not written for the channel."),
        Reason("NOT_RENDERED", "INVALID_ARGUMENT", False, "The template cannot be rendered with these values."),
        Reason("TEST_NOT_ALLOWED", "PERMISSION_DENIED", False, "Tests may not be sent to that domain."),
        Reason("NOT_SENT", "UNAVAILABLE", True, "No provider takes a mail now."),
        Reason("PLACE_INVALID", "INVALID_ARGUMENT", False, "There is no such time zone or country."),
        Reason("RULE_INVALID", "INVALID_ARGUMENT", False, "A category or cap cannot mean what it says."),
        Reason("TRIGGER_INVALID", "INVALID_ARGUMENT", False, "A trigger cannot mean what it says."),
        Reason("TRIGGER_NOT_FOUND", "NOT_FOUND", False, "There is no such trigger, or version of it."),
        Reason("CALL_NOT_SIGNED", "UNAUTHENTICATED", False, "A provider's call is not signed by a key known here."),
        Reason("CALL_MALFORMED", "INVALID_ARGUMENT", False, "A provider's call is not what was agreed."),
        Reason("ENDPOINT_INVALID", "INVALID_ARGUMENT", False, "An endpoint cannot be called as it is."),
        Reason("ENDPOINT_NOT_FOUND", "NOT_FOUND", False, "There is no such endpoint."),
        Reason("REVIEW_NOT_FOUND", "NOT_FOUND", False, "No text waits under this id for somebody to look."),
        Reason(
            "SUPPRESSION_STANDS", "FAILED_PRECONDITION", False, "A complaint is not lifted: the person grants anew."
        ),
    ],
)
"""The one table of the service."""
