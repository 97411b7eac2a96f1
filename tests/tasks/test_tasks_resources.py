"""The resources of a process: one of each, whoever asks first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tasks import resources


def test_threads_that_ask_at_the_same_time_get_the_same_resources_built_once(monkeypatch):
    built, meeting = [], threading.Barrier(8)

    def build(_chosen):
        built.append(object())
        return built[-1]

    def ask(_):
        meeting.wait(20)
        return resources.resources()

    monkeypatch.setattr(resources, "build", build)
    resources._resources.cache_clear()
    try:
        with ThreadPoolExecutor(8) as threads:
            got = list(threads.map(ask, range(8)))
    finally:
        resources._resources.cache_clear()
    assert len(built) == 1
    assert set(got) == set(built)
