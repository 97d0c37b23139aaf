"""The matcher that ships, so that nothing need be trained to start."""

from functools import cache
from importlib import resources

from rapport_identity.domain.matcher import Matcher
from rapport_identity.domain.matcher_json import digest, load


@cache
def default_matcher() -> Matcher:
    """Return the matcher of this release, from data/default_matcher.json (`tools/train_default.py` writes it)."""
    folder = resources.files("rapport_identity.domain").joinpath("data")
    return load(folder.joinpath("default_matcher.json").read_text("utf-8"))


@cache
def default_matcher_id() -> str:
    """Return the id under which it is kept: the same in every installation of a release that ships it."""
    return f"mat_{digest(default_matcher()).hex()[:22]}"
