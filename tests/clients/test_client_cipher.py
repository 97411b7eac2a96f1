"""The cipher of tokens: the same in every process, of any secret there is."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from clients.cipher import cipher_for


def test_the_cipher_is_the_same_in_every_process_and_follows_the_secret_key():
    sealed = cipher_for(None, "connection").encrypt(b"x")
    assert cipher_for("", "connection").decrypt(sealed) == b"x"
    sealed = cipher_for("key", "one").encrypt(b"x")
    assert cipher_for("key", "two").decrypt(sealed) == b"x"
    with pytest.raises(ValueError, match="ORDERBRIDGE_SECRET_KEY"):
        cipher_for(None, "")


@given(st.text(min_size=1))
def test_any_secret_makes_a_cipher(secret):
    assert isinstance(cipher_for(secret, ""), Fernet)
