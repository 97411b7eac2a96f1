"""The shared token: one login whoever asks, ahead of time, never in a loop, encrypted, crash-proof."""

import base64
import threading

import orjson
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from clients.cipher import cipher_for
from clients.errors import (
    AuthFailed,
    ConnectionFault,
    Misconfigured,
    RateLimited,
    Rejected,
    StoreUnavailable,
    TimedOut,
    Transient,
    Unreachable,
)
from clients.token_store import FAILURES, REFUSED_REMEMBERED
from clients.tokens import SharedToken

CIPHER = cipher_for("key", "", "shop", "https://shop.test")

# What sealed tokens before a key was bound to its connection.
FORMER = Fernet(
    base64.urlsafe_b64encode(
        HKDF(hashes.SHA256(), 32, salt=None, info=b"orderbridge token").derive(b"key")
    )
)


class Logins:
    """A login that counts and gives a new token each time, or raises what is scripted."""

    def __init__(self, life=600.0):
        self.count = 0
        self.life = life
        self.errors = []
        self.gate = None

    def __call__(self):
        self.count += 1
        number = self.count
        if self.gate is not None:
            self.gate.wait(5)
        if self.errors:
            raise self.errors.pop(0)
        return f"t{number}", self.life


@pytest.fixture
def login():
    return Logins()


@pytest.fixture
def make(store, login, clock):
    def build(**changed):
        arguments = {"renew_ahead": 60.0, "login_timeout": 5.0, "clock": clock} | changed
        cipher = arguments.pop("cipher", CIPHER)
        return SharedToken(arguments.pop("store", store), "shop", cipher, login, **arguments)

    return build


def test_fifty_threads_make_one_login(make, login, in_threads):
    tokens = make()
    assert set(in_threads(tokens.get)) == {"t1"}
    assert login.count == 1


def test_many_processes_make_one_login(make, login, in_threads):
    """A process is told apart by its own SharedToken: nothing but Redis is common to them."""
    assert set(in_threads(lambda: make().get(), 20)) == {"t1"}
    assert login.count == 1


def test_a_fresh_copy_is_used_without_redis(make, broken_store):
    tokens = make()
    tokens.get()
    tokens._store._redis = broken_store
    assert tokens.get() == "t1"


def test_another_process_takes_the_stored_token(make, login):
    make().get()
    assert make().get() == "t1"
    assert login.count == 1


@pytest.mark.parametrize(("age", "token"), [(0, "t1"), (539, "t1"), (541, "t2"), (601, "t2")])
def test_a_token_is_renewed_ahead_of_its_end(make, clock, age, token):
    tokens = make()
    tokens.get()
    clock.now += age
    assert tokens.get() == token


def test_a_short_lived_token_is_not_renewed_at_once(make, login, clock):
    login.life = 30.0
    tokens = make()
    assert [tokens.get(), tokens.get()] == ["t1", "t1"]
    clock.now += 16
    assert tokens.get() == "t2"


def test_while_one_renews_ahead_the_others_go_on_with_the_old_token(make, login, clock):
    tokens, elsewhere = make(), make()
    tokens.get()
    elsewhere.get()
    clock.now += 550
    login.gate = threading.Event()
    results = []
    renewer = threading.Thread(target=lambda: results.append(tokens.get()))
    renewer.start()
    while login.count < 2:
        pass
    assert (tokens.get(), elsewhere.get()) == ("t1", "t1")
    login.gate.set()
    renewer.join()
    assert results == ["t2"]
    assert elsewhere.get() == "t2"
    assert login.count == 2


def test_a_failed_renewal_ahead_of_time_harms_nobody(make, login, clock):
    tokens = make()
    tokens.get()
    clock.now += 550
    login.errors = [TimedOut("slow")]
    assert [tokens.get() for _ in range(20)] == ["t1"] * 20
    assert login.count == 2


def test_a_dead_token_is_replaced_once_by_one_of_fifty(make, login, in_threads):
    tokens = make()
    tokens.get()
    assert set(in_threads(lambda: tokens.replace("t1"))) == {"t2"}
    assert login.count == 2


def test_a_late_dead_answer_takes_the_token_that_is_there(make, login):
    tokens, elsewhere = make(), make()
    tokens.get()
    elsewhere.get()
    assert tokens.replace("t1") == "t2"
    assert elsewhere.replace("t1") == "t2"
    assert tokens.replace("t1") == "t2"
    assert login.count == 2


