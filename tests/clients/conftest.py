"""What the client tests share: fake remotes, a Redis that is there or is not, a clock, many threads."""

import threading

import fakeredis
import httpx
import pytest
import redis
from fake_remotes import PASSWORD, FakeBox, FakeShop, box_refuses

from clients.cipher import cipher_for
from clients.onebox import OneBox


class BrokenRedis(redis.Redis):
    """A Redis that nobody answers for."""

    def execute_command(self, *args, **options):
        raise redis.ConnectionError("gone")

    def pipeline(self, *args, **options):
        raise redis.ConnectionError("gone")


@pytest.fixture
def store():
    return fakeredis.FakeRedis(server=fakeredis.FakeServer())


@pytest.fixture
def broken_store():
    return BrokenRedis()


@pytest.fixture
def shop():
    return FakeShop()


@pytest.fixture
def box():
    return FakeBox()


@pytest.fixture
def make_onebox(box, store):
    def build(password=PASSWORD, **changed):
        arguments = {
            "redis": store,
            "cipher": cipher_for(None, "secret-password", "onebox", "https://box.test"),
            "transport": httpx.MockTransport(box),
        }
        return OneBox("https://box.test", "robot", password, **(arguments | changed))

    return build


@pytest.fixture
def onebox(make_onebox):
    with make_onebox() as client:
        yield client


@pytest.fixture
def refuses():
    return box_refuses


class Clock:
    """A clock that a test moves."""

    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def in_threads():
    """Runs one function in many threads at once; their results, errors included."""

    def run(function, count=50):
        results = []
        barrier = threading.Barrier(count)

        def one():
            barrier.wait()
            try:
                results.append(function())
            except Exception as exc:  # noqa: BLE001  the error is the result
                results.append(exc)

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
