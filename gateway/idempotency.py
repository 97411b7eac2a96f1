"""The name that a caller gives his request, so that a repeat is known as the same: `Idempotency-Key`.

In: the current request, whose caller is known. Out: the name under his own, as the ledger keeps it, or None
where he gave none. Raises `BadKey` for what is no name. Called by the doors that take orders and updates.
"""

from __future__ import annotations

import hashlib
import re

from flask import current_app, g, request

HEADER = "Idempotency-Key"
# What the ledger keeps of a key.
LONGEST_KEY = 200
# Printable ASCII; blanks at its ends would not survive HTTP.
KEY_PATTERN = "^[!-~]([ -~]{0,198}[!-~])?$"
KEY_FORM = "1 to 200 printable ASCII characters."
_KEY = re.compile(KEY_PATTERN)


class BadKey(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The header says something else than a name."""


def scoped_key() -> str | None:
    """The caller's key, under the caller's name: two callers never meet in one key."""
    given = request.headers.get(HEADER)
    if given is None:
        return None
    if not _KEY.fullmatch(given):
        raise BadKey
    # The names of targets stand before what their hooks say.
    targets = current_app.config["RESOURCES"].targets
    caller = f"http:{g.caller}" if g.caller in targets else g.caller
    key = f"{caller}:{given}"
    if len(key) <= LONGEST_KEY:
        return key
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()
