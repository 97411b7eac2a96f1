"""What keeps a box's calls from arriving is said, without a secret."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace

import pytest

from connectors.onebox_doorbell import BoxDoorbell
from simulator.hostile import SHOWN

SECRET = "hook-secret-0001"


def doorbell(**own):
    settings = {"hook_secrets": (SECRET,), "hook_hmac_key": None, "hook_addresses": ()} | own
    one = SimpleNamespace(where=lambda key: f"box.{key}")
    return BoxDoorbell(one, SimpleNamespace(**settings))


@pytest.mark.parametrize(
    ("address", "word"),
    [
        (f"https://gateway.example/hooks/onebox/{SECRET}", None),
        (f"http://127.0.0.1:8000/hooks/onebox/{SECRET}", None),
        (f" https://gateway.example:8443/hooks/onebox/{SECRET} ", None),
        (None, None),
        (f"http://gateway.example/hooks/onebox/{SECRET}", "in the clear"),
        ("https://gateway.example/hooks/onebox/hook-secret-0002", "is none of box.hook_secrets"),
        (f"https://gateway.example/hook/onebox/{SECRET}", "path must be"),
        (f"https://gateway.example/hooks/onebox/{SECRET}/", "path must be"),
        ("https://gateway.example/hooks/onebox/", "path must be"),
        ("https://gateway.example", "path must be"),
        (f"https://gateway.example/hooks/onebox/{SECRET}?a=1", "after a ? or #"),
        (f"gateway.example/hooks/onebox/{SECRET}", "must begin with https"),
        (f"ftp://gateway.example/hooks/onebox/{SECRET}", "must begin with https"),
        ("https://[::1", "no URL"),
        ("https://gateway.example:abc/", "no URL"),
        ("", "must begin with https"),
    ],
)
def test_an_address_is_right_or_is_told_what_is_wrong(address, word):
    wrong = doorbell().faults(address)
    assert (len(wrong), word is None or word in wrong[0]) == (int(word is not None), True)
    assert not any(SECRET in one or "hook-secret-0002" in one for one in wrong)


@pytest.mark.parametrize("trick", SHOWN)
def test_no_address_is_repeated(trick):
    for address in (SHOWN[trick], f"https://x/hooks/onebox/{SHOWN[trick]}"):
        assert all(SHOWN[trick] not in one for one in doorbell().faults(address))


def test_without_a_secret_the_hook_is_said_to_answer_404():
    (wrong,) = doorbell(hook_secrets=()).faults(None)
    assert "box.hook_secrets is not set" in wrong
    assert "404" in wrong


def test_a_signature_and_addresses_are_demanded_in_words():
    assert doorbell().demands() == []
    nets = (ipaddress.ip_network("203.0.113.0/24"),)
    signed, listed = doorbell(hook_hmac_key="key-of-the-box", hook_addresses=nets).demands()
    assert "X-Signature" in signed
    assert "203.0.113.0/24" in listed
    assert "key-of-the-box" not in signed
