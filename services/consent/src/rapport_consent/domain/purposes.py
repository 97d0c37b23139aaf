"""What a purpose means, in versions, and where and on which basis it holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import IntEnum
from typing import Final

from rapport_chassis.errors import FieldViolation, RapportError
from rapport_privacy.vocabulary import Basis

from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.history import PurposeTraits


class SignalKind(IntEnum):
    """A signal by which a browser speaks for a person; the numbers are those of the contract."""

    UNSPECIFIED = 0
    GPC = 1


@dataclass(frozen=True, slots=True)
class BasisRule:
    """The basis for one data category and market; empty names every one without a rule of its own."""

    basis: Basis
    data_category: str = ""
    market: str = ""


@dataclass(frozen=True, slots=True)
class PurposeTerms:
    """What a purpose means.

    Attributes:
        bases: The most special rule wins: category and market, category, market, neither.
        brand_scoped: Each brand asks for itself.
        direct_marketing: Direct marketing or profiling for it, to which an objection is absolute.
        separate: Consent to it may not ride in a bundle with others.
        explicit: Consent must be explicit.
        double_opt_in: A grant counts only once the person has confirmed it.
        despite_restriction: It may go on under a restriction.
        expires_after: How long a grant lasts; None for as long as it is not withdrawn.
        reask_after: How long not to ask again after a refusal, withdrawal or opt-out; None for no such rule.
        signals: Signals that opt out of it.
        brand_ids: Brands it exists for; none for all.
        markets: Markets it exists for; none for all. A country stands for its subdivisions.
    """

    bases: tuple[BasisRule, ...]
    brand_scoped: bool = False
    direct_marketing: bool = False
    separate: bool = False
    explicit: bool = False
    double_opt_in: bool = False
    despite_restriction: bool = False
    expires_after: timedelta | None = None
    reask_after: timedelta | None = None
    signals: frozenset[SignalKind] = frozenset()
    brand_ids: frozenset[str] = frozenset()
    markets: frozenset[str] = frozenset()

    def basis(self, data_category: str = "", market: str = "") -> Basis:
        """Return the basis by the most special rule."""
        bases = {(rule.data_category, rule.market): rule.basis for rule in self.bases}
        for category in (data_category, ""):
            for place in (*_places(market), ""):
                if (category, place) in bases:
                    return bases[category, place]
        return Basis.UNSPECIFIED

    def exists_for_brand(self, brand_id: str) -> bool:
        """True if it exists for a brand; for all brands together it does if it exists for any."""
        return not brand_id or not self.brand_ids or brand_id in self.brand_ids

    def exists_in_market(self, market: str) -> bool:
        """True if it exists in a market; where the market is unknown nothing speaks against it."""
        return not market or not self.markets or any(place in self.markets for place in _places(market))


@dataclass(frozen=True, slots=True)
class PurposeVersion:
    """An activated version: from when it is in force, and its terms."""

    version: int
    active_from: datetime
    terms: PurposeTerms


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose with its activated versions; without one it has only been drafted."""

    purpose_id: str
    versions: tuple[PurposeVersion, ...] = ()
    retired: bool = False

    @property
    def traits(self) -> PurposeTraits:
        """What is the same in all versions."""
        return PurposeTraits(
            brand_scoped=any(v.terms.brand_scoped for v in self.versions),
            direct_marketing=any(v.terms.direct_marketing for v in self.versions),
        )

    @property
    def rests_on_consent(self) -> bool:
        """True if any version rests on consent anywhere."""
        return any(rule.basis is Basis.CONSENT for v in self.versions for rule in v.terms.bases)

    def in_force(self, at: datetime) -> PurposeVersion | None:
        """Return the version in force; None before the first one and once retired."""
        return None if self.retired else version_in_force(self.versions, at)

    def applicable(self, at: datetime) -> PurposeVersion | None:
        """Return the version whose terms bear on a no: the one in force, else the latest there was or will be."""
        return version_in_force(self.versions, at) or (self.versions[-1] if self.versions else None)


Purposes = Mapping[str, Purpose]
"""Purposes by id."""

_LONGEST: Final = timedelta(days=36525)
_CHOOSABLE: Final = frozenset({Basis.CONSENT, Basis.LEGITIMATE_INTEREST, Basis.PUBLIC_TASK})


def version_in_force(versions: Iterable[PurposeVersion], at: datetime) -> PurposeVersion | None:
    """Return the latest version whose time has come; of two with one time the higher."""
    begun = [v for v in versions if v.active_from <= at]
    return max(begun, key=lambda v: (v.active_from, v.version), default=None)


def find_purpose(purposes: Purposes, purpose_id: str, field: str) -> Purpose:
    """Return a purpose by its id.

    Raises:
        RapportError: UNKNOWN_PURPOSE, with near names; what was asked for is not repeated, it may be anything.
    """
    purpose = purposes.get(purpose_id)
    if purpose is None:
        raise unknown_purpose(purpose_id, purposes, field)
    return purpose


def unknown_purpose(purpose_id: str, known: Iterable[str], field: str) -> RapportError:
    """Return the refusal of a purpose that does not exist, with near names."""
    near = ", ".join(get_close_matches(purpose_id, known, n=3))
    message = f"no such purpose; near names: {near}" if near else "no such purpose"
    return ERRORS.error("UNKNOWN_PURPOSE", message, field=field, metadata={"near": near} if near else {})


def validate_terms(terms: PurposeTerms, earlier: Sequence[PurposeTerms] = ()) -> None:
    """Check terms in themselves and against the earlier versions of the purpose, drafts included.

    Raises:
        RapportError: TERMS_INVALID, with every field at fault.
    """
    violations = [FieldViolation(f"terms.{field}", rule) for field, rule in _violations(terms, earlier)]
    if violations:
        raise ERRORS.error("TERMS_INVALID", violations[0].description, fields=violations)


def _violations(terms: PurposeTerms, earlier: Sequence[PurposeTerms]) -> Iterator[tuple[str, str]]:
    seen = set()
    for index, rule in enumerate(terms.bases):
        if rule.basis is Basis.UNSPECIFIED:
            yield f"bases[{index}].basis", "a rule must name a basis"
        if (rule.data_category, rule.market) in seen:
            yield f"bases[{index}]", "another rule names the same category and market"
        if terms.direct_marketing and rule.basis not in _CHOOSABLE:
            yield f"bases[{index}].basis", "direct marketing cannot rest on a basis that knows no objection"
        seen.add((rule.data_category, rule.market))
    if ("", "") not in seen:
        yield "bases", "one rule must name neither category nor market"
    if any(other.brand_scoped != terms.brand_scoped for other in earlier):
        yield "brand_scoped", "must be the same in all versions"
    if any(other.direct_marketing != terms.direct_marketing for other in earlier):
        yield "direct_marketing", "must be the same in all versions"
    for field, duration in (("expires_after", terms.expires_after), ("reask_after", terms.reask_after)):
        if duration is not None and not timedelta(0) < duration <= _LONGEST:
            yield field, "must be positive, and at most a hundred years"


def _places(market: str) -> Iterator[str]:
    """A market and, for a subdivision, the country it lies in."""
    if market:
        yield market
        if "-" in market:
            yield market.partition("-")[0]
