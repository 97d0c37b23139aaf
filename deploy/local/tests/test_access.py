"""Who may do what: the policy file, clients, logins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import yaml
from click.testing import Result
from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.certificates import thumbprint_of
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_local import access, operators
from rapport_local.environment import Environment
from rapport_testing.pki import LocalAuthority


def test_a_new_client_may_do_what_was_said_and_nothing_else(
    environment: Environment, rapport: Callable[..., Result]
) -> None:
    done = rapport("client", "add", "web-shop", "--may", "consent.checks.read")
    assert done.exit_code == 0, done.output
    grants = PermissionPolicy.load(environment.policy_file).grants_of("spiffe://rapport.local/web-shop")
    assert grants is not None
    assert grants.allow("consent.checks.read")
    assert not grants.allow("consent.ledger.write")
    assert str(access.tls_files(environment, "web-shop").certificate) in done.output


def test_a_client_keeps_its_certificate_when_it_is_given_more(
    environment: Environment, rapport: Callable[..., Result]
) -> None:
    rapport("client", "add", "shop", "--may", "consent.checks.read")
    before = access.tls_files(environment, "shop").certificate.read_bytes()
    done = rapport("client", "add", "shop", "--may", "consent.ledger.write")
    assert "consent.checks.read, consent.ledger.write" in done.output
    assert access.tls_files(environment, "shop").certificate.read_bytes() == before


def test_names_and_permissions_that_cannot_be_are_refused(rapport: Callable[..., Result]) -> None:
    for arguments, said in (
        (("Shop!", "--may", "consent.checks.read"), "lower-case letters"),
        (("consent", "--may", "consent.checks.read"), "taken by the environment"),
        (("shop", "--may", "everything!"), "not a permission"),
    ):
        refused = rapport("client", "add", *arguments)
        assert refused.exit_code == 1
        assert said in refused.output
    assert rapport("client", "add", "shop").exit_code == 2


def test_what_a_person_changed_in_the_policy_survives_a_restart(environment: Environment) -> None:
    access.add_client(environment, "shop", ["consent.checks.read"])
    changed = environment.policy_file.read_text().replace("officer:\n  - consent.*", "officer:\n  - consent.fences.*")
    environment.policy_file.write_text(f"{changed}# a remark\n")
    access.write_policy(environment)
    assert "# a remark" in environment.policy_file.read_text()
    policy = access.read_policy(environment)
    assert policy.roles["officer"] == ["consent.fences.*", "identity.declarations.*"]
    assert policy.certificates[access.caller("shop")] == ["consent.checks.read"]


def test_a_policy_of_before_a_service_came_lets_it_hold_its_gate(environment: Environment) -> None:
    changed = access.read_policy(environment).model_dump()
    gate = changed["certificates"].pop(access.caller("identity"))
    environment.policy_file.write_text(yaml.safe_dump(changed))
    access.write_policy(environment)
    assert access.read_policy(environment).certificates[access.caller("identity")] == gate


def test_certificates_that_end_soon_are_renewed_and_others_stay(environment: Environment) -> None:
    authority = LocalAuthority(environment.certificates)
    ending = authority.issue("consent", not_after=datetime.now(UTC) + timedelta(days=1))
    kept = access.tls_files(environment, "nats").certificate.read_bytes()
    access.issue_certificates(environment)
    assert access.expiry(ending.certificate) > datetime.now(UTC) + timedelta(days=20)
    assert access.tls_files(environment, "nats").certificate.read_bytes() == kept


def test_a_login_gives_tokens_that_the_services_trust(environment: Environment, rapport: Callable[..., Result]) -> None:
    assert rapport("login").exit_code == 1
    assert rapport("login", "analyst-1", "--role", "officer").exit_code == 0
    login = operators.current_login(environment)
    assert login is not None
    presenter = access.tls_files(environment, access.CLI)
    token = operators.token_for(environment, login, service="consent", presenter=presenter)
    actor = ActorTokenVerifier(environment.issuers_file, "consent").verify(token, thumbprint_of(presenter.certificate))
    assert (actor.subject, actor.roles) == ("analyst-1", ("officer",))
    assert rapport("logout").exit_code == 0
    assert operators.current_login(environment) is None


def test_a_role_that_does_not_exist_is_refused_with_those_that_do(rapport: Callable[..., Result]) -> None:
    refused = rapport("login", "analyst-1", "--role", "king")
    assert refused.exit_code == 1
    assert "there is no role 'king'" in refused.output
    assert "officer" in refused.output


def test_a_service_that_never_ran_has_no_keys_and_is_given_none(rapport: Callable[..., Result]) -> None:
    for command in ("list", "rotate"):
        refused = rapport("keys", command)
        assert refused.exit_code == 1
        assert "consent has no signing key yet" in refused.output
