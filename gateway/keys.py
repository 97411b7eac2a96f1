"""Who may come in: keys by `Authorization: Bearer`, or, in a sandbox without keys, callers on this machine.

In: the keys of the settings and of the file beside them, which is read again when it changed. Out: the key's
name; the key itself stands in `g.key`, and gateway/rights.py says what it may. All digests are compared in
constant time. Refuses with 401, and with 403 what a key is not for and who is not local. Called by the doors
that take a key, and with secrets of their own by those that take another. docs/http.md has the rules.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping

import structlog
from flask import g, request

import api_keys
from api_keys import ApiKey, digest_of
from connections_file import SettingsError
from gateway.addresses import is_loopback
from gateway.errors import Refusal
from gateway.tries import WrongSecret
from settings import Settings

# Who calls when there are no keys.
LOCAL = ApiKey("local", b"")
# What proxies add, besides all that begins with X-Forwarded, in the variables of WSGI.
FORWARDED = frozenset(
    {
        "HTTP_CF_CONNECTING_IP",
        "HTTP_CLIENT_IP",
        "HTTP_FORWARDED",
        "HTTP_TRUE_CLIENT_IP",
        "HTTP_VIA",
        "HTTP_X_CLIENT_IP",
        "HTTP_X_CLUSTER_CLIENT_IP",
        "HTTP_X_ORIGINAL_FORWARDED_FOR",
        "HTTP_X_ORIGINAL_HOST",
        "HTTP_X_REAL_IP",
    }
)
ANY_FORWARDED = "HTTP_X_FORWARDED"

log = structlog.get_logger()


class Keyring:
    """Secrets by name, none of them in clear."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._digests = {name: digest_of(secret) for name, secret in secrets.items()}

    def owner(self, presented: str) -> str | None:
        """Whose secret this is, or None; takes the same time whichever it is."""
        found = None
        digest = digest_of(presented)
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


class Callers:
    """Those who may call. Raises SettingsError at first for a file that cannot be read; later the keys that
    were read last count on.
    """

    def __init__(self, chosen: Settings) -> None:
        self._chosen = chosen
        self._stamp = self._stamp_now()
        self._keys = self._read()

    @property
    def keyless(self) -> bool:
        """Whether callers on this machine come in without a key: the sandbox's alone."""
        return self._chosen.sandbox and not self.keys()

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys as they are now."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = self._read()
            except SettingsError as exc:
                log.error("key_file_refused", reason=str(exc))  # noqa: TRY400  the sentence says it all
        return self._keys

    def owner(self, presented: str) -> ApiKey | None:
        """Whose key this is, or None; takes the same time whichever it is."""
        found = None
        digest = digest_of(presented)
        for key in self.keys():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _read(self) -> tuple[ApiKey, ...]:
        return api_keys.distinct((*self._chosen.api_keys, *api_keys.kept(self._chosen.key_file)))

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self._chosen.key_file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def by_key(chosen: Settings) -> Callable[[], str]:
    """Lets in who brings one of the API's keys; in a sandbox without keys, callers on this machine."""
    callers = Callers(chosen)

    def admit() -> str:
        g.key = _local() if callers.keyless else _bearer(callers)
        name: str = g.key.name
        return name

    return admit


def everyone() -> None:
    """Lets everyone in: for doors that show figures only."""


def directly(chosen: Settings) -> Callable[[], None]:
    """While no key is needed nobody comes from elsewhere: refuses what a proxy passed on, at every door."""
    callers = Callers(chosen)

    def demand() -> None:
        if callers.keyless and _was_forwarded():
            raise Refusal(
                403,
                "The sandbox takes nothing through a proxy: make a key (`orderbridge key new NAME`) first.",
            )

    return demand


def _bearer(callers: Callers) -> ApiKey:
    given = request.authorization
    token = given.token if given is not None and given.type == "bearer" else None
    key = callers.owner(token) if token else None
    if key is not None:
        return key
    kind = WrongSecret if token else Refusal
    raise kind(
        401,
        "A valid key is needed: Authorization: Bearer KEY.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _local() -> ApiKey:
    # A page in a browser on this machine reaches us under a name of its own: its Host gives it away.
    if not (is_loopback(request.remote_addr) and is_loopback(_host())):
        raise Refusal(
            403, "Without keys (ORDERBRIDGE_API_KEYS) only callers on this machine come in."
        )
    return LOCAL


def _was_forwarded() -> bool:
    return any(name in FORWARDED or name.startswith(ANY_FORWARDED) for name in request.environ)


def _host() -> str:
    host = request.host
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
