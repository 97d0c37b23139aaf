"""Messages taken on together: what is written as late as can be is seen by whatever asks, and told of once."""

from __future__ import annotations

from notification_stage import staged
from rapport_chassis.database.engine import Database
from rapport_notification.domain.entries import State
from rapport_testing.events import rows

_TOLD = "SELECT count(*) FROM outbox WHERE type ~ 'notification_accepted$'"


async def test_of_messages_of_one_cause_one_is_kept_and_told_of(opened: Database) -> None:
    async with staged(opened) as stage:
        one, other = stage.person(), stage.person()
        await stage.accept(one, cause="price:1")
        await stage.accept_together(
            (one, {"cause": "price:1"}),
            (other, {"cause": "price:1"}),
            (other, {"cause": "price:1"}),
            (other, {"cause": "price:2"}),
        )
        assert [each.ask.cause for each in await stage.of(one)] == ["price:1"]
        assert sorted(each.ask.cause for each in await stage.of(other)) == ["price:1", "price:2"]
        assert await rows(opened, _TOLD) == [(3,)]


async def test_a_newer_message_makes_one_superfluous_that_was_taken_on_with_it(opened: Database) -> None:
    async with staged(opened) as stage:
        person, other = stage.person(), stage.person()
        keyed = {"supersede_key": "price"}
        await stage.accept_together(
            (person, {**keyed, "about_us": 1}), (other, {**keyed, "about_us": 1}), (person, {**keyed, "about_us": 2})
        )
        found = {each.ask.about_us: each.entry.state for each in await stage.of(person)}
        assert found == {1: State.SUPERSEDED, 2: State.ACCEPTED}
        (kept,) = await stage.of(other)
        assert kept.entry.state is State.ACCEPTED
