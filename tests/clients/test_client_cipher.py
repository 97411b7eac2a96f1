"""The cipher of tokens: the same in every process, of any secret there is, another for each connection."""

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import assume, given
from hypothesis import strategies as st

from clients.cipher import cipher_for

SHOP = ("shop", "https://shop.test")


def test_the_cipher_is_the_same_in_every_process_and_follows_the_secret_key():
    sealed = cipher_for(None, "connection", *SHOP).encrypt(b"x")
    assert cipher_for("", "connection", *SHOP).decrypt(sealed) == b"x"
    sealed = cipher_for("key", "one", *SHOP).encrypt(b"x")
    assert cipher_for("key", "two", *SHOP).decrypt(sealed) == b"x"
    with pytest.raises(ValueError, match="ORDERBRIDGE_SECRET_KEY"):
        cipher_for(None, "", *SHOP)


@given(st.text(min_size=1))
def test_any_secret_makes_a_cipher(secret):
    assert isinstance(cipher_for(secret, "", *SHOP), Fernet)


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_no_two_connections_share_a_cipher_though_they_share_the_secret(one, other):
    assume(one != other)
    sealed = cipher_for("key", "same", *one).encrypt(b"x")
    with pytest.raises(InvalidToken):
        cipher_for("key", "same", *other).decrypt(sealed)
