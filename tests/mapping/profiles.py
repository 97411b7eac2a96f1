"""The shipped profiles, and edited copies of them, for all tests of mapping."""

from pathlib import Path

import yaml

from mapping.profile import join, load_source, load_target
from mapping.yamlfile import read_yaml

FOLDER = Path(__file__).parents[2] / "mapping/profiles"
SOURCE = FOLDER / "okliving.yaml"
TARGET = FOLDER / "onebox.yaml"
# What a target's file says; the rest is the source's.
OF_THE_TARGET = ("lookups", "target", "hook", "stages")


def joined(source=SOURCE, target=TARGET, prefix="okl-", parameters=None):
    return join(load_source(source), load_target(target, parameters), prefix)


def written(folder, shipped, edit, name=None):
    """A copy of a shipped file, edited as plain data, and its path."""
    profile = read_yaml(shipped)
    edit(profile)
    path = folder / (name or shipped.name)
    path.write_text(yaml.safe_dump(profile, allow_unicode=True), encoding="utf-8")
    return path
