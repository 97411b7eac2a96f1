"""The cipher of tokens at rest: every process derives the same for a connection, and none is stored.

Change here what it is derived from; tokens sealed before are then as good as absent. In: secrets, and which
connection it is for. Out: a cipher. Fails with ValueError without a secret. Called by the connectors.
"""

import base64

import orjson
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def cipher_for(secret_key: str | None, connection_secret: str, name: str, url: str) -> Fernet:
    """The cipher of one connection's tokens: of ORDERBRIDGE_SECRET_KEY, else of the connection's own secret.

    `name` and `url` go into the key, since Fernet binds a text to nothing: whoever may write to Redis could
    else put the token of one system where another's is looked for, and we would hand it to that other.
    All processes derive the same (docs/architecture.md, "Invariants", 7). ValueError when both are empty.
    """
    source = secret_key or connection_secret
    if not source:
        raise ValueError("neither ORDERBRIDGE_SECRET_KEY nor a secret of the connection is set")
    # JSON keeps the parts apart, whatever stands in them.
    info = orjson.dumps(["orderbridge token", name, url])
    key = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(source.encode())
    return Fernet(base64.urlsafe_b64encode(key))
