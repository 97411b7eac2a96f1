"""What a single variable of the environment may be, typed, and refused by its name when it is wrong.

In: the environment, or a variable's text. Out: its value. Fails with `SettingsError`, which names the
variable and says what to do. A variable with a form of its own is read here. Called by settings.
"""

from __future__ import annotations

from typing import Literal, cast

from environs import Env

from connection import MODES, PROFILES, Mode
from connections_file import SettingsError

# Both sides of the default pair in one file, as it once was.
SINGLE_PROFILE = PROFILES / "okliving-onebox.yaml"

Language = Literal["en", "uk"]
LANGUAGES: tuple[Language, ...] = ("en", "uk")


def mode(env: Env) -> Mode:
    value = env.str("ORDERBRIDGE_MODE", "") or MODES[0]
    if value not in MODES:
        raise SettingsError(f"ORDERBRIDGE_MODE must be one of {', '.join(MODES)}.")
    return cast("Mode", value)


def language(env: Env) -> Language:
    """What language people are told in where they cannot choose it."""
    value = env.str("ORDERBRIDGE_LANGUAGE", "") or LANGUAGES[0]
    if value not in LANGUAGES:
        raise SettingsError(f"ORDERBRIDGE_LANGUAGE must be one of {', '.join(LANGUAGES)}.")
    return value


def at_least(env: Env, name: str, default: int, least: int) -> int:
    value = env.int(name) if env.str(name, "") else default
    if value < least:
        raise SettingsError(f"{name} must be {least} or more.")
    return value


def seconds(env: Env, name: str, default: float) -> float:
    value = env.float(name) if env.str(name, "") else default
    if not 0 <= value < float("inf"):
        raise SettingsError(f"{name} must be a number, 0 or more.")
    return value


def flag(env: Env, name: str) -> bool:
    """Set to nothing is as good as not set."""
    return env.bool(name) if env.str(name, "") else False


def calls_remotes(env: Env) -> bool:
    """Whether this process calls remote systems; one that does not may lack their secrets."""
    name = "ORDERBRIDGE_CALLS_REMOTES"
    return env.bool(name) if env.str(name, "") else True


def refuse_single_profile(env: Env) -> None:
    """Refuse the profile that had both sides in one file: ignored, its tables and stages would be lost."""
    named = env.str("ORDERBRIDGE_PROFILE", "")
    if named or SINGLE_PROFILE.is_file():
        found = (
            f"ORDERBRIDGE_PROFILE names {named}" if named else f"{SINGLE_PROFILE} is still there"
        )
        unset = "unset ORDERBRIDGE_PROFILE" if named else "move that file away"
        raise SettingsError(
            f"{found}, but source and target have a profile each now. 1. Split it: into the source's file go "
            "`name`, `source` without `external_id_prefix`, `order`, `recipient`, and `updates` without its "
            "`hook` and `stages`; into the target's file `name`, `lookups`, `target`, `hook` and `stages`. "
            "2. Move the `order` and `delivery` of each stage to a milestone below `updates.milestones` of "
            "the source's file, and name that milestone in the stage (docs/configuration.md, A profile of "
            "one file). 3. Name the two files as the `profile` of their connections: for the default pair "
            "edit mapping/profiles/okliving.yaml and onebox.yaml, or set OKLIVING_PROFILE and "
            f"ONEBOX_PROFILE. 4. Then {unset}."
        )
