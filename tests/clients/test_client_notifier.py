"""What becomes of a message: taken, refused, not understood, nothing heard; nobody waits for another."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from webhook import webhook

from clients import notifier
from clients.notifier import Letter


@pytest.fixture
def hooks():
    """Makes webhooks that answer like this."""
    with ExitStack() as stack:

        def make(answer=200):
            hook = stack.enter_context(webhook())
            hook.answer = answer
            return hook

        yield make


def test_each_channel_has_its_own_outcome_and_one_that_hangs_keeps_no_other(hooks, capfd):
    good, refusing, dripping = hooks(), hooks(401), hooks("drip")
    elsewhere = hooks()
    sending_on = hooks(f"http://127.0.0.1:{elsewhere.port}/stolen")
    urls = [
        good.url(secret="secret-path"),
        refusing.url(secret="secret-path"),
        f"{dripping.url(secret='secret-path')}?rto=100",
        sending_on.url(secret="secret-path"),
        "tgram://secret-path",
        "nonsense://secret-path",
        "json://127.0.0.1:1/secret-path",
    ]
    began = time.monotonic()
    outcomes = notifier.send([Letter(url, "title", "text") for url in urls], 6.0)
    assert outcomes == [
        "taken", "refused_401", "silent", "refused_302", "not_understood", "not_understood", "refused",
    ]  # fmt: skip
    assert time.monotonic() - began < 8
    assert good.bodies == ["text"]
    assert not elsewhere.calls
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_an_address_is_asked_about_without_a_message(hooks):
    good = hooks()
    asked = [Letter(good.url()), Letter("mailto://user:password"), Letter("ftp://somewhere")]
    assert notifier.send(asked) == ["understood", "not_understood", "not_understood"]
    assert not good.calls


def test_our_secrets_and_the_address_are_seen_by_nobody(hooks, process_environment, monkeypatch):
    process_environment["ONEBOX_PASSWORD"] = "hidden"
    started = {}
    run = notifier.subprocess.run

    def seen(arguments, **given):
        started.update(given, arguments=arguments)
        return run(arguments, **given)

    monkeypatch.setattr(notifier.subprocess, "run", seen)
    notifier.send([Letter(hooks().url(secret="very-secret"), "title", "text")])
    assert "ONEBOX_PASSWORD" not in started["env"]
    assert "very-secret" not in str(started["arguments"]) + str(started["env"])
    assert "very-secret" not in repr(Letter("json://very-secret"))


def test_no_channel_is_told_when_the_program_cannot_start(monkeypatch):
    monkeypatch.setattr(notifier.sys, "executable", "/nowhere/python")
    assert notifier.send([Letter("json://127.0.0.1")]) == ["silent"]
