"""Everything the pricing service can refuse, with what it means."""

from typing import Final

from rapport_chassis.errors import ErrorTable, Reason

ERRORS: Final = ErrorTable(
    "pricing.rapport",
    [
        Reason("MONEY_INVALID", "INVALID_ARGUMENT", False, "An amount is not an amount of its currency."),
        Reason("CURRENCY_MISMATCH", "INVALID_ARGUMENT", False, "Amounts of several currencies meet."),
        Reason("GUARDRAILS_CONTRADICT", "FAILED_PRECONDITION", False, "No price satisfies rules that do not yield."),
        Reason("GUARDRAIL_INVALID", "INVALID_ARGUMENT", False, "A guardrail cannot mean what it says."),
        Reason("LAW_INVALID", "INVALID_ARGUMENT", False, "A rule of law cannot mean what it says."),
        Reason("INPUT_BANNED", "FAILED_PRECONDITION", False, "A law in force bans an input of a personal price."),
        Reason("PRICE_VERSION_CONFLICT", "ABORTED", True, "Another version of the price was published meanwhile."),
        Reason("PRICE_INVALID", "INVALID_ARGUMENT", False, "A price cannot be published as it is."),
        Reason("PRICE_NOT_FOUND", "NOT_FOUND", False, "Nothing is published for the product in the market."),
        Reason("MARKET_NOT_DECLARED", "FAILED_PRECONDITION", False, "The market was not declared."),
        Reason("MARKET_INVALID", "INVALID_ARGUMENT", False, "A market keeps its currency and how it shows tax."),
        Reason("PRODUCT_NOT_FOUND", "NOT_FOUND", False, "There is no such product."),
        Reason("LISTING_NOT_FOUND", "NOT_FOUND", False, "The product is not sold in the market."),
        Reason("PROFILE_ERASED", "NOT_FOUND", False, "The person was erased, for ever."),
        Reason("DECISION_NOT_FOUND", "NOT_FOUND", False, "There is no such quote, or it is too old to be explained."),
        Reason("REVIEW_NOT_FOUND", "NOT_FOUND", False, "There is no such review."),
        Reason("REVIEW_DECIDED", "FAILED_PRECONDITION", False, "The review is answered."),
        Reason("PROMOTION_INVALID", "INVALID_ARGUMENT", False, "A promotion cannot mean what it says."),
        Reason("PROMOTION_NOT_FOUND", "NOT_FOUND", False, "No such promotion is in force for that use."),
        Reason("OFFER_INVALID", "INVALID_ARGUMENT", False, "An offer cannot be made as it is."),
        Reason("PERSONAL_DENIED", "FAILED_PRECONDITION", False, "The gate denies the purpose of personal prices."),
        Reason("PERMISSION_UNKNOWN", "UNAVAILABLE", True, "The gate does not know freshly enough to permit it."),
        Reason("BUDGET_EXHAUSTED", "RESOURCE_EXHAUSTED", False, "A promotion has no budget or no use left."),
        Reason(
            "CUSTOMER_CAP_REACHED",
            "RESOURCE_EXHAUSTED",
            False,
            "The customer used a promotion as often as allowed.",
        ),
        Reason("RESERVATION_LAPSED", "FAILED_PRECONDITION", False, "A reservation was released or has run out."),
        Reason("BASKET_INVALID", "INVALID_ARGUMENT", False, "A basket cannot be priced as it is."),
        Reason("QUOTE_TAMPERED", "INVALID_ARGUMENT", False, "A quote is not the one that was signed."),
        Reason("QUOTE_EXPIRED", "FAILED_PRECONDITION", False, "A quote has run out; ask for another."),
        Reason("QUOTE_OTHER_CUSTOMER", "PERMISSION_DENIED", False, "A quote was made for another customer."),
        Reason("QUOTE_OTHER_CHANNEL", "FAILED_PRECONDITION", False, "A quote was made for another channel."),
        Reason("QUOTE_REDEEMED", "FAILED_PRECONDITION", False, "A quote was redeemed before, for another order."),
        Reason(
            "PRICE_RISEN",
            "FAILED_PRECONDITION",
            False,
            "A price rose since the quote: quote again and ask.",
        ),
        Reason("PRODUCT_PAUSED", "FAILED_PRECONDITION", False, "The product is paused."),
        Reason("PRICE_VARIES_TOO_LITTLE", "FAILED_PRECONDITION", False, "Prices vary too little to learn from."),
        Reason("EXPERIMENT_NOT_FOUND", "NOT_FOUND", False, "There is no such experiment."),
        Reason("EXPERIMENT_INVALID", "INVALID_ARGUMENT", False, "An experiment cannot be run as declared."),
    ],
)
"""The one table of the service."""
