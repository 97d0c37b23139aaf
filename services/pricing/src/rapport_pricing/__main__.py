"""`python -m rapport_pricing serve | migrate | provision | check-config`."""

import sys

from rapport_chassis.cli import main

from rapport_pricing.definition import DEFINITION

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
