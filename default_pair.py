"""The shop, the CRM and the door for orders that the environment's variables make without a connections file.

In: which of its variables are set. Out: entries, as a connections file would have them. Fails with
`SettingsError` for a half-filled pair. Called by settings, and by who must know what is meant by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connections_file import ENVIRONMENT, Entry, SettingsError
from references import is_given

ROOT = Path(__file__).resolve().parent
SOURCE, TARGET, INBOX = "okliving", "onebox", "createorder"
PREFIXES = {SOURCE: "okl-", INBOX: "co-"}

# What the pair needs, and what may be set beside. The first word is the kind, the rest its key.
NEEDED = {
    SOURCE: ("OKLIVING_URL", "OKLIVING_CLIENT_ID", "OKLIVING_CLIENT_SECRET"),
    TARGET: (
        "ONEBOX_URL",
        "ONEBOX_LOGIN",
        "ONEBOX_PASSWORD",
        "ONEBOX_WORKFLOW_ID",
        "ONEBOX_STATUS_ID",
    ),
    INBOX: (),
}
OPTIONS = {
    SOURCE: (
        "OKLIVING_PROFILE",
        "OKLIVING_TIMEOUT",
        "OKLIVING_RATE",
        "OKLIVING_CONCURRENCY",
        "OKLIVING_LOGIN_STYLE",
    ),
    TARGET: (
        "ONEBOX_PROFILE",
        "ONEBOX_SOURCE_ID",
        "ONEBOX_TIMEOUT",
        "ONEBOX_RATE",
        "ONEBOX_CONCURRENCY",
        "ONEBOX_PASSWORD_FORM",
        "ONEBOX_BODY_SHAPE",
        "ONEBOX_HOOK_SECRETS",
        "ONEBOX_HOOK_HMAC_KEY",
        "ONEBOX_HOOK_ADDRESSES",
    ),
    INBOX: (
        # Of a service that speaks as our door does: only a connections file has orders sent there.
        "CREATEORDER_URL",
        "CREATEORDER_TENANT",
        "CREATEORDER_TOKEN",
        "CREATEORDER_HONOURS_IDEMPOTENCY",
        "CREATEORDER_ERROR_STATUS",
        "CREATEORDER_PROFILE",
        "CREATEORDER_TIMEOUT",
        "CREATEORDER_RATE",
        "CREATEORDER_CONCURRENCY",
    ),
}
VARIABLES = NEEDED[SOURCE] + NEEDED[TARGET]


def entries(configured: Sequence[str], *, may_lack: bool = False) -> tuple[Entry, ...]:
    """The pair, of which these variables are set: all that are needed, or none; some where it `may_lack` the
    rest.
    """
    missing = [name for name in VARIABLES if name not in configured]
    if configured and missing and not may_lack:
        told = "is missing. Set it" if len(missing) == 1 else "are missing. Set them"
        raise SettingsError(
            f"The configuration is half filled in: {', '.join(missing)} {told} in the environment or in "
            f".env; or unset {', '.join(configured)} to run the sandbox."
        )
    return _source(SOURCE), _entry(TARGET), _source(INBOX)


def default_of(names: Sequence[str]) -> str:
    """Which of these connections is meant where none is named: the only one, else the default pair's.
    Raises SettingsError with the choices.
    """
    if len(names) == 1:
        return names[0]
    if SOURCE in names:
        return SOURCE
    choices = ", ".join(names) or "none: start the sandbox with `make run`"
    raise SettingsError(f"Say which connection is meant: {choices}.")


def _source(name: str) -> Entry:
    entry = _entry(name)
    goes = {"target": TARGET, "external_id_prefix": PREFIXES[name]}
    return replace(entry, values={**entry.values, **goes})


def _entry(name: str) -> Entry:
    given = [*NEEDED[name], *(option for option in OPTIONS[name] if is_given(option))]
    keys = {variable.partition("_")[2].lower(): f"${{{variable}}}" for variable in given}
    return Entry(name, ENVIRONMENT, 0, {"kind": name, **keys}, {}, ROOT)
