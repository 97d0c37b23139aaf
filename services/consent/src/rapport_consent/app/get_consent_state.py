"""Use case: what was permitted at a time, as it was known at another."""

from datetime import datetime

from rapport_consent.app.read_ledger import Reading
from rapport_consent.domain.errors import ERRORS
from rapport_consent.domain.history import History
from rapport_consent.domain.resolution import resolve_fences, resolve_subject
from rapport_consent.domain.rows import as_known
from rapport_consent.domain.states import SubjectState


def consent_state(
    reading: Reading, profile_id: str, *, as_of: datetime | None, as_known_at: datetime | None
) -> SubjectState:
    """Return the state of the profile that an id is part of.

    Args:
        reading: Rows of the id's family.
        profile_id: The id.
        as_of: In force at this time, in the world; None for now.
        as_known_at: As the ledger knew it at this time; None for all that is known.

    Raises:
        RapportError: PROFILE_ERASED: nothing is told of an erased person, not even of the time before.
    """
    present = reading.history()
    if resolve_fences(present, profile_id):
        raise ERRORS.error("PROFILE_ERASED", "the profile was erased, for ever", field="profile_id")
    if as_of is None and as_known_at is None:
        return resolve_subject(present, profile_id)
    rows = as_known(reading.rows, recorded_until=as_known_at, decided_until=as_of)
    return resolve_subject(History(reading.catalogue.traits, rows), profile_id)
