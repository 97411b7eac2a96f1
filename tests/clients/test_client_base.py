"""The transport: what it sends, warm connections, nothing kept of one call for another, nothing oversized."""

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from one_call import OK, ask, post, raw_server

from clients import base
from clients.base import HttpTransport
from clients.bodies import MOST_VALUES
from clients.deadline import Deadline
from clients.errors import Garbled, Misconfigured, Rejected


def test_no_cookie_of_one_call_is_kept_for_another():
    seen = []

    def handler(request):
        seen.append(request.headers.get("Cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "PHPSESSID=of-another-order"}, json={})

    with HttpTransport("https://x.test", transport=httpx.MockTransport(handler)) as http:
        for _ in range(2):
            http.post_json("/path", {}, {}, Deadline(5))
    assert seen == [None, None]


def test_a_call_says_who_it_is_and_sends_json():
    seen = []
    answer = post(lambda request: seen.append(request) or httpx.Response(200, json={"b": 1}))
    assert (answer.status, answer.json, answer.ok) == (200, {"b": 1}, True)
    request = seen[0]
    assert (request.method, str(request.url)) == ("POST", "https://x.test/path")
    assert request.headers["User-Agent"] == "orderbridge/0.1"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["token"] == "tkn-value"
    assert request.content == '{"a":"ї"}'.encode()


def test_no_cookie_of_an_answer_is_sent_back():
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(200, headers={"Set-Cookie": "session=1"})

    with HttpTransport("https://x.test", transport=httpx.MockTransport(handler)) as http:
        for _ in range(2):
            http.post_json("/", {}, {}, Deadline(5.0))
    assert "Cookie" not in seen[1].headers


def test_what_cannot_be_written_as_json_is_the_orders_fault():
    with (
        HttpTransport("https://x.test", transport=httpx.MockTransport(pytest.fail)) as http,
        pytest.raises(Rejected),
    ):
        http.post_json("/", {"name": "\ud83d"}, {}, Deadline(5.0))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "box.test",
        "ftp://box.test",
        "https://",
        "https://" + "a" * 64 + ".test",
        "http://box.test:port",
    ],
)
def test_a_url_that_cannot_be_right_is_refused_at_once(url):
    with pytest.raises(Misconfigured):
        HttpTransport(url)


@pytest.mark.parametrize("token", ["ключ", "two\nlines"])
def test_a_token_that_no_header_can_carry_is_refused(token):
    with (
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as port,
        HttpTransport(f"http://127.0.0.1:{port}") as http,
        pytest.raises(Misconfigured),
    ):
        http.post_json("/", {}, {"token": token}, Deadline(5.0))


@pytest.mark.parametrize("body", [b'{"a":"\\u043d\\u0456"}', '{"a":"ні"}'.encode()])
def test_an_excerpt_is_readable_ukrainian(body):
    assert "ні" in post(lambda _: httpx.Response(400, content=body)).excerpt


def test_an_excerpt_shows_neither_our_secrets_nor_the_token():
    answer = post(
        lambda _: httpx.Response(400, text="who sent pass-phrase and tkn-value?"),
        secrets=("pass-phrase", ""),
    )
    assert answer.excerpt == "who sent *** and ***?"


def test_an_oversized_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(base, "MAX_BODY", 1000)
    squeezed = gzip.compress(b"0" * 100_000)
    headers = {"Content-Encoding": "gzip"}
    with pytest.raises(Garbled, match="larger"):
        post(lambda _: httpx.Response(200, content=squeezed, headers=headers))


@pytest.mark.parametrize("one", [b"[],", b"0,", b'{"":1},', b'{"a":{}},', b"[[[]]],"])
def test_an_answer_of_more_values_than_any_has_is_refused_before_it_is_read(one):
    body = b"[" + one * MOST_VALUES + b"0]"
    with pytest.raises(Garbled, match="more than 2,000,000 values"):
        post(lambda _: httpx.Response(200, content=body))


def test_as_many_values_as_ten_thousand_orders_have_are_read():
    body = b"[" + b",".join([b'{"a":1,"b":[2,3]}'] * 200_000) + b"]"
    assert len(post(lambda _: httpx.Response(200, content=body)).json) == 200_000


def test_a_compressed_answer_is_read():
    squeezed = gzip.compress(b'{"a":1}')
    headers = {"Content-Encoding": "gzip"}
    assert post(lambda _: httpx.Response(200, content=squeezed, headers=headers)).json == {"a": 1}


def test_wrong_compression_is_garbled():
    headers = {"Content-Encoding": "gzip"}
    with pytest.raises(Garbled):
        post(lambda _: httpx.Response(200, stream=Once(b"plain"), headers=headers))


class Once(httpx.SyncByteStream):
    def __init__(self, content):
        self.content = content

    def __iter__(self):
        yield self.content


def test_a_real_answer_is_read():
    with raw_server(OK, b'{"a": 123}') as port:
        assert ask(port).json == {"a": 123}


def test_a_connection_is_kept_between_calls():
    ports = set()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        talk, peer = listener.accept()
        with talk:
            for _ in range(3):
                # Head and body may come apart.
                while not talk.recv(65536).endswith(b"{}"):
                    pass
                ports.add(peer[1])
                talk.sendall(OK + b'{"a": 123}')

    thread = threading.Thread(target=serve)
    thread.start()
    with listener, HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
        for _ in range(3):
            http.post_json("/", {}, {}, Deadline(5.0))
    thread.join()
    assert len(ports) == 1


def test_calls_in_flight_have_a_connection_each_and_later_calls_use_the_warm_ones():
    ports, meeting = [], threading.Barrier(4)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            ports.append(self.client_address[1])
            if len(ports) <= 4:
                meeting.wait(20)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with HttpTransport(f"http://127.0.0.1:{server.server_port}") as http:
        with ThreadPoolExecutor(4) as callers:
            list(callers.map(lambda _: http.post_json("/", {}, {}, Deadline(20.0)), range(4)))
        for _ in range(3):
            http.post_json("/", {}, {}, Deadline(20.0))
    server.shutdown()
    server.server_close()
    assert len(set(ports[:4])) == 4
    assert set(ports[4:]) < set(ports[:4])
    assert len(set(ports[4:])) == 1
