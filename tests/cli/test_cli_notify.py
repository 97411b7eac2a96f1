"""`orderbridge notify test` says of each channel whether its message was taken, and shows no address."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner
from webhook import webhook

from cli.app import app
from connections_file import SettingsError

SECRET = "a-very-secret-token"


@pytest.fixture
def run(process_environment, tmp_path):
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)

    def command(notify, *words):
        process_environment["ORDERBRIDGE_NOTIFY"] = notify
        return CliRunner().invoke(app, ["notify", "test", *words])

    return command


def test_each_channel_is_told_and_its_outcome_said_in_a_sandbox_too(run):
    with webhook() as good, webhook() as bad:
        bad.answer = 401
        notify = f"{good.url(secret=SECRET)},{bad.url(secret=SECRET)},tgrm://{SECRET}"
        done = run(notify)
        assert done.exit_code == 1
        assert "notify test" in good.bodies[0]
        lines = [line.split() for line in done.stdout.splitlines()[1:]]
        assert [line[:2] for line in lines] == [
            ["1", "json://127.0.0.1"], ["2", "json://127.0.0.1"], ["3", "tgrm://…"],
        ]  # fmt: skip
        assert lines[0][2] == "taken"
        assert "HTTP 401" in done.stdout
        assert "not understood" in done.stdout
        assert SECRET not in done.output
        assert max(map(len, done.stdout.splitlines())) <= 80
        done = run(good.url(secret=SECRET), "--json")
        assert done.exit_code == 0
        assert json.loads(done.stdout) == [
            {"channel": "1 json://127.0.0.1", "taken": True, "outcome": "taken"}
        ]


def test_without_a_channel_it_says_what_to_set(run):
    done = run("")
    assert done.exit_code == 2
    assert "ORDERBRIDGE_NOTIFY is not set here" in done.output


def test_what_is_no_address_is_refused_without_showing_it(run):
    done = run(SECRET)
    assert isinstance(done.exception, SettingsError)
    assert SECRET not in str(done.exception)
