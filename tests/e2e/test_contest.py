"""Somebody contests a price: a human looks at it where it was quoted, and they are told what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import canaries
import pytest
from canaries import Person
from rapport.pricing.v1 import pricing_pb2
from rapport_testing.waiting import eventually_sync
from suite import Suite
from suite_authoring import MARKET, PRODUCT
from suite_calm import Calm
from suite_shop import open_shop, patiently

PATIENCE_S = 120
LOOK_S = 0.5


async def quoted(suite: Suite, person: Person) -> str:
    """The decision by which somebody was quoted a price."""
    async with open_shop(suite) as shop:
        await canaries.take_in(shop, person)
        asked = pricing_pb2.GetQuoteRequest(profile_id=person.profile_id, market=MARKET, channel="web")
        asked.lines.add(product_id=PRODUCT, quantity=1)
        return (await patiently(lambda: shop.pricing.GetQuote(asked))).decision_id


@pytest.mark.xdist_group("environment")
@pytest.mark.timeout(600)
def test_a_price_that_is_contested_is_reviewed_where_it_was_quoted(suite: Suite, calm: Calm) -> None:
    assert calm.states  # the prices are in force
    person = Person()
    decision = asyncio.run(quoted(suite, person))

    def done(*arguments: str) -> str:
        result = suite.run(*arguments)
        assert result.exit_code == 0, result.output + result.stderr
        return result.stdout

    def until(holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found: dict[str, Any] = json.loads(done("privacy", "show", asked, "--json"))
            return found if holds(found) else None

        return eventually_sync(there, PATIENCE_S, LOOK_S)

    done("login", "officer-1", "--role", "officer")
    contest = ("--right", "contest", "--decision", decision)
    asked = done("privacy", "open", *contest, "--email", person.email, "--market", MARKET).strip()
    done("privacy", "verify", asked, "--document", "PASSPORT")
    until(lambda it: "profile_id" in it)
    done("login", "officer-2", "--role", "officer")
    done("privacy", "approve", asked, "--reason", "checked")
    (right,) = until(lambda it: "review_id" in it["rights"][0])["rights"]
    done("login", "buyer-1", "--role", "buyer")
    answer = {"request_id": str(uuid4()), "review_id": right["review_id"], "confirmed": False, "reason": "too dear"}
    done("call", "pricing.v1.PricingService/DecideReview", json.dumps(answer))
    done("login", "officer-2", "--role", "officer")
    (right,) = until(lambda it: it["state"] == "PRIVACY_REQUEST_STATE_COMPLETED")["rights"]
    assert (right["outcome"], right["reviewed_by"]) == ("CHANGED", "buyer-1")
    assert "it was changed" in done("privacy", "letter", asked, "COMPLETION")
