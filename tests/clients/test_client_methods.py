"""The transport takes any method, with a body or without, and each as it takes a post."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import orjson
import pytest

from clients.base import HttpTransport
from clients.bodies import as_json
from clients.deadline import Deadline
from clients.errors import TimedOut, Unreachable

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Echo(BaseHTTPRequestHandler):
    """Answers with what came over a real connection."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        length = self.headers["Content-Length"]
        said = orjson.dumps(
            {
                "method": self.command,
                "path": self.path,
                "length": length,
                "kind": self.headers["Content-Type"],
                "body": self.rfile.read(int(length or 0)).decode(),
                "port": self.client_address[1],
            }
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  the names that http.server calls

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with HttpTransport(f"http://127.0.0.1:{server.server_port}") as http:
        yield http
    server.shutdown()
    server.server_close()


def call(http, method, path="/path", *, content=None, headers=None, seconds=5.0):
    return http.request(method, path, headers or {}, Deadline(seconds), content=content)


@pytest.mark.parametrize("method", METHODS)
def test_any_method_carries_a_json_body(echo, method):
    said = call(echo, method, content=as_json({"request_ID": "1", "a": "ї"})).json

    assert (said["method"], said["kind"]) == (method, "application/json")
    assert said["body"] == '{"request_ID":"1","a":"ї"}'


@pytest.mark.parametrize("method", METHODS)
def test_a_call_without_a_body_says_no_content_type(echo, method):
    said = call(echo, method, "/path?a=1").json

    assert (said["method"], said["path"], said["kind"], said["body"]) == (
        method,
        "/path?a=1",
        None,
        "",
    )
    # Only a method that is made to carry a body says that it has none.
    assert said["length"] == (None if method in {"GET", "DELETE"} else "0")


def test_calls_of_all_methods_share_one_warm_connection(echo):
    ports = {
        call(echo, method, content=content).json["port"]
        for method in METHODS
        for content in (None, b"{}")
    }

    assert len(ports) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("content", [None, b"{}"])
def test_a_call_of_any_method_ends_with_its_time(method, content):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with (
            HttpTransport(f"http://127.0.0.1:{silent.getsockname()[1]}") as http,
            pytest.raises(TimedOut),
        ):
            call(http, method, content=content, seconds=0.3)
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_call_given_up_resets_its_connection(method):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with (
            HttpTransport(f"http://127.0.0.1:{silent.getsockname()[1]}") as http,
            pytest.raises(TimedOut),
        ):
            call(http, method, content=b"{}", seconds=0.3)
        taken, _ = silent.accept()
        with taken, pytest.raises(ConnectionResetError):
            list(iter(lambda: taken.recv(65536), b""))


@pytest.mark.parametrize("method", METHODS)
def test_with_no_time_left_a_call_of_any_method_is_not_made(method):
    deadline = Deadline(1.0)
    deadline.at -= 0.95
    with (
        HttpTransport("https://x.test", transport=httpx.MockTransport(pytest.fail)) as http,
        pytest.raises(Unreachable, match="nothing was sent"),
    ):
        http.request(method, "/", {}, deadline)


@pytest.mark.parametrize("method", METHODS)
def test_an_excerpt_shows_no_secret_whatever_the_method(method):
    transport = httpx.MockTransport(lambda _: httpx.Response(400, text="pass-phrase tkn-value"))
    with HttpTransport("https://x.test", secrets=("pass-phrase",), transport=transport) as http:
        answer = call(http, method, headers={"Authorization": "Bearer tkn-value"})

    assert answer.excerpt == "*** ***"


def test_many_different_addresses_are_not_all_kept():
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with HttpTransport("https://x.test", transport=transport) as http:
        for number in range(500):
            call(http, "GET", f"/orders/{number}")
        assert len(http._urls) < 500
