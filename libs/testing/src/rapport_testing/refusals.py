"""How a test expects a call to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rapport_chassis.rpc.status import RemoteError


@contextmanager
def refused(reason: str, field: str | None = None) -> Iterator[pytest.ExceptionInfo[RemoteError]]:
    """Expect a call to be refused for a reason, and because of a field."""
    with pytest.raises(RemoteError) as caught:
        yield caught
    assert caught.value.reason.name == reason, caught.value
    if field is not None:
        assert field in [violation.path for violation in caught.value.fields]
