"""Which names a setting may have. One that looks like ours and is none would be ignored without a word.

In: the names that are set, and those that a connections file refers to. Out: nothing, or `SettingsError`,
which says what was probably meant. Called by settings at every start, and by the tests, which must see none
of a developer's. What is read by a new name is added here; a test compares this with what the code reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches

from connections_file import SettingsError
from default_pair import OPTIONS, VARIABLES

# A setting of ours begins so, whoever else may be called alike.
PREFIXES = ("ORDERBRIDGE_", "OKLIVING_", "ONEBOX_", "CREATEORDER_", "OCP_", "GATEWAY_", "FLOWER_")
# Those of them that nobody else would think of.
UNMISTAKABLE = ("ORDERBRIDGE_", "OKLIVING_", "ONEBOX_", "CREATEORDER_")

# The systems that are still to come: a configuration that is prepared for them is no mistake.
LATER = frozenset({"OCP_URL", "OCP_PROVIDER_ID", "OCP_TOKEN"})
# What may stand in a file that NAME_FILE names (references.given).
BY_FILE = frozenset(
    {
        *VARIABLES,
        *(name for names in OPTIONS.values() for name in names),
        *LATER,
        "DATABASE_URL",
        "REDIS_URL",
        "ORDERBRIDGE_SECRET_KEY",
        "ORDERBRIDGE_API_KEYS",
        "ORDERBRIDGE_NOTIFY",
        "ORDERBRIDGE_HEARTBEAT_URL",
        "FLOWER_BASIC_AUTH",
        "FLOWER_COOKIE_SECRET",
    }
)
# What `orderbridge run` records for others; a person may have read it into the environment.
RECORDED = frozenset({"ORDERBRIDGE_RUN_PID", "GATEWAY_URL", "FLOWER_URL", "FLOWER_PASSWORD_FILE"})
# What Compose reads.
COMPOSE = frozenset({"ORDERBRIDGE_DOMAIN"})
NAMES = (
    BY_FILE
    | RECORDED
    | COMPOSE
    | {
        "ORDERBRIDGE_DOTENV",
        "ORDERBRIDGE_DATA",
        "ORDERBRIDGE_CONNECTIONS",
        "ORDERBRIDGE_LANGUAGE",
        "ORDERBRIDGE_MODE",
        "ORDERBRIDGE_NOTIFY_NO_ORDERS_HOURS",
        "ORDERBRIDGE_START_FROM",
        "ORDERBRIDGE_PROFILE",
        "ORDERBRIDGE_SANDBOX",
        "ORDERBRIDGE_SUPERVISED",
        "ORDERBRIDGE_CALLS_REMOTES",
        "ORDERBRIDGE_RETENTION_DAYS",
        "ORDERBRIDGE_HELD_RETENTION_DAYS",
        "ORDERBRIDGE_ANSWER_RETENTION_DAYS",
        "DATABASE_INSECURE",
        "REDIS_INSECURE",
        "FETCH_INTERVAL",
        "SWEEP_INTERVAL",
        "POLL_OVERLAP",
        "POLL_LAG",
        "UNCERTAIN_WAIT",
        "VISIBILITY_TIMEOUT",
        "GATEWAY_RATE",
        "FLOWER_ADDRESS",
        "FLOWER_PORT",
    }
)

# How alike names must be (difflib's ratio, and letters more or less) where only that speaks for a mistake:
# REDIS_URI is meant for REDIS_URL, DATABASE_USER and BOX_PASSWORD are not for us.
ALIKE, LETTERS = 0.885, 2
# What Kubernetes sets for each service that is called as our systems are, and Docker for a link.
_SERVICE = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w{1,60})?|PORT_\d{1,5}_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$"
)
_SERVICE_URL = ("tcp://", "udp://", "sctp://")


def refuse_unknown(
    dotenv: Mapping[str, str | None], referred: Callable[[], Collection[str]]
) -> None:
    """Refuse names in the environment, and in `.env`, that are no settings though they look it, unless a
    connections file refers to them, which is only asked then. Raises SettingsError.
    """
    doubted = [
        (name, place)
        for name, place in _set(dotenv)
        if not _is_known(name) and _looks_ours(name, place)
    ]
    if not doubted:
        return
    named = {form for name in referred() for form in (name, f"{name}_FILE")}
    told = [
        f"{name} in {place} is no setting. {_meant(name)}"
        for name, place in doubted
        if name not in named
    ]
    if told:
        raise SettingsError(" ".join(told))


def is_ours(name: str) -> bool:
    """Whether a variable of this name may change what this system does."""
    return name in NAMES or name.removesuffix("_FILE") in NAMES or name.startswith(PREFIXES)


def _set(dotenv: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Each name that is set to something, with its place."""
    yield from ((name, ".env") for name, value in dotenv.items() if value)
    yield from (
        (name, "the environment")
        for name, value in sorted(os.environ.items())
        if value and name not in dotenv
    )


def _is_known(name: str) -> bool:
    return name in NAMES or (name.endswith("_FILE") and name.removesuffix("_FILE") in BY_FILE)


def _looks_ours(name: str, place: str) -> bool:
    upper = name.upper()
    if upper.startswith(PREFIXES):
        is_link = _SERVICE.search(name) or os.environ.get(name, "").startswith(_SERVICE_URL)
        return not (is_link or (name.startswith("FLOWER_") and _is_of_flower(name)))
    near = _slip(upper)
    # Others may have a DATABASE_URI in the environment; what stands in our file is for us.
    return near is not None and (place == ".env" or near.startswith(UNMISTAKABLE))


def _is_of_flower(name: str) -> bool:
    """Whether Flower itself takes this. Only asked where such a name is set."""
    from flower.options import default_options  # noqa: PLC0415  a third of a second

    return name.removeprefix("FLOWER_").lower() in default_options


def _meant(name: str) -> str:
    """What was probably meant: by the rest behind the prefix, since the prefix alone makes all alike."""
    upper = name.upper()
    prefix = next((one for one in PREFIXES if upper.startswith(one)), "")
    choices = {one: one for one in NAMES}
    choices |= {one.removeprefix(prefix): one for one in NAMES if prefix and one.startswith(prefix)}
    if upper.endswith("_FILE") and (base := upper.removesuffix("_FILE")) in NAMES:
        return f"{base} is given as it is, in no file."
    near = _near(upper.removeprefix(prefix), choices, 0.6) or _slip(upper)
    if near is None:
        return "docs/configuration.md has those that there are; remove it."
    return f"Did you mean {choices[near]}?"


def _slip(name: str) -> str | None:
    """The setting that was probably meant by a name that is nearly the same as a whole."""
    return _near(name, [one for one in NAMES if abs(len(one) - len(name)) <= LETTERS], ALIKE)


def _near(name: str, among: Collection[str], cutoff: float) -> str | None:
    return next(iter(get_close_matches(name, among, 1, cutoff)), None)
