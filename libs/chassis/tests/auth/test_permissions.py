"""What the policy file gives, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_chassis.auth.permissions import Grants, PermissionPolicy
from rapport_testing.capture import LogCapture
from rapport_testing.waiting import eventually_sync

WORD = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
PERMISSION = st.lists(WORD, min_size=1, max_size=4).map(".".join)


@given(PERMISSION, PERMISSION)
def test_a_permission_allows_itself_alone(held: str, asked: str) -> None:
    assert Grants([held]).allow(asked) == (held == asked)


@given(PERMISSION, PERMISSION)
def test_a_star_allows_all_below_its_name_and_nothing_beside(prefix: str, asked: str) -> None:
    assert Grants([f"{prefix}.*"]).allow(asked) == (
        asked.split(".")[: prefix.count(".") + 1] == prefix.split(".") and asked != prefix
    )


def test_nothing_is_allowed_by_nothing() -> None:
    assert not Grants([]).allow("consent.checks.read")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "certificates:\n  spiffe://a: [consent.*]\nroles:\n  officer: [privacy.requests.approve]\n  clerk: []\n"
    )
    return path


def test_certificates_and_roles_hold_what_is_listed(file: Path) -> None:
    policy = PermissionPolicy.load(file)
    grants = policy.grants_of("spiffe://a")
    assert grants is not None
    assert grants.allow("consent.checks.read")
    assert policy.grants_of("spiffe://b") is None
    assert policy.roles_allow(["clerk", "officer"], "privacy.requests.approve")
    assert not policy.roles_allow(["clerk", "unheard-of"], "privacy.requests.approve")


@pytest.mark.parametrize(
    "content",
    ["certificates: [a]", "certificates: {spiffe://a: [Consent.Read]}", "certificates: {spiffe://a: ['*']}", "x: 1"],
)
def test_a_file_of_another_form_is_refused_at_start(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ValueError, match="validation error"):
        PermissionPolicy.load(file)


def test_the_last_good_policy_holds_while_the_file_is_bad(file: Path, log_capture: LogCapture) -> None:
    policy = PermissionPolicy.load(file)
    file.write_text("certificates: {spiffe://b: [oh no")
    eventually_sync(lambda: policy.grants_of("spiffe://a") and log_capture.named("file_not_usable"))
    assert policy.grants_of("spiffe://a") is not None
    file.write_text("certificates: {spiffe://b: [consent.*]}")
    eventually_sync(lambda: policy.grants_of("spiffe://b"))
    assert policy.grants_of("spiffe://a") is None
