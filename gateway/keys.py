"""Who may come in: keys by `Authorization: Bearer`, or nobody but callers on this machine.

In: the configured keys. Out: the key's name. Keys are kept as SHA-256 digests and all of them are compared in
constant time. Refuses with 401, and with 403 when no keys are set and the caller is not local. Called by the
doors that take a key, and with secrets of their own by those that take another.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

from flask import request

from gateway.addresses import is_loopback
from gateway.errors import Refusal
from settings import Settings

# Who calls when there are no keys.
LOCAL = "local"


class Keyring:
    """Secrets by name, none of them in clear."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._digests = {name: _digest(secret) for name, secret in secrets.items()}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, presented: str) -> str | None:
        """Whose secret this is, or None; takes the same time whichever it is."""
        found = None
        digest = _digest(presented)
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def by_key(chosen: Settings) -> Callable[[], str]:
    """Lets in who brings one of the API's keys; without keys, callers on this machine."""
    keyring = Keyring(chosen.api_keys)
    return lambda: _bearer(keyring) if keyring else _local()


def everyone() -> None:
    """Lets everyone in: for doors that show figures only."""


def _bearer(keyring: Keyring) -> str:
    given = request.authorization
    token = given.token if given is not None and given.type == "bearer" else None
    owner = keyring.owner(token) if token else None
    if owner is None:
        raise Refusal(
            401,
            "A valid key is needed: Authorization: Bearer KEY.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return owner


def _local() -> str:
    # A page in a browser on this machine reaches us under a name of its own: its Host gives it away.
    if not (is_loopback(request.remote_addr) and is_loopback(_host())):
        raise Refusal(
            403, "Without keys (ORDERBRIDGE_API_KEYS) only callers on this machine come in."
        )
    return LOCAL


def _host() -> str:
    host = request.host
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
