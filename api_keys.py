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
SCOPES = ("updates:write", "updates:read", "orders:read", "orders:write")
EVERYTHING = frozenset(SCOPES)
# Who acts by other doors: a key of such a name would pass for them in the history and in what they wrote.
RESERVED = frozenset({"celery", "cli", "http", "local", "onebox", "onebox-hook"})
# Characters of a secret: a guess at 24 random ones is hopeless (OWASP ASVS 5.0, 11.5.1 asks for 128 bits).
SHORTEST = 24
# What can be said after `Bearer` (RFC 6750, 2.1) and stand in the variable.
SECRET = re.compile(r"[!-+\--9;<>-~]+=*")
# The caller's name stands in the ledger after `http:`, in 64 characters.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,57}")
# Before a digest in the variable, where otherwise the secret itself stands; before the name of a connection;
# before that of a tenant.
DIGEST, CONNECTION, TENANT = "sha256=", "@", "tenant="
# A tenant's name (ledger/tenants).
TENANT_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
# Below the data folder.
FILE = "keys.json"
NO_KEYS = (
    "The gateway of real systems serves nobody without a key: `orderbridge key new NAME` makes one, or set "
    f"{VARIABLE} to name:key."
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. `connections` and `tenants` are those that it is for; None: all."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str] = EVERYTHING
    connections: frozenset[str] | None = None
    tenants: frozenset[str] | None = None

    def is_for(self, connection: str) -> bool:
        """Whether it may know of this connection."""
        return self.connections is None or connection in self.connections

    def is_for_tenant(self, name: str) -> bool:
        """Whether it may know of this tenant's orders; the case of letters is no difference."""
        return self.tenants is None or name.lower() in {one.lower() for one in self.tenants}


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def made(
    name: str, scopes: Iterable[str], connections: Iterable[str], tenants: Iterable[str] = ()
) -> tuple[str, ApiKey]:
    """A new secret and its key."""
    secret = f"ob_{secrets.token_urlsafe(32)}"
    limits = _Limits([*scopes], [*connections], [*tenants])
    return secret, _key(name, digest_of(secret), limits, "The key")


def listed(text: str) -> tuple[ApiKey, ...]:
    """The keys of the variable, comma separated: `name:key`, or `name:key:scope+@connection+tenant=name` with
    as many of each as are meant.
    """
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
                _Limits(row["scopes"], row["connections"] or [], row.get("tenants") or []),
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
            # Of a key that may do all it is said so: it may do what there will be, too.
            "scopes": _named(key),
            "connections": None if key.connections is None else sorted(key.connections),
            "tenants": None if key.tenants is None else sorted(key.tenants),
        }
        for key in keys
    ]
    return json.dumps({"keys": rows}, indent=2) + "\n"


def as_variable(key: ApiKey) -> str:
    """The key as it may stand in the variable, by its digest."""
    may = _named(key)
    may += [f"{CONNECTION}{name}" for name in sorted(key.connections or ())]
    may += [f"{TENANT}{name}" for name in sorted(key.tenants or ())]
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
    return _key(name, digest, _limits(may.split("+") if limited else []), where)


def _named(key: ApiKey) -> list[str]:
    """Its scopes; none for a key that may do all."""
    return [] if key.scopes == EVERYTHING else sorted(key.scopes)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a key is narrowed to, as it was written; nothing: it is not."""

    scopes: list[str]
    connections: list[str]
    tenants: list[str]


def _limits(parts: list[str]) -> _Limits:
    found = _Limits([], [], [])
    for part in parts:
        if part.startswith(CONNECTION):
            found.connections.append(part.removeprefix(CONNECTION))
        elif part.startswith(TENANT):
            found.tenants.append(part.removeprefix(TENANT))
        else:
            found.scopes.append(part)
    return found


def _digest(text: str) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != hashlib.sha256().digest_size:
        raise ValueError(text)
    return found


def _key(name: str, digest: bytes, limits: _Limits, where: str) -> ApiKey:
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{where}: the name of a key has 1 to 58 letters, digits, dots, dashes and low lines."
        )
    if name.lower() in RESERVED:
        raise SettingsError(
            f"{where}: {name!r} is what another door is called; name the key after its caller."
        )
    for scope in limits.scopes:
        if scope not in SCOPES:
            raise SettingsError(f"{where}: there is no such scope. {suggestion(scope, SCOPES)}")
    if "" in limits.connections:
        raise SettingsError(f"{where}: {CONNECTION} is followed by the name of a connection.")
    if not all(map(TENANT_NAME.fullmatch, limits.tenants)):
        raise SettingsError(
            f"{where}: the name of a tenant has 1 to 40 Latin letters, digits, dots, dashes and low lines."
        )
    return ApiKey(
        name,
        digest,
        frozenset(limits.scopes) or EVERYTHING,
        frozenset(limits.connections) or None,
        frozenset(limits.tenants) or None,
    )
