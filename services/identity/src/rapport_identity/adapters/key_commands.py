"""What an operator does with the keys: look which there are, and bring a new hash key.

Nobody need stop or be told: a process that looks after keys finds the new one in the folder and rotates.
"""

from __future__ import annotations

import sys

from rapport_chassis.key_folder import KeyFolderError

from rapport_identity.adapters.secret_keys import KeyRing, SecretKeys
from rapport_identity.settings import IdentitySettings


def show_keys(settings: IdentitySettings) -> int:
    """Print the numbers of the keys in the folders, never more of them; 1 if a folder cannot be read."""
    try:
        for name, folder in (("epoch", settings.keys.epoch_folder), ("hash", settings.keys.hash_folder)):
            sys.stdout.write(f"{name:<6} {_named(SecretKeys.load(folder).current())}\n")
    except KeyFolderError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def rotate_hash_key(settings: IdentitySettings) -> int:
    """Make a new hash key the active one; 1 if the folder cannot be written.

    While an earlier rotation is under way its key is the new one, so that repeating this does no harm.
    """
    folder = settings.keys.hash_folder
    try:
        keys = SecretKeys.load(folder)
        going_on = len(keys.current().keys) > 1
        active = keys.add(activate=True)
    except KeyFolderError as error:
        sys.stderr.write(f"{error}\nwhere the folder is a mounted secret, bring the key there\n")
        return 1
    state = "is under way already" if going_on else "begins within the minute"
    sys.stdout.write(f"hash key {active} is active; the rotation {state} and ends when no row needs the old one\n")
    return 0


def _named(ring: KeyRing) -> str:
    return ", ".join(f"{number} (active)" if number == ring.active else str(number) for number in ring.keys)
