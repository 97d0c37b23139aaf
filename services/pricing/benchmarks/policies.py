"""Compares policies in the seven worlds: the share of a clairvoyant's contribution, on the same seeds, guardrails on.

python services/pricing/benchmarks/policies.py [--seeds 30] [--scenarios 1,2] [--policies rapport,...] [--fresh]

Every season is kept by the code that made it, or by the version of the library, so a run that was stopped goes on where
it was. Peers know no guardrail. What those of other makers earned is kept in peers.json, so that nobody needs them to
compare; they are played where they are installed: `pip install -e services/pricing[peers]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from rapport_pricing.simulator.baselines import BASELINES
from rapport_pricing.simulator.peers import installed
from rapport_pricing.simulator.playing import Policy, Season, play
from rapport_pricing.simulator.scenarios import SCENARIOS, World, build
from rapport_pricing.simulator.seller import Seller
from rapport_pricing.simulator.surface_seller import SurfaceSeller
from rapport_testing.bench import Figure, write_figures

ROOT: Final = Path(__file__).resolve().parents[3]
KEPT: Final = ROOT / "build" / "bench" / "pricing-seasons"
SOURCES: Final = ROOT / "services/pricing/src/rapport_pricing"
EARNED: Final = Path(__file__).with_name("peers.json")
OWN: Final = "rapport"
REFERENCES: Final = ("logit Thompson",)
"""Baselines that are no peers: what an earlier version of the service was."""
PEERS: Final = installed()
WANTED: Final = {1: 98.2, 2: 97.6, 3: 98.0, 4: 94.0, 5: 97.2, 6: 95.7, 7: 93.5}
_WORLD: Final = ("simulator/demand.py", "simulator/scenarios.py", "simulator/playing.py")
_MADE_OF: Final = {
    OWN: (
        "domain/anticipating.py",
        "domain/demand.py",
        "domain/detector.py",
        "domain/policy.py",
        "domain/guardrails.py",
        "domain/teaching.py",
        "simulator/seller.py",
    ),
    "surfaces": ("domain/surfaces.py", "simulator/surface_seller.py"),
    "peers": ("simulator/baselines.py",),
    "libraries": ("simulator/peers.py",),
}


def main() -> None:
    """Play, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--scenarios", default=",".join(map(str, SCENARIOS)))
    parser.add_argument("--policies", default=",".join(dict.fromkeys((OWN, *BASELINES, *PEERS, *earned()))))
    parser.add_argument("--fresh", action="store_true", help="play again what is kept")
    options = parser.parse_args()
    os.nice(10)
    scenarios = [int(each) for each in options.scenarios.split(",")]
    names = options.policies.split(",")
    print("share of the clairvoyant's contribution, mean (10th percentile)".ljust(74) + f"{options.seeds} seeds")
    print("policy".ljust(18) + "".join(f"{each:>14}" for each in scenarios))
    print("wanted".ljust(18) + "".join(f"{WANTED[each]:>14.1f}" for each in scenarios))
    found: dict[str, dict[int, list[Season]]] = {}
    for name in names:
        found[name] = {}
        print(name.ljust(18), end="", flush=True)
        for scenario in scenarios:
            found[name][scenario] = [season(name, scenario, seed, options.fresh) for seed in range(options.seeds)]
            shares = [100 * each.share for each in found[name][scenario]]
            print(f"{np.mean(shares):7.1f} ({np.percentile(shares, 10):4.1f})", end="", flush=True)
        print()
    if OWN in found:
        _own(found[OWN])
    peers = [name for name in found if name != OWN and name not in REFERENCES]
    if OWN in found and peers:
        _regrets(found, scenarios, peers)
    keep_earned(found)
    path = write_figures(ROOT / "build" / "bench" / "pricing-policies.jsonl", _figures(found))
    print(f"written to {path.relative_to(ROOT)}")


def season(name: str, scenario: int, seed: int, fresh: bool) -> Season:
    """Return a season as kept, or play it."""
    parts = _MADE_OF["peers"] if name != OWN else _MADE_OF["surfaces" if scenario == 5 else OWN]
    if name not in (OWN, *BASELINES):
        known = earned().get(name, {}).get(str(scenario), [])
        if seed < len(known) and not fresh:
            return Season(known[seed], 0, 0, -1)
        if name not in PEERS:
            raise SystemExit(f"{name} was played for {len(known)} seeds: install the extra `peers` for more")
        parts = _MADE_OF["libraries"]
    path = KEPT / f"{name}-{scenario}-{seed}-{_digest(name, parts)[:12]}.json".replace(" ", "_").replace("/", "")
    if not fresh and path.exists():
        return Season(**json.loads(path.read_text("utf-8")))
    played = play(policy_of(name, scenario, seed, build(scenario, seed)), build(scenario, seed))
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(played)), "utf-8")
    return played


