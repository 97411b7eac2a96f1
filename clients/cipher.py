"""The cipher of tokens at rest: every process derives the same, and none is stored.

Change here what it is derived from; tokens sealed before are then as good as absent. In: secrets. Out: a
cipher. Fails with ValueError without a secret. Called by the connectors.
"""

import base64

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def cipher_for(secret_key: str | None, connection_secret: str) -> Fernet:
    """The cipher of tokens at rest: of ORDERBRIDGE_SECRET_KEY, else of the connection's own secret.

    All processes derive the same (docs/architecture.md, "Invariants", 7). ValueError when both are empty.
    """
    source = secret_key or connection_secret
    if not source:
        raise ValueError("neither ORDERBRIDGE_SECRET_KEY nor a secret of the connection is set")
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"orderbridge token").derive(source.encode())
    return Fernet(base64.urlsafe_b64encode(key))
