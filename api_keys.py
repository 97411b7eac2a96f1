"""Keys of the gateway: who may call it, what each key may do, and for which connections.

In: `ORDERBRIDGE_API_KEYS`, and the text of the file that `orderbridge key new` writes in the data folder.
Out: keys with digests in place of their secrets. A key is random and long, so a plain SHA-256 of it is as
safe to keep as a slow one. Raises SettingsError with one sentence that never shows a secret. Called by
settings.py, the gateway, `orderbridge run` and `orderbridge key`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from connections_file import SettingsError, suggestion

VARIABLE = "ORDERBRIDGE_API_KEYS"
# What a key may do; one that names nothing may do all.
SCOPES = ("updates:write", "updates:read", "orders:read")
EVERYTHING = frozenset(SCOPES)
# Who acts by other doors: a key of such a name would pass for them in the history and in what they wrote.
RESERVED = frozenset({"celery", "cli", "http", "local", "onebox", "onebox-hook"})
# Characters of a secret: a guess at 24 random ones is hopeless (OWASP ASVS 5.0, 11.5.1 asks for 128 bits).
SHORTEST = 24
# What can be said after `Bearer` (RFC 6750, 2.1) and stand in the variable.
SECRET = re.compile(r"[!-+\--9;<>-~]+=*")
# The caller's name stands in the ledger after `http:`, in 64 characters.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,57}")
# Before a digest in the variable, where otherwise the secret itself stands; before a connection's name.
DIGEST, CONNECTION = "sha256=", "@"
# Below the data folder.
FILE = "keys.json"
NO_KEYS = (
    "The gateway of real systems serves nobody without a key: `orderbridge key new NAME` makes one, or set "
    f"{VARIABLE} to name:key."
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. `connections` are those that it is for; None: all."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str] = EVERYTHING
    connections: frozenset[str] | None = None

    def is_for(self, connection: str) -> bool:
        """Whether it may know of this connection."""
        return self.connections is None or connection in self.connections


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def made(name: str, scopes: Iterable[str], connections: Iterable[str]) -> tuple[str, ApiKey]:
    """A new secret and its key."""
    secret = f"ob_{secrets.token_urlsafe(32)}"
    return secret, _key(name, digest_of(secret), [*scopes], [*connections], "The key")


def listed(text: str) -> tuple[ApiKey, ...]:
    """The keys of the variable: `name:key`, or `name:key:scope+scope+@connection`, comma separated."""
    parts = [part.strip() for part in text.split(",")]
    return distinct(
        _of_variable(part, number) for number, part in enumerate(filter(None, parts), 1)
    )


def kept(path: Path) -> tuple[ApiKey, ...]:
    """The keys of the file; none where there is no file."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise SettingsError(f"{path} cannot be read: {exc.strerror}.") from exc
    try:
        return distinct(
            _key(
                row["name"],
                _digest(row["sha256"]),
                row["scopes"],
                row["connections"] or [],
                str(path),
            )
            for row in json.loads(text)["keys"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SettingsError(
            f"{path} is not as `orderbridge key new` writes it: mend it, or move it away and make new keys."
        ) from exc


def as_file(keys: Iterable[ApiKey]) -> str:
    """The file of these keys."""
    rows = [
        {
            "name": key.name,
            "sha256": key.digest.hex(),
            "scopes": sorted(key.scopes),
            "connections": None if key.connections is None else sorted(key.connections),
        }
        for key in keys
    ]
    return json.dumps({"keys": rows}, indent=2) + "\n"


def as_variable(key: ApiKey) -> str:
    """The key as it may stand in the variable, by its digest."""
    may = [] if key.scopes == EVERYTHING else sorted(key.scopes)
    may += [f"{CONNECTION}{name}" for name in sorted(key.connections or ())]
    return ":".join([key.name, DIGEST + key.digest.hex(), *(["+".join(may)] if may else [])])


def distinct(keys: Iterable[ApiKey]) -> tuple[ApiKey, ...]:
    """These keys. Raises SettingsError for a name or a secret that is there twice."""
    found = tuple(keys)
    by_digest: dict[bytes, str] = {}
    for number, key in enumerate(found):
        if any(key.name == other.name for other in found[:number]):
            raise SettingsError(
                f"Two API keys are called {key.name!r}: give each a name of its own, also the two of a "
                f"rotation ({VARIABLE}, {FILE} in the data folder)."
            )
        if key.digest in by_digest:
            raise SettingsError(
                f"The API keys {by_digest[key.digest]!r} and {key.name!r} are one and the same: nobody could "
                "say who calls."
            )
        by_digest[key.digest] = key.name
    return found


def _of_variable(part: str, number: int) -> ApiKey:
    name, _, rest = part.partition(":")
    secret, limited, may = rest.partition(":")
    # By its number: in a pair that was written the wrong way round the name is the secret.
    where = f"{VARIABLE}, pair {number}"
    if not (name and secret):
        raise SettingsError(f"{where}: what is wanted is name:key, or name:key:scope+scope.")
    if secret.startswith(DIGEST):
        try:
            digest = _digest(secret.removeprefix(DIGEST))
        except ValueError as exc:
            raise SettingsError(f"{where}: {DIGEST} is followed by 64 hexadecimal digits.") from exc
    else:
        if len(secret) < SHORTEST or not SECRET.fullmatch(secret):
            raise SettingsError(
                f"{where}: a key has at least {SHORTEST} printable ASCII characters without blanks, commas "
                "and colons; `orderbridge key new NAME` makes one."
            )
        digest = digest_of(secret)
    limits = may.split("+") if limited else []
    return _key(
        name,
        digest,
        [limit for limit in limits if not limit.startswith(CONNECTION)],
        [limit.removeprefix(CONNECTION) for limit in limits if limit.startswith(CONNECTION)],
        where,
    )


def _digest(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != hashlib.sha256().digest_size:
        raise ValueError(text)
    return found


def _key(name: str, digest: bytes, scopes: list[str], connections: list[str], where: str) -> ApiKey:
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{where}: the name of a key has 1 to 58 letters, digits, dots, dashes and low lines."
        )
    if name.lower() in RESERVED:
        raise SettingsError(
            f"{where}: {name!r} is what another door is called; name the key after its caller."
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise SettingsError(f"{where}: there is no such scope. {suggestion(scope, SCOPES)}")
    if "" in connections:
        raise SettingsError(f"{where}: {CONNECTION} is followed by the name of a connection.")
    return ApiKey(
        name,
        digest,
        frozenset(scopes) or EVERYTHING,
        frozenset(connections) if connections else None,
    )
