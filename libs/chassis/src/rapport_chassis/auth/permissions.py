"""Which certificate and which role hold which permissions: configuration, read from one YAML file.

```yaml
certificates:
  spiffe://rapport.local/pricing: [consent.checks.read, consent.replica.read]
roles:
  privacy-officer: [consent.*]
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

from rapport_chassis.reloading import Reloaded
from rapport_chassis.yaml_text import parse_yaml

Pattern = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?$")]
"""A permission, or with `.*` at its end all permissions below that name."""


class PolicyFile(BaseModel):
    """Form of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificates: dict[str, list[Pattern]] = {}
    roles: dict[str, list[Pattern]] = {}


class Grants:
    """The permissions of one certificate or role."""

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._exact = frozenset(pattern for pattern in patterns if not pattern.endswith(".*"))
        self._prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith(".*"))

    def allow(self, permission: str) -> bool:
        """Say whether the permission is among them."""
        return permission in self._exact or permission.startswith(self._prefixes)


@dataclass(frozen=True, slots=True)
class _Policy:
    certificates: Mapping[str, Grants]
    roles: Mapping[str, Grants]


class PermissionPolicy:
    """Permissions by certificate and role. What is not listed is denied."""

    def __init__(self, policy: Reloaded[_Policy]) -> None:
        self._policy = policy

    @classmethod
    def load(cls, path: Path) -> PermissionPolicy:
        """Read the file, and read it again whenever it changes; the last good one holds while it is bad.

        Raises:
            OSError: The file cannot be read.
            ValueError: It does not have the form of a policy.
        """
        return cls(Reloaded("permissions", [path], lambda: _read(path)))

    def grants_of(self, caller: str) -> Grants | None:
        """Return the permissions of a certificate's URI; None for a caller that is not listed."""
        return self._policy.current().certificates.get(caller)

    def roles_allow(self, roles: Iterable[str], permission: str) -> bool:
        """Say whether one of the roles holds the permission."""
        known = self._policy.current().roles
        return any(known.get(role, _NOTHING).allow(permission) for role in roles)


_NOTHING: Final = Grants(())


def _read(path: Path) -> _Policy:
    content = PolicyFile.model_validate(parse_yaml(path.read_bytes()) or {})
    return _Policy(
        {uri: Grants(patterns) for uri, patterns in content.certificates.items()},
        {role: Grants(patterns) for role, patterns in content.roles.items()},
    )
