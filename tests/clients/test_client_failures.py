"""Every failure becomes one of ours, and only what cannot have been sent is certain."""

import pickle
import socket

import httpx
import pytest
from one_call import OK, ask, post, raw_server, self_signed

from clients.errors import (
    ConnectionFault,
    Dropped,
    Garbled,
    Misconfigured,
    RemoteError,
    TimedOut,
    Transient,
    Uncertain,
    Unreachable,
)
from clients.failures import translated


def subclasses(kind):
    return {kind}.union(*(subclasses(sub) for sub in kind.__subclasses__()))


ALL_HTTPX = sorted(
    subclasses(httpx.HTTPError) | subclasses(httpx.StreamError) | {httpx.InvalidURL},
    key=lambda kind: kind.__name__,
)


def made(kind):
    request = httpx.Request("POST", "https://x.test")
    if kind is httpx.HTTPStatusError:
        return kind("boom", request=request, response=httpx.Response(500, request=request))
    try:
        return kind("boom")
    except TypeError:
        return kind()


def raising(error):
    def handler(request):
        raise error

    return handler


@pytest.mark.parametrize("kind", ALL_HTTPX)
def test_every_httpx_error_becomes_one_of_ours(kind):
    with pytest.raises(RemoteError) as caught:
        post(raising(made(kind)))
    error = caught.value
    assert isinstance(error, Transient | Uncertain | ConnectionFault)
    assert "httpx" not in f"{type(error).__module__} {error}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


CERTAIN = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError",
    "UnsupportedProtocol", "LocalProtocolError", "InvalidURL",
}  # fmt: skip


@pytest.mark.parametrize("kind", ALL_HTTPX)
def test_only_what_cannot_have_been_sent_is_certain(kind):
    error = translated(made(kind), "x.test")
    assert isinstance(error, Uncertain) == (kind.__name__ not in CERTAIN)


@pytest.mark.parametrize("kind", ALL_HTTPX)
def test_once_a_status_has_come_nothing_is_certain(kind):
    assert isinstance(translated(made(kind), "x.test", status=200), Uncertain)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("x"), Unreachable),
        (httpx.PoolTimeout("x"), Unreachable),
        (httpx.ReadTimeout("x"), TimedOut),
        (httpx.WriteTimeout("x"), TimedOut),
        (httpx.ReadError("x"), Dropped),
        (httpx.RemoteProtocolError("x"), Dropped),
        (httpx.DecodingError("x"), Garbled),
        (httpx.InvalidURL("x"), Misconfigured),
    ],
)
def test_what_a_failure_is_called(raised, kind):
    assert type(translated(raised, "x.test")) is kind


@pytest.mark.parametrize(
    "chunks",
    [[], [b"HTTP/1.1 200 OK\r\n"], [OK, b"12345"], [b"no HTTP at all\r\n\r\n"]],
    ids=["nothing", "half a head", "half a body", "rubbish"],
)
def test_a_broken_off_answer_is_uncertain(chunks):
    with raw_server(*chunks) as port, pytest.raises(Dropped):
        ask(port)


def test_no_listener_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable):
        ask(port)


def test_a_foreign_certificate_is_the_connections_fault(tmp_path):
    with (
        raw_server(context=self_signed(tmp_path)) as port,
        pytest.raises(Misconfigured, match="TLS"),
    ):
        ask(port, scheme="https")


def test_tls_to_a_plain_port_is_the_connections_fault():
    with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(Misconfigured):
        ask(port, scheme="https")
