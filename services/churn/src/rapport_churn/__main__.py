"""`python -m rapport_churn serve | migrate | provision | check-config`."""

import sys

from rapport_chassis.cli import main

from rapport_churn.definition import DEFINITION

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
