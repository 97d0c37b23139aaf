"""The order in which an approved request is fulfilled. Each stage is journalled before it acts, and may be repeated."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rapport_consent.domain.request_words import Choice
from rapport_consent.domain.requests import Request
from rapport_consent.domain.rule_packs import Right


class Stage(StrEnum):
    """How far the fulfilment of a request has come: what it is at now."""

    APPLY = "APPLY"
    """Restrictions and objections enter the ledger: they hold at once."""
    EXCLUDE = "EXCLUDE"
    """Records that an officer found to be somebody else's leave the person's profile, and never come back to it."""
    FREEZE_IDENTITY = "FREEZE_IDENTITY"
    """Identity holds the person still and says which ids they ever had."""
    CONFIRM = "CONFIRM"
    """Who is held still is compared with who was approved."""
    THAW = "THAW"
    """Only where a merge or split came in between: identity lets go, and officers look again."""
    FREEZE = "FREEZE"
    """Every other participant holds the person still."""
    COUNT = "COUNT"
    """Every participant says, signed, what it holds."""
    SEAL = "SEAL"
    """The package is written from what participants export, and sealed."""
    REVIEW = "REVIEW"
    """People decide what only people may: what is wrong in a record, whether a decision stands."""
    CAPTURE = "CAPTURE"
    """The closing notice's address is put into the vault, before what it is read from is gone."""
    FENCE = "FENCE"
    """The erasure is recorded, and every id of the person fenced, before anything is deleted."""
    ERASE = "ERASE"
    """Every participant deletes what no law and no hold keeps."""
    PROBE = "PROBE"
    """Every participant looks again for what is left."""
    CERTIFY = "CERTIFY"
    """The certificate is made of what participants answered."""
    RELEASE = "RELEASE"
    """What was held still is let go, where it was not erased."""
    CLOSE = "CLOSE"
    """Everybody is told: notification sends the closing notice, and the vault is emptied once it has its address."""


_READING: Final = (Right.ACCESS, Right.PORTABILITY)
_LEDGERED: Final = (Right.RESTRICTION, Right.OBJECTION)
_REVIEWED: Final = (Right.RECTIFICATION, Right.CONTEST)


def needed(stage: Stage, request: Request) -> bool:
    """Whether a request goes through a stage."""
    known = bool(request.profile_id)
    reads = known and any(map(request.asks, _READING))
    erases = known and request.asks(Right.ERASURE)
    match stage:
        case Stage.APPLY:
            return known and any(map(request.asks, _LEDGERED))
        case Stage.EXCLUDE:
            return (reads or erases) and any(each.choice is Choice.EXCLUDED for each in request.records)
        case Stage.FREEZE_IDENTITY | Stage.CONFIRM | Stage.FREEZE:
            return reads or erases
        case Stage.THAW:
            return False
        case Stage.COUNT | Stage.SEAL:
            return reads
        case Stage.REVIEW:
            return any(map(request.asks, _REVIEWED))
        case Stage.FENCE | Stage.ERASE | Stage.PROBE | Stage.CERTIFY:
            return erases
        case Stage.RELEASE:
            return reads and not erases
        case Stage.CAPTURE | Stage.CLOSE:
            return True


def first(request: Request) -> Stage:
    """Return the stage that a request begins with."""
    return next(stage for stage in Stage if needed(stage, request))


def after(stage: Stage, request: Request) -> Stage:
    """Return the stage that follows; every request ends with CLOSE."""
    order = list(Stage)
    return next(each for each in order[order.index(stage) + 1 :] if needed(each, request))
