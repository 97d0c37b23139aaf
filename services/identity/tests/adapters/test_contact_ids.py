"""Contact points keep their ids, whatever process names them and however keys are rotated."""

from __future__ import annotations

import re

from rapport_chassis.database.engine import Database
from rapport_identity.adapters.contact_ids import ContactIds
from rapport_identity.adapters.key_store import PostgresKeyStore
from rapport_identity.adapters.secret_keys import SecretKeys

VALUES = ("1|anna@mail.example", "2|+4930123456")


async def test_ids_stay_the_same_after_a_restart_and_a_rotation(
    key_store: PostgresKeyStore, keys_database: Database, epoch_keys: SecretKeys
) -> None:
    ids = await ContactIds(key_store).of(VALUES)
    await key_store.rotate_epoch()
    again = PostgresKeyStore(keys_database, epoch_keys)
    assert await ContactIds(again).of(VALUES) == ids


async def test_ids_differ_by_value_and_say_nothing_of_it(key_store: PostgresKeyStore) -> None:
    ids = await ContactIds(key_store).of(VALUES)
    assert len(set(ids.values())) == len(VALUES)
    assert all(re.fullmatch("cnt_[0-9A-Za-z]{22}", each) for each in ids.values())
