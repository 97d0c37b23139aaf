"""Who is erased is gone from everywhere, from a backup too once it is restored, and nobody else loses anything."""

from __future__ import annotations

import asyncio
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import canaries
import canary_search
import pytest
from canaries import Person
from click.testing import Result
from rapport_testing.plugin import MakeProgress, Prove
from rapport_testing.prove import Scale
from rapport_testing.waiting import eventually_sync
from suite import Suite
from suite_authoring import MARKET
from suite_calm import Calm
from suite_shop import open_shop

NOT_KEPT = {"quote.brand_id", "touchpoint.source_event_id"}
"""What nobody keeps: the brand that a price was asked for, and of an event's name only a keyed hash."""
KEPT_BY_LAW = {"redemption.order_id": {"pricing"}}
"""The number on a receipt, which the books keep without its buyer for as long as tax law says."""
RUNBOOK = Path(__file__).resolve().parents[2] / "docs/runbook.md"
AT_ONCE = 8
OPENED_BY_A_LOGIN = 25
"""Packages that are opened before the officer logs in anew, who has to have done so in the last ten minutes."""
PATIENCE_S = 1200
LOOK_S = 0.5


def restoring(backup: Path) -> list[list[str]]:
    """The commands by which the runbook restores everything from a backup."""
    (block,) = re.findall(
        r"^```sh\n(rapport down\n.*?)^```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = [line.partition("  #")[0].split()[1:] for line in block.splitlines()]
    return [[str(backup) if word.startswith("~/") else word for word in line] for line in lines]


def done(result: Result) -> str:
    """What a command wrote, which must have gone well."""
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


async def plant(suite: Suite, people: Sequence[Person], progress: MakeProgress) -> None:
    """Have every service know these people."""
    bar = progress(len(people), "people taken in")
    async with open_shop(suite) as shop:
        notice_version = await canaries.author(shop)
        turns = asyncio.Semaphore(AT_ONCE)

        async def live(person: Person) -> None:
            async with turns:
                await canaries.take_in(shop, person)
                await canaries.decide(shop, person, notice_version)
                for step in (canaries.live, canaries.buy, canaries.be_written_to):
                    await step(shop, person)
                bar.advance()

        await asyncio.gather(*map(live, people))


def fulfilled(suite: Suite, right: str, people: Sequence[Person], progress: MakeProgress) -> list[str]:
    """Have officers see to a request of each of them, from the desk to its end; return the requests."""
    log_in(suite, "officer-1")
    asked = []
    bar = progress(2 * len(people), f"requests of {right} taken in and fulfilled")
    for person in people:
        opened = done(
            suite.run("privacy", "open", "--right", right, "--email", person.email, "--market", MARKET)
        ).strip()
        asked.append(opened)
        bar.advance()
    assert "IDENTITY_AWAITED" in done(suite.run("privacy", "list"))
    for request in asked:
        done(suite.run("privacy", "verify", request, "--document", "PASSPORT"))

    def shown(request: str, holds: Callable[[dict[str, str]], bool]) -> Callable[[], bool]:
        return lambda: holds(json.loads(done(suite.run("privacy", "show", request, "--json"))))

    for request in asked:
        eventually_sync(shown(request, lambda it: "profile_id" in it), PATIENCE_S, LOOK_S)
    assert "SAME_ACTOR" in suite.run("privacy", "approve", asked[0], "--reason", "mine").stderr
    log_in(suite, "officer-2")
    for request in asked:
        done(suite.run("privacy", "approve", request, "--reason", "checked"))
    for request in asked:
        completed = shown(request, lambda it: it["state"] == "PRIVACY_REQUEST_STATE_COMPLETED")
        eventually_sync(completed, PATIENCE_S, LOOK_S)
        bar.advance()
    return asked


def log_in(suite: Suite, officer: str) -> None:
    """Have an officer stand behind what comes."""
    done(suite.run("login", officer, "--role", "officer"))


def packages(suite: Suite, requests: Iterable[str], folder: Path) -> set[str]:
    """The strings in the packages of these requests, as far as there are any."""
    found: set[str] = set()
    for number, request in enumerate(requests):
        if number % OPENED_BY_A_LOGIN == 0:
            log_in(suite, "officer-2")
        target = folder / f"{request}.zip"
        opened = suite.run("privacy", "package", request, str(target))
        if opened.exit_code:
            assert "PACKAGE_NOT_READY" in opened.stderr
            continue
        with zipfile.ZipFile(target) as archive:
            for name in archive.namelist():
                found |= canary_search.strings_of(archive.read(name))
        target.unlink()
    return found


@pytest.mark.xdist_group("environment")
@pytest.mark.timeout(4 * 3600)
def test_nothing_of_the_erased_is_found_anywhere_again_and_everything_of_the_others(
    suite: Suite, calm: Calm, tmp_path: Path, scale: Scale, prove: Prove, progress: MakeProgress
) -> None:
    assert calm.states  # what it rests on is in force, and was authored once: a second version would end open offers
    people = [Person() for _ in range(scale.pick(small=4, full=200))]
    erased, others = people[::2], people[1::2]
    asyncio.run(plant(suite, people, progress))
    copied = [*others, *erased[: len(erased) // 2]]
    asked = fulfilled(suite, "access", copied, progress)
    planted = {string: where for person in copied for string, where in person.planted.items()}

    in_copies = packages(suite, asked, tmp_path)

    def everything_planted() -> set[str]:
        found = set(canary_search.found_at_rest(suite.environment, tmp_path))
        assert {where for string, where in planted.items() if string not in found | in_copies} == NOT_KEPT
        return found

    before = eventually_sync(everything_planted, PATIENCE_S, interval_s=LOOK_S)
    assert canaries.of(erased, before)
    backup = tmp_path / "backup"
    done(suite.run("backup", str(backup)))

    certified = fulfilled(suite, "erasure", erased, progress)
    places = canary_search.found_at_rest(suite.environment, tmp_path)
    assert _left(erased, places) == KEPT_BY_LAW
    assert _lost(before, places, others) == set()
    in_packages = packages(suite, [*asked, *certified], tmp_path)
    assert canaries.of(erased, in_packages) == set()
    assert canaries.of(others, in_packages) == canaries.of(others, in_copies)
    _verify(suite, certified[0], tmp_path)
    assert "PROFILE_ERASED" in _profile(suite, erased[0]).stderr
    done(_profile(suite, others[0]))

    ended, restored, begun = restoring(backup)
    assert (ended, begun) == (["down"], ["up"])
    suite.stop()
    done(suite.run(*restored))
    suite.start()
    places = canary_search.found_at_rest(suite.environment, tmp_path)
    assert _left(erased, places) == KEPT_BY_LAW
    assert _lost(before, places, others) == set()
    in_packages = packages(suite, asked, tmp_path)
    assert canaries.of(erased, in_packages) == set()
    assert canaries.of(others, in_packages) == canaries.of(others, in_copies)
    prove("canary", people=len(people), erased=len(erased), strings=len(planted), found=0)


def _left(people: Iterable[Person], places: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The fields of which something is left of these people, and where."""
    planted = {string: where for person in people for string, where in person.planted.items()}
    return {planted[string]: where for string, where in places.items() if string in planted}


def _lost(before: Iterable[str], places: Mapping[str, set[str]], people: Sequence[Person]) -> set[str]:
    """The fields of these people of which nothing is found any more."""
    planted = {string: where for person in people for string, where in person.planted.items()}
    return {planted[string] for string in canaries.of(people, before) - set(places)}


def _profile(suite: Suite, person: Person) -> Result:
    return suite.run("call", "GetProfile", json.dumps({"profile_id": person.profile_id}))


def _verify(suite: Suite, request: str, folder: Path) -> None:
    """The certificate holds before whoever has only the keys."""
    certificate, keys = folder / "certificate.json", folder / "keys.json"
    done(suite.run("privacy", "certificate", request, str(certificate)))
    keys.write_text(done(suite.run("call", "--json", "consent.v1.ConsentService/ListSigningKeys")))
    assert "nothing_held" in done(suite.run("verify", str(certificate), "--keys", str(keys))).lower()
    register = done(suite.run("privacy", "list", "--all", "--csv")).splitlines()
    assert [line.split(",")[1] for line in register if line.startswith(request)] == ["completed"]