def _digest(name: str, parts: Sequence[str]) -> str:
    digest = hashlib.sha256(PEERS[name][0].encode() if name in PEERS else b"")
    for part in (*_WORLD, *parts):
        digest.update((SOURCES / part).read_bytes())
    return digest.hexdigest()


def earned() -> dict[str, dict[str, list[float]]]:
    """Return the shares that other makers' policies earned, by scenario and seed, in the worlds as they are now.

    Those of a library that is installed in another version are left out: they are played again.
    """
    if not EARNED.exists():
        return {}
    kept = json.loads(EARNED.read_text("utf-8"))
    worlds = _digest("", _MADE_OF["libraries"])
    return {
        name: each["shares"]
        for name, each in kept.items()
        if each["worlds"] == worlds and (name not in PEERS or PEERS[name][0] == each["library"])
    }


def keep_earned(found: Mapping[str, Mapping[int, Sequence[Season]]]) -> None:
    """Keep what policies of installed libraries earned, where all of their scenarios were played."""
    complete = {
        name: {
            "library": PEERS[name][0],
            "worlds": _digest("", _MADE_OF["libraries"]),
            "shares": {str(scenario): [round(each.share, 5) for each in seasons] for scenario, seasons in by.items()},
        }
        for name, by in found.items()
        if name in PEERS and set(by) == set(SCENARIOS)
    }
    if complete:
        kept = json.loads(EARNED.read_text("utf-8")) if EARNED.exists() else {}
        EARNED.write_text(json.dumps({**kept, **complete}, indent=1, sort_keys=True) + "\n", "utf-8")


def policy_of(name: str, scenario: int, seed: int, world: World) -> Policy:
    """Return a policy by its name; the service has a price for each circumstance where demand follows circumstances."""
    if name in PEERS:
        return PEERS[name][1](world, seed)
    if name != OWN:
        return BASELINES[name](world, seed)
    return SurfaceSeller(world, seed) if scenario == 5 else Seller(world, seed)


def _own(found: dict[int, list[Season]]) -> None:
    plain = [each for scenario, seasons in found.items() if scenario != 5 for each in seasons]
    if plain:
        changes = max(np.mean([each.changes for each in seasons]) for key, seasons in found.items() if key != 5)
        print(f"price changes per 1,000 visits, worst scenario: {changes:.0f} (<= 40)")
        print(f"largest step: {100 * max(each.largest_step for each in plain):.2f} % (<= 5)")
    if 6 in found:
        visits = [each.recovered for each in found[6]]
        again = sorted(each for each in visits if each >= 0)
        soon = sum(0 <= each <= 1000 for each in visits)
        print(f"back to 95 % within 1,000 visits of the jump: {soon} of {len(visits)} seasons", end="")
        print(f", median {again[len(again) // 2]} visits" if again else "")


def _regrets(found: dict[str, dict[int, list[Season]]], scenarios: Sequence[int], peers: Sequence[str]) -> None:
    ratios = []
    for scenario in scenarios:
        regret = {name: 1 - float(np.mean([each.share for each in by[scenario]])) for name, by in found.items()}
        peer = min(regret[name] for name in peers)
        ratios.append(regret[OWN] / peer)
    print("regret / best peer".ljust(18) + "".join(f"{each:>14.2f}" for each in ratios))
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"geometric mean {mean:.2f} (<= 0.65), worst {max(ratios):.2f} (<= 1.0)")


def _figures(found: dict[str, dict[int, list[Season]]]) -> Iterable[Figure]:
    for name, by in found.items():
        for scenario, seasons in by.items():
            shares = [100 * each.share for each in seasons]
            budget = f">= {WANTED[scenario]}" if name == OWN else ""
            yield Figure(f"{name}, scenario {scenario}", float(np.mean(shares)), "%", budget=budget)
            yield Figure(f"{name}, scenario {scenario}, 10th percentile", float(np.percentile(shares, 10)), "%")


if __name__ == "__main__":
    main()