def test_a_refused_login_is_made_once_by_fifty_threads(make, login, in_threads):
    login.errors = [AuthFailed("refused", status=401, excerpt="text")]
    results = in_threads(make().get)
    assert {type(result) for result in results} == {AuthFailed}
    assert {(str(result), result.status, result.excerpt) for result in results} == {
        ("refused", 401, "text")
    }
    assert login.count == 1


def test_a_refused_login_is_remembered_for_a_while_only(make, login, store):
    login.errors = [AuthFailed("refused")]
    tokens = make()
    with pytest.raises(AuthFailed):
        tokens.get()
    assert 0 < store.pttl("ob:shop:token:failure") <= REFUSED_REMEMBERED * 1000
    store.delete("ob:shop:token:failure")
    assert tokens.get() == "t2"


def test_a_throttled_login_is_left_alone_for_as_long_as_the_shop_says(make, login, store):
    login.errors = [RateLimited("throttled", retry_after=60.0)]
    with pytest.raises(RateLimited) as caught:
        make().get()
    assert caught.value.retry_after == 60.0
    assert store.pttl("ob:shop:token:failure") > 50_000


def test_a_connection_test_logs_in_whatever_is_remembered(make, login):
    login.errors = [AuthFailed("refused")]
    tokens = make()
    with pytest.raises(AuthFailed):
        tokens.get()
    tokens.log_in_alone()
    assert tokens.get() == "t2"
    with pytest.raises(AuthFailed):
        make().get()  # as before: nothing was shared


def test_a_connection_test_keeps_its_token_and_its_failure_to_itself(make, login, store):
    assert make().get() == "t1"
    shared = {key: store.get(key) for key in store.scan_iter()}
    alone = make()
    alone.log_in_alone()
    assert alone.get() == "t2"
    assert alone.replace("t2") == "t3"
    login.errors = [AuthFailed("refused")]
    with pytest.raises(AuthFailed):
        make().log_in_alone()
    assert {key: store.get(key) for key in store.scan_iter()} == shared
    assert make().get() == "t1"


def test_a_connection_test_needs_no_redis(make, broken_store):
    alone = make(store=broken_store)
    alone.log_in_alone()
    assert alone.get() == "t1"


def test_a_connection_test_that_is_refused_holds_no_token_of_before(make, login):
    tokens = make()
    tokens.get()
    login.errors = [AuthFailed("refused"), AuthFailed("refused")]
    for ask in (tokens.log_in_alone, tokens.get):
        with pytest.raises(AuthFailed):
            ask()


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (TimedOut("x"), Unreachable),
        (Rejected("x"), AuthFailed),
        (Misconfigured("x"), Misconfigured),
    ],
)
def test_a_failed_login_leaves_the_order_certain_and_blameless(make, login, raised, seen):
    login.errors = [raised]
    with pytest.raises(seen):
        make().get()


def test_a_crashed_renewer_lets_go_by_expiry(make, login, store):
    store.set("ob:shop:token:lock", "crashed", px=200)
    assert make().get() == "t1"
    assert login.count == 1


def test_a_lock_of_another_is_never_given_back_by_us(make, login, store):
    tokens = make()

    def overtaken():
        store.set("ob:shop:token:lock", "other")
        return "t1", 600.0

    tokens._login = overtaken
    tokens.get()
    assert store.get("ob:shop:token:lock") == b"other"


def test_waiting_for_another_login_ends_at_the_login_time_out(make, login, store):
    store.set("ob:shop:token:lock", "hung")
    with pytest.raises(Transient):
        make(login_timeout=0.2).get()
    assert login.count == 0


def test_the_lock_outlives_the_login(make, login, store):
    ages = []
    tokens = make()

    def slow():
        ages.append(store.pttl("ob:shop:token:lock"))
        return "t1", 600.0

    tokens._login = slow
    tokens.get()
    assert ages[0] > 5000
    assert store.get("ob:shop:token:lock") is None


def test_redis_holds_no_readable_token(make, store):
    tokens = make()
    tokens._login = lambda: ("a-token-to-recognise", 600.0)
    tokens.get()
    assert b"recognise" not in b"".join(store.get(key) for key in store.scan_iter())
    assert store.pttl("ob:shop:token") <= 600_000


