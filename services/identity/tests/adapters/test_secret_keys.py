"""A folder of numbered keys: numbers rise, what is destroyed is gone, and other processes see it at once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from rapport_chassis.key_folder import KeyFolderError
from rapport_identity.adapters.secret_keys import SecretKeys


def test_first_key_is_made_once(tmp_path: Path) -> None:
    ring = SecretKeys.load(tmp_path).current()
    assert (ring.active, [len(key) for key in ring.keys.values()]) == (1, [32])
    assert SecretKeys.load(tmp_path).current() == ring


def test_other_process_sees_a_new_key_at_once(tmp_path: Path) -> None:
    here, there = SecretKeys.load(tmp_path), SecretKeys.load(tmp_path)
    assert here.add(activate=False) == 2
    assert (there.current().active, list(there.current().keys)) == (1, [2, 1])
    assert there.add(activate=True) == 2  # the rotation that was begun, not another one
    assert here.current().active == 2


def test_destroyed_key_is_gone_and_its_number_is_not_given_again(tmp_path: Path) -> None:
    keys = SecretKeys.load(tmp_path)
    old = keys.current().keys[1].hex()
    keys.add(activate=True)
    keys.destroy([1])
    assert list(keys.current().keys) == [2]
    assert [path.name for path in sorted(tmp_path.glob("*.key"))] == ["2.key"]
    assert not [path for path in tmp_path.iterdir() if old in path.read_text()]
    assert keys.add(activate=True) == 3


def test_destruction_that_was_cut_off_is_completed_by_the_next(tmp_path: Path) -> None:
    keys = SecretKeys.load(tmp_path)
    left = (tmp_path / "1.key").read_bytes()
    keys.add(activate=True)
    keys.destroy([1])
    (tmp_path / "1.key").write_bytes(left)  # as if it had been killed between the list and the file
    keys.destroy([1])
    assert not (tmp_path / "1.key").exists()


def test_last_key_is_not_destroyed(tmp_path: Path) -> None:
    keys = SecretKeys.load(tmp_path)
    with pytest.raises(KeyFolderError):
        keys.destroy([1])
    assert list(keys.current().keys) == [1]


def test_keys_are_readable_by_their_owner_only_and_show_nowhere(tmp_path: Path) -> None:
    keys = SecretKeys.load(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert keys.current().keys[1].hex() not in repr(keys.current())


@pytest.mark.parametrize("content", ["", "00", "zz" * 32])
def test_folder_with_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    SecretKeys.load(tmp_path)
    (tmp_path / "1.key").write_text(content)
    with pytest.raises(KeyFolderError):
        SecretKeys.load(tmp_path)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFolderError):
        SecretKeys.load(tmp_path / "none")
