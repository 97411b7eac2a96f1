"""What a receiver is sent, what its answers mean, and that one of them stops no other."""

import hashlib
import hmac
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import httpx
import pytest
from one_call import raw_server, self_signed
from webhook import webhook

from clients import callback
from clients.callback import MOST_AT_ONCE, SIGNATURE, Callbacks, signature
from clients.errors import ConnectionFault, RateLimited, Rejected, Transient
from clients.limits import Slots

SECRET = "a-secret-of-this-tenant"
TOLD = {"event": "order.updated", "id": "1", "note": "Ваше замовлення в дорозі"}


@pytest.fixture
def receiver():
    with webhook() as hook:
        yield hook


def make(seconds=5.0, places=2, **more):
    share = Slots(fakeredis.FakeRedis(), "inbox:slow", places, 60.0)
    return Callbacks(timeout=seconds, share=share, **more)


def tell(url, seconds=5.0, told=TOLD, name="tenant", **more):
    make(seconds, **more).tell(name, url, SECRET, told)


def answering(status, **more):
    return httpx.MockTransport(lambda _: httpx.Response(status, **more))


def test_the_receiver_gets_the_telling_and_can_prove_whose_it_is(receiver):
    tell(f"{receiver.url('http')}orders?a=b")
    ((method, path, body),) = receiver.calls
    assert (method, path, json.loads(body)) == ("POST", "/orders?a=b", TOLD)
    (headers,) = receiver.headers
    assert headers["Content-Type"] == "application/json"
    moment, made = headers[SIGNATURE].split(",")
    assert abs(int(moment.removeprefix("t=")) - time.time()) < 60
    wanted = hmac.new(SECRET.encode(), moment[2:].encode() + b"." + body, hashlib.sha256)
    assert made == f"v1={wanted.hexdigest()}"


def test_a_signature_is_of_this_secret_this_body_and_this_moment():
    one = signature(SECRET, b"{}", 1795255200)
    others = [
        signature("another", b"{}", 1795255200),
        signature(SECRET, b"[]", 1795255200),
        signature(SECRET, b"{}", 1795255201),
    ]
    assert one == signature(SECRET, b"{}", 1795255200)
    assert len({one, *others}) == 4


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_good(status):
    tell("https://x.test/", transport=answering(status))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again_and_binds_no_other_receiver(status):
    with pytest.raises(Transient) as caught:
        tell("https://x.test/", transport=answering(status, headers={"Retry-After": "7"}))
    assert not isinstance(caught.value, RateLimited)
    assert not caught.value.counts_for_breaker
    assert (caught.value.status, caught.value.retry_after) == (status, 7)


@pytest.mark.parametrize(
    "status", [300, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 410, 413, 422, 451]
)
def test_what_a_person_must_mend_is_no_fault_of_the_connection(status):
    with pytest.raises(Rejected) as caught:
        tell(
            "https://x.test/", transport=answering(status, headers={"Location": "https://y.test/"})
        )
    assert not isinstance(caught.value, ConnectionFault)
    assert not caught.value.counts_for_breaker
    assert str(status) in str(caught.value)


def test_a_redirect_is_not_followed(receiver):
    receiver.answer = receiver.url("http") + "elsewhere"
    with pytest.raises(Rejected, match="leads elsewhere"):
        tell(receiver.url("http"))
    assert len(receiver.calls) == 1


def test_of_a_refusal_a_bounded_and_masked_beginning_is_told(receiver):
    receiver.answer = 422
    receiver.said = (
        b'{"error": "who is +380671234567? ' + SECRET.encode() + b'"}' + b"x" * 10_000_000
    )
    with pytest.raises(Rejected) as caught:
        tell(receiver.url("http"))
    assert len(caught.value.excerpt) <= 200
    assert "380671234567" not in caught.value.excerpt
    assert SECRET not in caught.value.excerpt


def test_neither_address_nor_secret_is_in_an_error():
    """A receiver's address may hold a secret of its own."""
    url = "https://x.test/hooks/token-of-the-receiver"
    refusing = httpx.MockTransport(lambda asked: httpx.Response(403, text=f"{asked.url} {SECRET}"))
    with pytest.raises(Rejected) as caught:
        tell(url, transport=refusing)
    assert "token-of-the-receiver" not in f"{caught.value} {caught.value.excerpt}"
    assert SECRET not in f"{caught.value} {caught.value.excerpt}"


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_no_answer_takes_longer_than_the_time_for_the_whole_call(receiver, answer):
    receiver.answer = answer
    began = time.monotonic()
    if answer == "drip":
        tell(receiver.url("http"), 0.5)  # the status came, and says all
    else:
        with pytest.raises(Transient):
            tell(receiver.url("http"), 0.5)
    assert time.monotonic() - began < 2.5


def test_a_refusal_that_drips_ends_with_the_time_and_is_one():
    headers = b"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\n"
    with raw_server(headers, *[b"x"] * 20, pause=0.1) as port:
        began = time.monotonic()
        with pytest.raises(Rejected):
            tell(f"http://127.0.0.1:{port}/", 0.5)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("chunks", [[], [b"no HTTP at all\r\n\r\n"], [b"HTTP/1.1 200"]])