def test_a_token_sealed_with_another_key_counts_as_absent(make, login):
    make().get()
    assert make(cipher=cipher_for("other", "", "shop", "https://shop.test")).get() == "t2"


@pytest.mark.parametrize(
    ("name", "url"),
    [("box", "https://shop.test"), ("shop", "https://other.test")],
    ids=["of another connection", "of another address"],
)
def test_a_token_that_was_sealed_for_another_system_is_never_used(make, login, store, name, url):
    """Whoever may write to Redis cannot have us hand the token of one system to another."""
    make().get()
    other = make(cipher=cipher_for("key", "", name, url))
    assert other.get() == "t2"


def test_a_token_of_the_version_before_counts_as_absent(make, login, store):
    store.set("ob:shop:token", FORMER.encrypt(b'["t0",9e9,9e9]'))
    assert make().get() == "t1"


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"rubbish", CIPHER.encrypt(b"{}"), CIPHER.encrypt(b"[1]")],
    ids=["empty", "unsealed", "no list", "too short"],
)
def test_rubbish_in_redis_counts_as_absent(make, store, rubbish):
    store.set("ob:shop:token", rubbish)
    assert make().get() == "t1"


WRITTEN = {
    "kind": "AuthFailed",
    "message": "no login",
    "status": 401,
    "retry_after": None,
    "excerpt": "",
}


def family(kind):
    return {kind} | {below for child in kind.__subclasses__() for below in family(child)}


def test_what_a_login_may_fail_with_is_all_that_is_certain_and_nothing_else():
    assert set(FAILURES.values()) == family(Transient) | family(ConnectionFault)
    assert all(name == kind.__name__ for name, kind in FAILURES.items())


def test_a_failure_is_remembered_whole(make, store):
    store.set("ob:shop:token:failure", orjson.dumps(WRITTEN))
    with pytest.raises(AuthFailed, match="no login") as raised:
        make().get()
    assert (raised.value.status, raised.value.retry_after) == (401, None)


@pytest.mark.parametrize(
    "told",
    [
        *({"kind": name} for name in ("masked", "re", "EXCERPT_LENGTH", "Rejected", "Uncertain")),
        *({"kind": kind} for kind in ("ClientError", "__builtins__", "", None, ["AuthFailed"])),
        {"message": None},
        {"message": ["a"]},
        {"status": "401"},
        {"status": True},
        {"retry_after": "60"},
        {"retry_after": 1e12},
        {"retry_after": -1},
        {"excerpt": {}},
        {"possible": ["a"]},
    ],
    ids=str,
)
def test_a_failure_in_redis_that_no_version_wrote_is_as_good_as_absent(make, store, told):
    store.set("ob:shop:token:failure", orjson.dumps(WRITTEN | told))
    assert make().get() == "t1"


@pytest.mark.parametrize("rubbish", [b"", b"x", b"[]", b"{}", b"null", b"1", b"\xff"])
def test_rubbish_in_place_of_a_failure_is_as_good_as_absent(make, store, rubbish):
    store.set("ob:shop:token:failure", rubbish)
    assert make().get() == "t1"


def test_a_remembered_failure_shows_no_secret_and_no_end_of_text(make, store):
    told = {"message": "x" * 10_000, "excerpt": "password=abcdef anna@example.com"}
    store.set("ob:shop:token:failure", orjson.dumps(WRITTEN | told))
    with pytest.raises(AuthFailed) as raised:
        make().get()
    assert len(str(raised.value)) <= 500
    assert not {"abcdef", "anna"} & set(raised.value.excerpt.replace("=", " ").split())


def test_without_redis_and_without_a_copy_nothing_is_sent(make, login, broken_store):
    with pytest.raises(StoreUnavailable):
        make(store=broken_store).get()
    assert login.count == 0


def test_redis_lost_in_the_renewal_time_is_survived_with_the_old_token(make, clock, broken_store):
    tokens = make()
    tokens.get()
    tokens._store._redis = broken_store
    clock.now += 550
    assert tokens.get() == "t1"


def test_a_flushed_redis_costs_no_login_to_whom_has_a_copy(make, login, store):
    tokens = make()
    tokens.get()
    store.flushall()
    assert tokens.get() == "t1"
    assert login.count == 1
