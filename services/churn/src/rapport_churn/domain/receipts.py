"""What shows that a model was learned without somebody: cards, digests, and paths from a person's place to the root.

A receipt names nobody. Whoever knows the person's id, and has the artefact's digest from where the model is listed,
can check it with `verify_receipt.py`, which needs nothing of this service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from rapport_churn.domain.membership import Membership, tag_of

FORMAT: Final = "rapport.churn.receipt/1"
CARD: Final = "card.json"
MEMBERS: Final = "members.bin"


@dataclass(frozen=True)
class Taught:
    """Whom a model was learned from.

    Attributes:
        model_id: The model.
        card: Its card.
        digests: SHA-256 of each file of its artefact, in hexadecimal, by name; the artefact is named by these.
        salt: Of the tags of people.
        members: Everybody it was learned from.
    """

    model_id: str
    card: bytes
    digests: Mapping[str, str]
    salt: bytes
    members: Membership

    @classmethod
    def of(cls, model_id: str, files: Mapping[str, bytes]) -> Taught | None:
        """Return it; None if an artefact does not say it.

        Raises:
            ValueError: A file is damaged.
        """
        if CARD not in files or MEMBERS not in files:
            return None
        digests = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
        salt = bytes.fromhex(json.loads(files[CARD])["salt"])
        return cls(model_id, files[CARD], digests, salt, Membership.load(files[MEMBERS]))

    def has(self, profile_ids: Sequence[str]) -> bool:
        """Whether the model was learned from a person for whom one of these ids stands."""
        return any(self.members.has(each, self.salt) for each in profile_ids)

    def shown(self, profile_ids: Sequence[str]) -> Mapping[str, Any]:
        """Return what shows of each id whether the model was learned from it, by its tag."""
        return {
            "model_id": self.model_id,
            "files": dict(self.digests),
            "card": self.card.decode(),
            "people": {tag_of(each, self.salt).hex(): self._witnesses(each) for each in profile_ids},
        }

    def _witnesses(self, profile_id: str) -> Mapping[str, Any]:
        if self.members.has(profile_id, self.salt):
            return {"present": self.members.presence(profile_id, self.salt).as_json()}
        return {"absent": [each.as_json() for each in self.members.absence(profile_id, self.salt)]}


def receipt_of(before: Taught | None, after: Taught, profile_ids: Sequence[str]) -> bytes:
    """Return the receipt as JSON.

    Args:
        before: The last model that served and was learned from the person; None if none was.
        after: The model that serves.
        profile_ids: Every id that stood for the person.
    """
    told = {
        "format": FORMAT,
        "before": before.shown(profile_ids) if before is not None else None,
        "after": after.shown(profile_ids),
    }
    return json.dumps(told, sort_keys=True, indent=1).encode()
