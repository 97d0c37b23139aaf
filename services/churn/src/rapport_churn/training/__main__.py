"""A training as a process of its own: `python -m rapport_churn.training FOLDER`."""

from __future__ import annotations

import sys
from typing import Final

_SPARED: Final = ("pandas", "pyarrow", "sklearn")


def main() -> int:
    """Train, and tell how it went."""
    # What trees and logs are read with imports these where they are installed, for callers who use them: two seconds
    # of processor time and a hundred megabytes that nothing here needs.
    for each in _SPARED:
        sys.modules[each] = None  # type: ignore[assignment] # as if it was not installed
    from rapport_churn.training.job import main as train

    return train()


if __name__ == "__main__":
    sys.exit(main())
