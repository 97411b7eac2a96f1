"""A call's total time: it ends with it however the bytes drip in, and is not delivered afterwards."""

import contextlib
import socket
import time

import httpx
import pytest
from one_call import OK, ask, raw_server, self_signed

from clients.base import HttpTransport
from clients.deadline import Deadline
from clients.errors import TimedOut, Unreachable


def test_with_no_time_left_nothing_is_sent():
    deadline = Deadline(1.0)
    deadline.at -= 0.95
    with (
        HttpTransport("https://x.test", transport=httpx.MockTransport(pytest.fail)) as http,
        pytest.raises(Unreachable, match="nothing was sent"),
    ):
        http.post_json("/", {}, {}, deadline)


@pytest.mark.parametrize(
    "chunks",
    [
        [OK, *[b"1"] * 10],
        [bytes([byte]) for byte in OK] + [b"1" * 10],
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 20,
        [b""] * 20,
    ],
    ids=["body", "headers", "interim answers", "silence"],
)
def test_a_slow_drip_does_not_outlive_the_time_out(chunks):
    """Each byte comes well within the time-out; the whole answer does not."""
    with raw_server(*chunks, pause=0.15) as port:
        begun = time.monotonic()
        with pytest.raises(TimedOut):
            ask(port, 0.5)
        assert time.monotonic() - begun < 2.5  # the drip itself lasts 3 s


def test_a_slow_drip_inside_tls_does_not_outlive_the_time_out(tmp_path, monkeypatch):
    context = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    with raw_server(OK, *[b"1"] * 10, pause=0.15, context=context) as port:
        begun = time.monotonic()
        with pytest.raises(TimedOut):
            ask(port, 0.5, "https")
        assert time.monotonic() - begun < 1.2


def test_a_call_given_up_is_not_delivered_later():
    """The body fits into our kernel's buffer and not into the remote's: it is on its way when we give up."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        door.bind(("127.0.0.1", 0))
        door.listen(1)
        port = door.getsockname()[1]
        payload = {"text": "x" * 300_000}
        with HttpTransport(f"http://127.0.0.1:{port}") as http, pytest.raises(TimedOut):
            http.post_json("/", payload, {}, Deadline(0.5))
        taken, _ = door.accept()
        received = b""
        with taken:
            taken.settimeout(2)
            with contextlib.suppress(ConnectionResetError, TimeoutError):
                while chunk := taken.recv(65536):
                    received += chunk
    assert len(received) < 300_000
