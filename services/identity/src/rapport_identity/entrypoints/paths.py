"""Fields at fault, named as the caller's request has them."""

from __future__ import annotations

from dataclasses import replace

from rapport_chassis.errors import RapportError


def under(error: RapportError, path: str) -> RapportError:
    """Return an error about a part of a request with its fields named from the whole on.

    Args:
        error: The error; its paths begin at the part.
        path: Of the part.
    """
    if not error.fields:
        return error
    fields = tuple(replace(each, path=f"{path}.{each.path}") for each in error.fields)
    return RapportError(
        error.reason,
        error.domain,
        error.message,
        fields=fields,
        metadata=error.metadata,
        retry_after_s=error.retry_after_s,
        resource=error.resource,
    )
