"""What was signed stays verifiable through every rotation, and half-written keys are never used."""

import json
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rapport_chassis.key_folder import KeyFolderError
from rapport_chassis.signing import SigningKeys
from rapport_testing.clock import TestClock
from rapport_testing.waiting import eventually_sync


def test_a_signature_verifies_with_its_message_and_key_alone(tmp_path: Path) -> None:
    keys = SigningKeys.load(tmp_path)
    kid, signature = keys.sign(b"message")
    (public,) = keys.public_keys()
    assert kid == public.kid == sha256(public.public_key).digest()[:16].hex()
    Ed25519PublicKey.from_public_bytes(public.public_key).verify(signature, b"message")
    assert keys.verify(kid, b"message", signature)
    assert not keys.verify(kid, b"massage", signature)
    assert not keys.verify(kid, b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not keys.verify(kid, b"message", b"")
    assert not keys.verify("0" * 32, b"message", signature)


def test_the_same_folder_gives_the_same_keys(tmp_path: Path) -> None:
    first, second = SigningKeys.load(tmp_path), SigningKeys.load(tmp_path)
    assert first.public_keys() == second.public_keys()
    assert second.verify(*_signed(first))


def test_retired_keys_go_on_verifying_and_sign_no_more(tmp_path: Path, test_clock: TestClock) -> None:
    keys = SigningKeys.load(tmp_path, test_clock)
    signed = [_signed(keys)]
    for _ in range(3):
        test_clock.advance(60)
        kid = keys.rotate()
        signed.append(_signed(keys))
        assert signed[-1][0] == kid
    again = SigningKeys.load(tmp_path)
    assert all(again.verify(*each) for each in signed)
    assert [key.kid for key in again.public_keys()] == [kid for kid, _, _ in reversed(signed)]
    newest, *retired = again.public_keys()
    assert newest.retired_at is None
    assert newest.active_from == retired[0].retired_at == test_clock.now()
    assert [path.stem for path in tmp_path.glob("*.pem")] == [newest.kid]


def test_a_running_process_takes_up_a_rotation_by_another(tmp_path: Path) -> None:
    running, other = SigningKeys.load(tmp_path), SigningKeys.load(tmp_path)
    old = _signed(running)
    kid = other.rotate()
    eventually_sync(lambda: running.sign(b"message")[0] == kid)
    assert running.verify(*old)


def test_processes_that_start_at_once_share_one_first_key(tmp_path: Path) -> None:
    loaded: list[SigningKeys] = []
    threads = [threading.Thread(target=lambda: loaded.append(SigningKeys.load(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({keys.public_keys() for keys in loaded}) == 1


def test_rotations_at_once_lose_no_key(tmp_path: Path) -> None:
    keys = SigningKeys.load(tmp_path)
    signed = _signed(keys)
    kids: list[str] = []
    threads = [threading.Thread(target=lambda: kids.append(SigningKeys.load(tmp_path).rotate())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = SigningKeys.load(tmp_path)
    assert {key.kid for key in again.public_keys()} == {signed[0], *kids}
    assert again.verify(*signed)


def test_keys_are_read_whole_while_another_process_rotates(tmp_path: Path) -> None:
    keys = SigningKeys.load(tmp_path)
    rotating = threading.Thread(target=lambda: [keys.rotate() for _ in range(50)])
    rotating.start()
    while rotating.is_alive():
        signed = _signed(keys)
        assert SigningKeys.load(tmp_path).verify(*signed)
    assert len(SigningKeys.load(tmp_path).public_keys()) == 51


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    SigningKeys.load(tmp_path).rotate()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_rotation_that_was_killed_half_way_changes_nothing(tmp_path: Path) -> None:
    keys = SigningKeys.load(tmp_path)
    listed = (tmp_path / "keys.json").read_bytes()
    signed = _signed(keys)
    private = {path.name: path.read_bytes() for path in tmp_path.glob("*.pem")}
    keys.rotate()
    (tmp_path / "keys.json").write_bytes(listed)  # killed after the new key was written, before the list was
    for name, content in private.items():
        (tmp_path / name).write_bytes(content)
    restarted = SigningKeys.load(tmp_path)
    assert restarted.sign(b"message")[0] == signed[0]
    restarted.rotate()
    assert len(list(tmp_path.glob("*.pem"))) == 1


@pytest.mark.parametrize("fault", ["missing folder", "no private key", "another private key", "no list", "wrong id"])
def test_keys_that_do_not_fit_together_are_refused(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "keys"
    if fault != "missing folder":
        folder.mkdir()
        SigningKeys.load(folder)
        (private,) = folder.glob("*.pem")
        listed = json.loads((folder / "keys.json").read_text())
        if fault == "no private key":
            private.unlink()
        elif fault == "another private key":
            other = tmp_path / "other"
            other.mkdir()
            SigningKeys.load(other)
            private.write_bytes(next(other.glob("*.pem")).read_bytes())
        elif fault == "no list":
            (folder / "keys.json").write_text("{")
        else:
            listed["keys"].append(
                {**listed["keys"][0], "kid": "0" * 32, "retired_at": listed["keys"][0]["active_from"]}
            )
            (folder / "keys.json").write_text(json.dumps(listed))
    with pytest.raises(KeyFolderError):
        SigningKeys.load(folder)


def _signed(keys: SigningKeys) -> tuple[str, bytes, bytes]:
    kid, signature = keys.sign(b"message")
    return kid, b"message", signature
