"""Rows before they have a position: dated, and with the terms that follow from their purpose."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.evidence import Evidence
from rapport_consent.domain.purposes import Purpose, PurposeVersion
from rapport_consent.domain.rows import LedgerRow, RowKind

SKEW: Final = timedelta(minutes=5)
"""How far a caller's clock may be ahead; what it dates within that is taken as now."""

_NOT_ASKED_AGAIN: Final = frozenset({RowKind.REFUSE, RowKind.WITHDRAW, RowKind.OPT_OUT})


class Draft(NamedTuple):
    """A row about a person before it has a position. The fields mean what those of `LedgerRow` do."""

    kind: RowKind
    occurred_at: datetime
    purpose_id: str = ""
    brand_id: str = ""
    expires_at: datetime | None = None
    reask_not_before: datetime | None = None
    purpose_version: int = 0
    notice_id: str = ""
    notice_version: int = 0
    locale: str = ""
    market: str = ""
    evidence: Evidence | None = None
    ground: str = ""
    carried_after: int | None = None

    def at(
        self, position: int, *, recorded_at: datetime, reference: str, named_id: str, receipt_id: str = ""
    ) -> LedgerRow:
        """Return the row that takes this position."""
        return LedgerRow(
            position,
            recorded_at,
            reference,
            named_id,
            self.kind,
            self.occurred_at,
            self.purpose_id,
            self.brand_id,
            self.expires_at,
            self.reask_not_before,
            self.purpose_version,
            self.notice_id,
            self.notice_version,
            self.locale,
            self.market,
            self.evidence,
            self.ground,
            receipt_id,
            self.carried_after,
        )


def dated(occurred_at: datetime | None, now: datetime, field: str = "occurred_at") -> datetime:
    """Return when something happened: now if it is not said.

    Raises:
        RapportError: OCCURRED_IN_FUTURE: it lies further ahead than clocks differ.
    """
    if occurred_at is None or now < occurred_at <= now + SKEW:
        return now
    if occurred_at > now:
        raise ERRORS.error("OCCURRED_IN_FUTURE", "the time lies in the future", field=field)
    return occurred_at


def version_required(purpose: Purpose, now: datetime, field: str) -> PurposeVersion:
    """Return the version of a purpose in force.

    Raises:
        RapportError: PURPOSE_INACTIVE.
    """
    version = purpose.in_force(now)
    if version is None:
        raise ERRORS.error("PURPOSE_INACTIVE", "no version of the purpose is in force", field=field)
    return version


def reask_not_before(kind: RowKind, version: PurposeVersion | None, occurred_at: datetime) -> datetime | None:
    """Return before when the person is not to be asked again, after a no of this kind."""
    if kind not in _NOT_ASKED_AGAIN or version is None or version.terms.reask_after is None:
        return None
    return occurred_at + version.terms.reask_after


def negative(kind: RowKind, purpose: Purpose, brand_id: str, when: datetime, now: datetime) -> Draft:
    """Return a no to a purpose. It asks for less than a yes: no notice, no proof, no purpose in force.

    A purpose without brands cannot be refused in part: a brand that is named is let go.
    """
    version = purpose.applicable(now)
    return Draft(
        kind,
        when,
        purpose.purpose_id,
        brand_id if purpose.traits.brand_scoped else "",
        reask_not_before=reask_not_before(kind, version, when),
        purpose_version=version.version if version else 0,
    )
