"""What a single variable of the environment may be, typed, and refused by its name when it is wrong.

In: the environment, or a variable's text. Out: its value. Fails with `SettingsError`, which names the
variable and says what to do. A variable with a form of its own is read here. Called by settings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, cast

from environs import Env, EnvError

from connection import MODES, PROFILES, Mode
from connections_file import SettingsError, suggestion

# Both sides of the default pair in one file, as it once was.
SINGLE_PROFILE = PROFILES / "okliving-onebox.yaml"
# What int and float read besides, such as 1_000, ١ and nan, is no number that a person means here.
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")
PORTS = (1, 65_535)

Language = Literal["en", "uk"]
LANGUAGES: tuple[Language, ...] = ("en", "uk")


def mode(env: Env) -> Mode:
    value = env.str("ORDERBRIDGE_MODE", "") or MODES[0]
    if value not in MODES:
        raise SettingsError(
            f"ORDERBRIDGE_MODE must be one of {', '.join(MODES)}. {suggestion(value, MODES)}"
        )
    return cast("Mode", value)


def language(env: Env) -> Language:
    """What language people are told in where they cannot choose it."""
    value = env.str("ORDERBRIDGE_LANGUAGE", "") or LANGUAGES[0]
    if value not in LANGUAGES:
        raise SettingsError(f"ORDERBRIDGE_LANGUAGE must be one of {', '.join(LANGUAGES)}.")
    return value


def whole(env: Env, name: str, default: int, least: int, most: int) -> int:
    """A whole number; beyond `most` no clock could reckon with it, or it is a slip."""
    text = env.str(name, "").strip() or str(default)
    value = int(text) if _WHOLE.fullmatch(text) else least - 1
    if not least <= value <= most:
        raise SettingsError(f"{name} must be a whole number from {least} to {most}.")
    return value


def seconds(env: Env, name: str, default: float, most: float) -> float:
    text = env.str(name, "").strip() or str(default)
    value = float(text) if _NUMBER.fullmatch(text) else -1.0
    if not 0 <= value <= most:
        raise SettingsError(f"{name} must be a number of seconds from 0 to {most:g}.")
    return value


def port(env: Env, name: str, default: int) -> int:
    return whole(env, name, default, *PORTS)


def flag(env: Env, name: str, *, default: bool = False) -> bool:
    """Set to nothing is as good as not set."""
    try:
        return env.bool(name) if env.str(name, "") else default
    except EnvError:
        raise SettingsError(f"{name} must be 1 or 0.") from None


def calls_remotes(env: Env) -> bool:
    """Whether this process calls remote systems; one that does not may lack their secrets."""
    return flag(env, "ORDERBRIDGE_CALLS_REMOTES", default=True)


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


def sandbox_folder(env: Env) -> str:
    """A sandbox of its own for each connections file: their ledgers never meet."""
    named = env.str("ORDERBRIDGE_CONNECTIONS", "")
    return f"sandbox-{Path(named).stem}" if named else "sandbox"
