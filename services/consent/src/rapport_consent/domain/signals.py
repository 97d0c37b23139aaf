"""Signals by which a browser speaks for a person."""

import re
from typing import Final, NoReturn

from rapport_consent.domain.errors import ERRORS

# Header lines of one name may have been joined by commas on their way (RFC 9110, section 5.3): they count once.
_OPTED_OUT: Final = re.compile(r"1(?:[ \t]*,[ \t]*1)*")


def gpc_opts_out(sec_gpc: str) -> bool:
    """True if the value of the Sec-GPC header is exactly "1", be it sent once or several times; all else is ignored."""
    return _OPTED_OUT.fullmatch(sec_gpc) is not None


def refuse_signal(kind: str) -> NoReturn:
    """Refuse a signal that cannot be read yet.

    Args:
        kind: Name of its field, "tcf" or "gpp".

    Raises:
        RapportError: SIGNAL_UNSUPPORTED, always.
    """
    raise ERRORS.error("SIGNAL_UNSUPPORTED", f"{kind} strings cannot be read yet", field=kind, metadata={"kind": kind})
