"""The address at which a OneBox calls us: whether it can work as it is set.

In: the box's own settings, and an address as somebody put it into an action. Out: sentences for people, which
never repeat a secret. Pure; nothing fails. Source: docs/onebox-action.md; gateway/hook.py serves it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from connection import LOOPBACK, Connection
from connectors.onebox_settings import OneBoxSettings

PATH = "/hooks/onebox"


@dataclass(frozen=True, slots=True)
class BoxDoorbell:
    """The hook of one box."""

    one: Connection
    own: OneBoxSettings

    def faults(self, address: str | None) -> list[str]:
        wrong = []
        if not self.own.hook_secrets:
            wrong.append(
                f"{self.one.where('hook_secrets')} is not set, so the hook answers 404. Set a secret where "
                "the gateway runs and restart it."
            )
        return wrong if address is None else [*wrong, *self._faults_of(address)]

    def demands(self) -> list[str]:
        said = []
        if self.own.hook_hmac_key is not None:
            said.append(
                "Calls must be signed (hook_hmac_key): header X-Signature, sha256= and the hex HMAC-SHA256 "
                "of the body."
            )
        if self.own.hook_addresses:
            nets = ", ".join(map(str, self.own.hook_addresses))
            said.append(f"Calls are taken from {nets} alone (hook_addresses).")
        return said

    def _faults_of(self, address: str) -> list[str]:
        try:
            parts = urlsplit(address.strip())
            host = parts.hostname or ""
            _ = parts.port
        except ValueError:
            return ["The address is no URL."]
        if parts.scheme not in {"http", "https"} or not host:
            return ["The address must begin with https:// and the name of the gateway."]
        wrong = []
        if parts.scheme == "http" and host not in LOOPBACK:
            wrong.append(
                "The address begins with http://, so the secret travels in the clear: use https."
            )
        if parts.query or parts.fragment:
            wrong.append("The address ends with the secret; what stands after a ? or # must go.")
        path, _, secret = parts.path.rpartition("/")
        if path != PATH or not secret:
            wrong.append(f"The path must be {PATH}/ and the secret, with no / after it.")
        elif self.own.hook_secrets and not self._is_known(unquote(secret)):
            wrong.append(
                f"The secret in the address is none of {self.one.where('hook_secrets')}: such a call is "
                "answered 404."
            )
        return wrong

    def _is_known(self, secret: str) -> bool:
        given = secret.encode(errors="replace")
        return any(hmac.compare_digest(given, one.encode()) for one in self.own.hook_secrets)