def test_what_is_no_answer_is_tried_again(chunks):
    with raw_server(*chunks) as port, pytest.raises(Transient):
        tell(f"http://127.0.0.1:{port}/", 1.0)


def test_where_nobody_listens_is_tried_again():
    with pytest.raises(Transient):
        tell("http://127.0.0.1:1/")


def test_a_certificate_that_nobody_signed_is_not_taken(tmp_path):
    context = self_signed(tmp_path)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answer, context=context) as port, pytest.raises(Transient, match="certificate"):
        tell(f"https://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["https://[::1/", "https://x.test:port/"])
def test_what_is_no_address_is_for_a_person(url):
    with pytest.raises(Rejected):
        tell(url)


def test_a_proxy_of_the_environment_is_not_asked(receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    tell(receiver.url("http"))
    assert receiver.calls


class Receivers:
    """One for each host, and what it does now: answers with a status, or keeps its caller until it is let."""

    def __init__(self, places=2):
        self.status = {}
        self.kept = {}
        self.began = threading.Semaphore(0)
        self.callbacks = make(places=places, transport=httpx.MockTransport(self._answer))

    def _answer(self, request):
        name = request.url.host
        kept = self.kept.get(name)
        if kept is not None:
            self.began.release()
            assert kept.wait(10)
        return httpx.Response(self.status.get(name, 200))

    def keep(self, name):
        """From now on whoever calls this one waits."""
        self.kept[name] = threading.Event()

    def let(self, name):
        self.kept.pop(name).set()

    def tell(self, name):
        self.callbacks.tell(name, f"https://{name}/", SECRET, TOLD)

    def fail(self, name):
        self.status[name] = 503
        with pytest.raises(Transient):
            self.tell(name)


@pytest.fixture
def receivers():
    return Receivers()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as made:
        yield made


def begin(receivers, pool, *names):
    """A call of each, under way."""
    calls = [pool.submit(receivers.tell, name) for name in names]
    for _ in calls:
        assert receivers.began.acquire(timeout=10)
    return calls


def test_of_a_receiver_that_is_quick_a_bounded_number_of_calls_goes_out(receivers, pool):
    receivers.tell("one")
    receivers.keep("one")
    calls = begin(receivers, pool, *["one"] * MOST_AT_ONCE)
    assert not receivers.callbacks.has_place("one")
    with pytest.raises(Transient, match="being called already"):
        receivers.tell("one")
    assert receivers.callbacks.has_place("another")
    receivers.tell("another")
    receivers.let("one")
    assert [call.exception(10) for call in calls] == [None] * MOST_AT_ONCE
    assert receivers.callbacks.has_place("one")


def unknown(_receivers, _monkeypatch):
    """It was not called yet."""


def failing(receivers, _monkeypatch):
    receivers.fail("one")


def slow(receivers, monkeypatch):
    monkeypatch.setattr(callback, "QUICK", -1.0)
    receivers.tell("one")
    monkeypatch.undo()


def slow_to_refuse(receivers, monkeypatch):
    monkeypatch.setattr(callback, "QUICK", -1.0)
    receivers.status["one"] = 404
    with pytest.raises(Rejected):
        receivers.tell("one")
    monkeypatch.undo()


@pytest.mark.parametrize("before", [unknown, failing, slow, slow_to_refuse])
def test_of_a_receiver_that_was_not_quick_one_call_goes_out(receivers, pool, monkeypatch, before):
    before(receivers, monkeypatch)
    receivers.status["one"] = 200
    receivers.keep("one")
    calls = begin(receivers, pool, "one")
    assert not receivers.callbacks.has_place("one")
    with pytest.raises(Transient, match="being called already"):
        receivers.tell("one")
    receivers.let("one")
    assert calls[0].exception(10) is None
    # Now it was quick.
    receivers.keep("one")
    calls = begin(receivers, pool, "one", "one")
    receivers.let("one")
    assert [call.exception(10) for call in calls] == [None, None]


def test_receivers_that_fail_or_are_slow_share_their_places_however_many_they_are(receivers, pool):
    bad = ["one", "two", "three"]
    for name in bad:
        receivers.fail(name)
        receivers.keep(name)
    one, two = begin(receivers, pool, "one", "two")
    assert not receivers.callbacks.has_place("three")
    with pytest.raises(Transient, match="being called already"):
        receivers.tell("three")
    assert receivers.callbacks.has_place("new")
    receivers.tell("new")
    receivers.let("one")
    assert isinstance(one.exception(10), Transient)
    (three,) = begin(receivers, pool, "three")
    receivers.let("two")
    receivers.let("three")
    assert isinstance(two.exception(10), Transient)
    assert isinstance(three.exception(10), Transient)


def test_a_secret_is_in_no_text_of_an_error_that_holds_it(receiver):
    receiver.answer = 400
    receiver.said = SECRET.encode()
    with pytest.raises(Rejected) as caught:
        tell(receiver.url("http"))
    assert caught.value.excerpt == "***"
