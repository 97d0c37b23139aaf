"""`python -m rapport_identity serve | migrate | provision | check-config | keys | rotate-hash-key`."""

import sys

from rapport_chassis.cli import main

from rapport_identity.definition import DEFINITION

if __name__ == "__main__":
    sys.exit(main(DEFINITION))
