"""The heartbeat: one plain call, nowhere else, and not for long."""

from __future__ import annotations

import time

import pytest
from webhook import webhook

from clients.errors import RemoteError
from clients.heartbeat import ping


def test_it_is_a_call_of_the_address_and_nothing_more():
    with webhook() as hook:
        assert ping(f"http://127.0.0.1:{hook.port}/ping/uuid?status=up") == 200
        assert list(hook.calls) == [("GET", "/ping/uuid?status=up", b"")]


def test_it_goes_nowhere_else_and_tells_its_status():
    with webhook() as other, webhook() as hook:
        hook.answer = f"http://127.0.0.1:{other.port}/"
        assert ping(f"http://127.0.0.1:{hook.port}/uuid") == 302
        assert not other.calls


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_one_that_does_not_end_ends_in_time_and_its_error_does_not_show_the_address(answer):
    with webhook() as hook:
        hook.answer = answer
        began = time.monotonic()
        with pytest.raises(RemoteError) as failed:
            ping(f"http://127.0.0.1:{hook.port}/secret-uuid", 0.5)
        assert time.monotonic() - began < 3
        assert "secret-uuid" not in str(failed.value)


def test_a_certificate_of_nobody_is_not_believed():
    """The port speaks no TLS at all, so no certificate is good there."""
    with webhook() as hook, pytest.raises(RemoteError):
        ping(f"https://127.0.0.1:{hook.port}/uuid", 1)
