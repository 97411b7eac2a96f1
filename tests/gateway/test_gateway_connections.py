"""Connections over real sockets: times, turns, refusals, and a stop that finishes what is under way."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from types import SimpleNamespace

import pytest

from connections_file import SettingsError
from gateway import connection, large_bodies, server, workers, wsgi
from gateway.places import Places

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
ONE_BY_ONE = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"
LARGEST = 1000


class Toy:
    """Answers with what it was sent; `/wait` until it is let go, `/fail` with an exception."""

    def __init__(self):
        self.go, self.waiting = threading.Event(), threading.Semaphore(0)

    def __call__(self, environ, start_response):
        path, body = environ["PATH_INFO"], environ["wsgi.input"].read()
        if path == "/wait":
            self.waiting.release()
            assert self.go.wait(10)
        if path == "/fail":
            raise RuntimeError("Шевченко")
        if path == "/late":
            environ[wsgi.KEEP_BACK] = 0.3
        told = b"x" * 20_000_000 if path == "/much" else path.encode() + b" " + body
        if int(environ.get("CONTENT_LENGTH", 0)) > LARGEST:
            start_response("413 Content Too Large", [("Content-Length", "0")])
            return [b""]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [told]


@pytest.fixture
def served():
    """A server over the toy, in a thread; `stop` is what a signal does."""
    toy, told, port = Toy(), threading.Event(), []
    made = SimpleNamespace(toy=toy)

    async def run():
        made.loop, made.event = asyncio.get_running_loop(), asyncio.Event()

        def ready(number):
            port.append(number)
            told.set()

        await server.listen(toy, lambda _: LARGEST, "127.0.0.1", 0, made.event, ready=ready)

    made.thread = threading.Thread(target=lambda: asyncio.run(run()))
    made.thread.start()
    assert told.wait(5)
    made.port = port[0]
    made.stop = lambda: made.loop.call_soon_threadsafe(made.event.set)
    yield made
    toy.go.set()
    if made.thread.is_alive():
        made.stop()
        made.thread.join(15)
    assert not made.thread.is_alive()


@pytest.fixture
def call(served):
    """A new connection that has sent this."""
    opened = []

    def connect(*sent):
        caller = socket.create_connection(("127.0.0.1", served.port), timeout=10)
        opened.append(caller)
        for piece in sent:
            caller.sendall(piece)
        return caller

    yield connect
    for caller in opened:
        caller.close()


@pytest.fixture
def short(monkeypatch):
    """A tenth of a second for everything that is waited for."""
    for name in ("HEAD", "BODY", "IDLE", "TAKE", "LINGER"):
        monkeypatch.setattr(connection, name, 0.1)
    monkeypatch.setattr(server, "LOOK", 0.02)


def answer(caller):
    """The next answer: its status and its body."""
    told = b""
    while b"\r\n\r\n" not in told:
        piece = caller.recv(1)
        assert piece, told
        told += piece
    head, _, _ = told.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    body = b""
    while len(body) < length:
        body += caller.recv(length - len(body))
    return int(head.split()[1]), body


def rest(caller):
    """Whatever still comes until it is closed."""
    told = b""
    try:
        while piece := caller.recv(65536):
            told += piece
    except ConnectionResetError:
        pass
    return told


def test_large_requests_wait_for_each_other_and_nobody_else_does(served, call, monkeypatch):
    monkeypatch.setattr(workers, "LARGE_BODY", 10)
    head = b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
    large = [call(head, b"x" * 20) for _ in range(workers.DOORS + 1)]
    assert served.toy.waiting.acquire(timeout=5)
    assert answer(call(GET)) == (200, b"/hello ")
    assert not served.toy.waiting.acquire(blocking=False)
    served.toy.go.set()
    assert {answer(one)[0] for one in large} == {200}


def test_of_large_bodies_that_come_at_once_the_largest_gives_way(served, call, monkeypatch):
    monkeypatch.setattr(large_bodies, "FREE", 0)
    monkeypatch.setattr(large_bodies, "MOST", 1500)
    first = call(ONE_BY_ONE, b"x" * 800)
    other = call(ONE_BY_ONE, b"y" * 899)
    assert answer(other)[0] == 503
    first.sendall(b"x" * 100)
    assert answer(first) == (200, b"/echo " + b"x" * 900)
    assert answer(call(ONE_BY_ONE, b"z" * 900)) == (200, b"/echo " + b"z" * 900)


def test_one_connection_serves_many_requests_in_their_order(call):
    caller = call(GET, POST + b"abcde" + GET)
    assert [answer(caller) for _ in range(3)] == [
        (200, b"/hello "),
        (200, b"/echo abcde"),
        (200, b"/hello "),
    ]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"GET /hello HT", 408),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\nA: ", 408),
        (POST, 408),
        (POST + b"abc", 408),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 408),
    ],
)
def test_who_does_not_finish_is_cut_off(short, call, sent, status):
    told = rest(call(sent))
    assert told.startswith(b"HTTP/1.1 408 ") if status else told == b""


@pytest.mark.parametrize("sent", [b"GET /hello HTTP/1.1\r\nHost: x\r\nA: ", ONE_BY_ONE])
def test_who_dribbles_is_cut_off_too(short, call, sent):
    caller = call(sent)
    caller.settimeout(0.02)
    told = []
    for _ in range(500):
        try:
            told.append(caller.recv(1000))
            break
        except TimeoutError:
            caller.sendall(b"a")
    assert told[0].startswith(b"HTTP/1.1 408 ")


def test_who_resets_his_connection_in_the_middle_keeps_nobody_from_being_cut_off(short, call):
    for sent in (b"", b"GET", POST, ONE_BY_ONE, b"no request\r\n\r\n", GET) * 5:
        gone = call(sent)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
    assert rest(call(POST)).startswith(b"HTTP/1.1 408 ")
    assert rest(call()) == b""


def test_who_was_served_and_asks_no_more_is_cut_off(short, call):
    caller = call(GET)
    assert answer(caller)[0] == 200
    assert rest(caller) == b""


def test_who_does_not_take_his_answer_is_cut_off_while_others_are_served(short, served, call):
    deaf = call(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer(call(GET)) == (200, b"/hello ")
    time_out = time.monotonic() + 10
    while time.monotonic() < time_out:
        try:
            deaf.send(b"x")
        except OSError:
            break
        threading.Event().wait(0.02)
    assert len(rest(deaf)) < 20_000_000


def test_a_request_that_takes_long_to_answer_is_not_cut_off(short, served, call):
    caller = call(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    served.toy.waiting.acquire(timeout=5)
    assert rest(call(b"G")).startswith(b"HTTP/1.1 408")
    served.toy.go.set()
    assert answer(caller)[0] == 200


def test_health_is_answered_while_every_thread_of_the_doors_waits(served, call):
    busy = [call(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(workers.DOORS)]
    for _ in busy:
        assert served.toy.waiting.acquire(timeout=5)
    more = call(GET)
    assert answer(call(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    assert answer(call(b"GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    more.settimeout(0.05)
    with pytest.raises(TimeoutError):
        more.recv(1)


def test_slow_bodies_take_no_thread(served, call):
    slow = [call(POST + b"ab") for _ in range(4 * workers.DOORS)]
    assert answer(call(GET)) == (200, b"/hello ")
    slow[0].sendall(b"cde")
    assert answer(slow[0]) == (200, b"/echo abcde")


def test_the_longest_silent_makes_room(served, call, monkeypatch):
    monkeypatch.setattr(Places, "enter", _small(Places.enter))
    silent = [call() for _ in range(3)]
    assert answer(call(GET)) == (200, b"/hello ")
    assert rest(silent[0]) == b""
    silent[2].sendall(GET)
    assert answer(silent[2])[0] == 200


def _small(enter):
    def entered(self, newcomer):
        self._most_of_one = 3
        return enter(self, newcomer)

    return entered


def test_a_body_beyond_the_limit_is_refused_by_the_door_before_it_comes(call):
    caller = call(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
    assert answer(caller)[0] == 413
    caller.sendall(b"x" * 50_000)
    assert rest(caller) == b""


def test_who_asks_first_whether_to_go_on_is_told_to(call):
    told = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    caller = call(told)
    assert caller.recv(100) == connection.CONTINUE
    caller.sendall(b"abcde")
    assert answer(caller) == (200, b"/echo abcde")


def test_what_is_no_request_is_refused_in_json_after_what_was_one(call):
    caller = call(GET + b"no request\r\n\r\n")
    assert answer(caller)[0] == 200
    status, body = answer(caller)
    assert status == 400
    assert b'"error"' in body
    assert b'"request_id"' in body


def test_an_application_that_raises_is_answered_without_its_words(call):
    status, body = answer(call(b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert (status, body) == (500, wsgi.OUR_FAULT)


def test_an_answer_that_is_kept_back_holds_no_thread(served, call):
    late = [call(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3 * workers.DOORS)]
    begun = time.monotonic()
    assert answer(call(GET))[0] == 200
    assert [answer(caller)[0] for caller in late] == [200] * len(late)
    assert time.monotonic() - begun < 0.3 * 3


def test_who_closes_his_side_after_asking_is_answered(call):
    caller = call(GET)
    caller.shutdown(socket.SHUT_WR)
    assert answer(caller)[0] == 200
    assert rest(caller) == b""


def test_an_older_client_is_answered_and_let_go(call):
    told = rest(call(b"GET /hello HTTP/1.0\r\n\r\n"))
    assert told.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nConnection: close\r\n" in told


@pytest.mark.parametrize("name", [b"Content_Length: 3", b"X_Forwarded_For: a"])
def test_a_header_with_a_low_line_does_not_pass_for_another(name):
    told = wsgi.Request(
        "GET", b"/", "1.1", [tuple(name.split(b": "))], b"", ("1", 1), ("h", 2), keep_alive=True
    )
    seen = []
    wsgi.answer(lambda environ, _: seen.append(environ), told)
    assert not {"CONTENT_LENGTH", "HTTP_X_FORWARDED_FOR"} & set(seen[0])


def test_a_header_that_cannot_be_written_ends_no_thread():
    said = wsgi.Answer("200 OK", [("X-Name", "Ім'я")], b"")
    assert b"X-Name: ??'?" in wsgi.written(said, keep_alive=True)


def test_a_stop_finishes_what_is_under_way_and_waits_for_nobody_else(served, call):
    silent, half = call(), call(POST + b"ab")
    working = call(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    assert served.toy.waiting.acquire(timeout=5)
    served.stop()
    assert rest(silent) == b""
    half.sendall(b"cde")
    assert rest(half).endswith(b"/echo abcde")
    served.toy.go.set()
    told = rest(working)
    assert told.startswith(b"HTTP/1.1 200")
    assert b"\r\nConnection: close\r\n" in told
    served.thread.join(5)
    assert not served.thread.is_alive()
    with pytest.raises(OSError):  # noqa: PT011  refused
        socket.create_connection(("127.0.0.1", served.port), timeout=1)


def test_an_address_that_is_taken_is_said_in_a_sentence(served):
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{served.port}"):
        server._listener("127.0.0.1", served.port)
