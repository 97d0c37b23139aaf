"""A link to a package dies with the verification that it rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.errors import RapportError
from rapport_consent.domain.request_words import Channel, Method, RequestState, Role
from rapport_consent.domain.requests import Asked, Request, Verification
from rapport_consent.domain.rule_packs import Right
from rapport_consent.entrypoints.package_links import PackageLinks
from rapport_testing.clock import TestClock

VALID = timedelta(days=7)


@pytest.fixture
def clock() -> TestClock:
    """The time."""
    return TestClock()


@pytest.fixture
def links(clock: TestClock) -> PackageLinks:
    """Makes and opens links."""
    return PackageLinks(LinkSigner([b"k" * 32], clock=clock), clock, VALID)


@pytest.fixture
def request_(clock: TestClock) -> Request:
    """A request whose requester was verified just now."""
    now = clock.now()
    return Request(
        id="req_0123456789",
        rights=(Asked(Right.ACCESS),),
        received_at=now,
        channel=Channel.WEB,
        role=Role.SUBJECT,
        market="DE",
        market_reason="RESIDENCE",
        locale="de",
        rule_pack="GDPR.1",
        created_by="shop",
        created_at=now,
        state=RequestState.COMPLETED,
        verifications=(Verification(Method.CODE, now, "shop"),),
    )


def test_link_opens_what_it_is_for_while_the_verification_stands(links: PackageLinks, request_: Request) -> None:
    path, ends = links.link_to(request_, Right.ACCESS)
    request_id, right, rests_on = links.open(path.removeprefix("/packages/"))
    assert (request_id, right) == (request_.id, Right.ACCESS)
    assert ends - request_.verifications[0].verified_at <= VALID
    links.require_alive(request_, rests_on)


def test_link_is_dead_once_the_verification_is_old_replaced_or_the_request_cancelled(
    links: PackageLinks, request_: Request, clock: TestClock
) -> None:
    path, _ = links.link_to(request_, Right.ACCESS)
    _, _, rests_on = links.open(path.removeprefix("/packages/"))
    again = Verification(Method.LOGIN, clock.now() + timedelta(hours=1), "shop")
    ended = [
        replace(request_, state=RequestState.CANCELLED),
        replace(request_, verifications=(again,)),
        replace(request_, verifications=(*request_.verifications, again)),
        replace(request_, verifications=()),
    ]
    for changed in ended:
        with pytest.raises(RapportError, match="VERIFICATION_STALE"):
            links.require_alive(changed, rests_on)
    clock.advance(VALID.total_seconds())
    with pytest.raises(RapportError, match="VERIFICATION_STALE"):
        links.require_alive(request_, rests_on)
    with pytest.raises(RapportError, match="LINK_EXPIRED"):
        links.open(path.removeprefix("/packages/"))
    with pytest.raises(RapportError, match="VERIFICATION_STALE"):
        links.link_to(request_, Right.ACCESS)
