"""A receipt shows that a model was learned without somebody, to whoever has nothing but a small script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from rapport_churn.domain.membership import Membership
from rapport_churn.domain.receipts import Taught, receipt_of

SCRIPT = Path(__file__).parents[2] / "verify_receipt.py"


def taught(model_id: str, people: Sequence[str], salt: bytes = b"salt") -> Taught:
    members = Membership.of([(who, 1) for who in people], salt)
    card = json.dumps({"salt": salt.hex(), "people": len(members.leaves), "rows_root": members.root.hex()}).encode()
    files = {"card.json": card, "members.bin": members.dump(), "model.json": b"{}"}
    found = Taught.of(model_id, files)
    assert found is not None
    return found


def verified(receipt: bytes | dict[str, Any], *arguments: str) -> tuple[int, str]:
    given = receipt if isinstance(receipt, bytes) else json.dumps(receipt).encode()
    command = [sys.executable, "-I", "-S", str(SCRIPT), "-", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_stranger_can_check_that_the_model_changed_and_knows_the_person_no_more() -> None:
    people = [f"prf_{number}" for number in range(7)]
    before, after = (
        taught("mdl_1", people, b"one"),
        taught("mdl_2", [each for each in people if each != "prf_3"], b"two"),
    )
    artefact = sha256("".join(f"{each}  {name}\n" for name, each in after.digests.items()).encode()).hexdigest()
    receipt = receipt_of(before, after, ["prf_3", "prf_absorbed"])
    assert b"prf_" not in receipt
    code, said = verified(receipt, "prf_3", "prf_absorbed", "--artefact", artefact)
    assert (code, "mdl_1" in said, "mdl_2" in said) == (0, True, True)
    assert verified(receipt, "prf_3", "--artefact", "00")[0] == 1
    assert verified(receipt, "prf_4")[0] == 1  # of whom it says nothing
    assert verified(receipt_of(before, before, ["prf_3"]), "prf_3")[0] == 1  # nothing has changed


@pytest.mark.parametrize("people", [[], ["prf_1"], ["prf_1", "prf_2"], [f"prf_{number}" for number in range(40)]])
def test_absence_is_shown_wherever_the_person_would_stand(people: list[str]) -> None:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from verify_receipt import verify  # type: ignore[import-not-found] # it belongs to no package
    finally:
        sys.path.pop(0)
    model = taught("mdl_1", people)
    for number in range(100, 130):
        who = f"prf_{number}"
        assert verify(json.loads(receipt_of(None, model, [who])), [who])


def test_a_receipt_that_was_tampered_with_shows_nothing() -> None:
    model = taught("mdl_1", [f"prf_{number}" for number in range(9)])
    with_prf_3 = json.loads(receipt_of(None, model, ["prf_3", "prf_x"]))
    people = with_prf_3["after"]["people"]
    present = next(tag for tag, shown in people.items() if "present" in shown)
    absent = next(shown for shown in people.values() if "absent" in shown)
    forged: list[dict[str, Any]] = []
    lies: list[dict[str, Any]] = [{"absent": []}, absent, {"absent": absent["absent"][:1]}]
    for lie in lies:
        forged.append(json.loads(json.dumps(with_prf_3)))
        forged[-1]["after"]["people"][present] = lie
    other_card = json.loads(json.dumps(with_prf_3))
    other_card["after"]["card"] = other_card["after"]["card"].replace('"people": 9', '"people": 8')
    for receipt in [*forged, other_card]:
        code, said = verified(receipt, "prf_3")
        assert (code, said.startswith("NOT SHOWN")) == (1, True), said
