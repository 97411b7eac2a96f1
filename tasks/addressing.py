"""Whom an order's own tenant wants told of it, and the secret that signs it, sealed while it is kept.

In: the settings, a secret or an order's id. Out: the sealed secret, or the addressee. Fails with
`SettingsError` where no key is set that seals, or another one than sealed it, and with `LedgerUnavailable`.
Called by desk/loading, and by the connectors through their `Means`.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken

from clients.cipher import cipher_for
from connections_file import SettingsError
from connectors.ports import Addressee
from ledger import tenants
from ledger.database import Ledger
from settings import Settings

# In a sandbox nothing is secret, and it works without being set up.
_OF_SANDBOX = "sandbox"
_WHAT_FOR = "callback"


def seal(chosen: Settings, text: str) -> bytes:
    """The secret as it is kept. Raises SettingsError."""
    return _cipher(chosen).encrypt(text.encode())


def unsealed(chosen: Settings, sealed: bytes) -> str | None:
    """The secret again; None where another key sealed it. Raises SettingsError."""
    try:
        return _cipher(chosen).decrypt(sealed).decode()
    except InvalidToken:
        return None


def addressee(ledger: Ledger, chosen: Settings, order_id: str) -> Addressee | None:
    """Who is told of this order, whose id begins with its tenant's name; None: nobody. Raises SettingsError
    where the secret cannot be read: nobody is told without it.
    """
    found = tenants.addressee(ledger, order_id.rpartition("-")[0])
    if found is None or found.sealed_secret is None:
        return None
    secret = unsealed(chosen, found.sealed_secret)
    if secret is None:
        raise SettingsError(
            f"The callback_secret of {found.tenant} was sealed with another ORDERBRIDGE_SECRET_KEY. Load "
            "its file again: `orderbridge load FILE`."
        )
    return Addressee(found.tenant, found.url, secret)


def _cipher(chosen: Settings) -> Fernet:
    key = chosen.secret_key or (_OF_SANDBOX if chosen.sandbox else None)
    if key is None:
        raise SettingsError(
            "ORDERBRIDGE_SECRET_KEY is not set: the callback_secret of a tenant is kept only encrypted. Set "
            "it for all processes to a long random text."
        )
    return cipher_for(key, "", _WHAT_FOR, "")
