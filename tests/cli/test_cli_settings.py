"""Every setting, set in every wrong way: one sentence that names it and exit code 2, never a traceback.

The settings are those that the code reads. Most are tried by a command in this process, which reads them all
as every process does; a few real programs show that they tell it alike.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from test_documents import READ
from test_settings import REAL

import default_pair
import setting_names
import settings
from ledger.migrate import upgrade

ROOT = Path(__file__).resolve().parents[2]
# Where nobody listens.
NOWHERE = "127.0.0.1:1"

# What a value of a kind must not be. Empty is no value, and never wrong.
WHOLE = ["ten", "1.5", "1_0", "٣", "nan", "-1", "9" * 30]
NUMBER = ["ten", "nan", "inf", "1e999", "-1", "9" * 30, "1,5"]
COUNT = ["two", "1.5", "-1", "9" * 30]
FLAG = ["perhaps", "2", "-"]
URL = [
    "shop.example.com",
    "ftp://shop.example.com",
    "http://shop.example.com",
    "https://",
    "https://shop example.com",
    "https://shop.example.com/a b",
    "https://shop.example.com:99999",
    "https://shop.example.com:abc",
    "https://shop.example.com:0",
    "https://[::1",
    "https://shop..example.com",
    f"https://{'a' * 64}.com",
    "https://shop.example.com?a=b",
    "https://shop.example.com#a",
    "https:\\\\shop.example.com",
]
FILE = ["no/such/file.yaml", "docs"]

WRONG = {
    "OKLIVING_URL": URL,
    "ONEBOX_URL": URL,
    "OKLIVING_TIMEOUT": [*NUMBER, "0"],
    "ONEBOX_TIMEOUT": [*NUMBER, "0"],
    "OKLIVING_RATE": NUMBER,
    "ONEBOX_RATE": NUMBER,
    "OKLIVING_CONCURRENCY": COUNT,
    "ONEBOX_CONCURRENCY": COUNT,
    "OKLIVING_LOGIN_STYLE": ["xml", "FORM"],
    "ONEBOX_PASSWORD_FORM": ["sha1"],
    "ONEBOX_BODY_SHAPE": ["list"],
    "CREATEORDER_URL": URL,
    "CREATEORDER_TIMEOUT": [*NUMBER, "0"],
    "CREATEORDER_RATE": NUMBER,
    "CREATEORDER_CONCURRENCY": COUNT,
    "CREATEORDER_ERROR_STATUS": ["422", "OK"],
    "CREATEORDER_HONOURS_IDEMPOTENCY": FLAG,
    "CREATEORDER_PROFILE": FILE,
    "OKLIVING_PROFILE": FILE,
    "ONEBOX_PROFILE": FILE,
    "ONEBOX_HOOK_SECRETS": ["short", "long-enough-but/with-a-slash", "long enough but blanks"],
    "ONEBOX_HOOK_ADDRESSES": ["somewhere", "203.0.113.0/33", "1.2.3"],
    "ORDERBRIDGE_MODE": ["on", "LIVE", "pilot", "live "],
    "ORDERBRIDGE_START_FROM": [
        "yesterday",
        "2026-13-01",
        "ALL",
        "0001-01-01",
        "9999-12-31T23:59-12:00",
    ],
    "ORDERBRIDGE_PROFILE": ["anything"],
    "ORDERBRIDGE_CONNECTIONS": [*FILE, "LICENSE"],
    "ORDERBRIDGE_DOTENV": ["no/such/file", "docs"],
    "ORDERBRIDGE_DATA": ["{file}", "{file}/below"],
    "ORDERBRIDGE_SANDBOX": FLAG,
    "ORDERBRIDGE_SUPERVISED": FLAG,
    "ORDERBRIDGE_CALLS_REMOTES": FLAG,
    "DATABASE_INSECURE": FLAG,
    "REDIS_INSECURE": FLAG,
    "ORDERBRIDGE_RETENTION_DAYS": [*WHOLE, "0"],
    "ORDERBRIDGE_HELD_RETENTION_DAYS": [*WHOLE, "0"],
    "ORDERBRIDGE_ANSWER_RETENTION_DAYS": [*WHOLE, "0"],
    "FETCH_INTERVAL": [*WHOLE, "0"],
    "SWEEP_INTERVAL": [*WHOLE, "0"],
    "VISIBILITY_TIMEOUT": [*WHOLE, "0"],
    "POLL_OVERLAP": WHOLE,
    "POLL_LAG": WHOLE,
    "GATEWAY_RATE": WHOLE,
    "UNCERTAIN_WAIT": NUMBER,
    "ORDERBRIDGE_API_KEYS": ["key", "name:", "name:short", f"a:{'k' * 24},a:{'l' * 24}"],
    "DATABASE_URL": [
        "mysql://localhost/x",
        "localhost/x",
        "postgresql://u:p@localhost:abc/x",
        "postgresql://u:p@localhost:99999/x",
        "postgresql://u:p@local host/x",
        "postgresql://u:p@db.example.com/x",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////tmp",
    ],
    "REDIS_URL": [
        "127.0.0.1:6379",
        "localhost",
        "redis:127.0.0.1",
        "redis://127.0.0.1:abc",
        "redis://127.0.0.1:99999",
        "redis://127.0.0.1/abc",
        "redis://127.0.0.1/0 1",
        "redis://127.0.0.1/0?socket_timeout=soon",
        "redis://127.0.0.1/0?colour=red",
        "rediss://127.0.0.1/0?ssl_cert_reqs=CERT_NONE",
        "redis://r.example.com/0",
        "redis://[::1",
    ],
    "ORDERBRIDGE_LANGUAGE": ["ru", "EN", "english"],
    "ORDERBRIDGE_NOTIFY": ["somebody", "tgram://", "me@example.com", "tgram://a b c"],
    "ORDERBRIDGE_NOTIFY_NO_ORDERS_HOURS": WHOLE,
    "ORDERBRIDGE_HEARTBEAT_URL": [url for url in URL if "?" not in url and "#" not in url],
    "FLOWER_PORT": ["0", "99999", "abc", "-1", "5555.0"],
    "FLOWER_ADDRESS": ["nowhere.invalid", "1.2.3.4.5", "a" * 70],
    "FLOWER_BASIC_AUTH": ["user", "user:", ":password"],
}
# What may be any text, so that only a remote can say that it is wrong; and where it is said when it does.
ANY_TEXT = {
    "OKLIVING_CLIENT_ID",
    "OKLIVING_CLIENT_SECRET",
    "ONEBOX_LOGIN",
    "ONEBOX_PASSWORD",
    "ONEBOX_WORKFLOW_ID",
    "ONEBOX_STATUS_ID",
    "ONEBOX_SOURCE_ID",
    "ONEBOX_HOOK_HMAC_KEY",
    "CREATEORDER_TENANT",
    "CREATEORDER_TOKEN",
    "ORDERBRIDGE_SECRET_KEY",
    "FLOWER_COOKIE_SECRET",
}
# What only Compose reads, whose front refuses it, and what `run` writes for others.
NOT_READ = {"ORDERBRIDGE_DOMAIN", *setting_names.RECORDED}
OF_FLOWER = {name for name in WRONG if name.startswith("FLOWER_")}


def cases(names):
    """The first wrong value of each in the quick run, all in the long one."""
    return [
        pytest.param(n, v, id=f"{n}={v[:30]}", marks=[pytest.mark.long] if place else [])
        for n in sorted(names)
        for place, v in enumerate(WRONG.get(n, ()))
    ]


def test_the_table_has_every_setting_that_is_read():
    assert {*WRONG} | ANY_TEXT | NOT_READ == {*READ, "ORDERBRIDGE_DATA"} | setting_names.RECORDED


@pytest.fixture
def call(run, process_environment, tmp_path):
    """A command in this process, with these variables beside the real systems': exit code and sentence."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(*command, **variables):
        (tmp_path / "file").touch()
        process_environment.update(REAL)
        for name, text in variables.items():
            process_environment[name] = text.replace("{file}", str(tmp_path / "file"))
        code, out, err = run(*command)
        assert out == ""
        assert "Traceback" not in err
        return code, err

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def one_sentence(err):
    """The sentence of ours, or several, and nothing beside."""
    return re.fullmatch(r"orderbridge: [^\n]+[.?]", err) and err.count("orderbridge:") == 1


@pytest.mark.parametrize(("name", "value"), cases(WRONG.keys() - OF_FLOWER))
def test_a_wrong_value_is_one_sentence_with_its_name(call, name, value):
    code, err = call("check", **{name: value})
    # Of a file that is there its own name is told.
    assert (code, name in err or err.startswith(f"orderbridge: {value}")) == (2, True), err
    assert one_sentence(err), err


@pytest.mark.parametrize(("name", "value"), cases(OF_FLOWER))
def test_a_run_refuses_what_flower_would_refuse_later_and_for_ever(call, name, value):
    code, err = call("run", "--plain", **{name: value})
    assert (code, name in err) == (2, True), err
    assert one_sentence(err), err


@pytest.mark.parametrize("name", sorted(READ - NOT_READ - {"ORDERBRIDGE_DATA"}))
def test_an_empty_value_is_no_value(process_environment, tmp_path, name):
    process_environment.update(REAL)
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)
    plain = settings.load()
    process_environment[name] = ""
    if name in default_pair.VARIABLES:
        with pytest.raises(settings.SettingsError, match=f"{name} is missing"):
            settings.load()
    else:
        assert settings.load() == plain


@pytest.mark.parametrize("name", default_pair.VARIABLES)
def test_a_missing_value_is_one_sentence_with_its_name(call, process_environment, name):
    process_environment.update(REAL)
    code, err = call("check", **{name: ""})
    assert (code, f"{name} is missing" in err) == (2, True)
    assert one_sentence(err)


# --- names ------------------------------------------------------------------------------------------


def slips(name):
    """A letter lost, doubled, in small; a low line lost."""
    middle = len(name) * 2 // 3
    yield name[:middle] + name[middle + 1 :]
    yield name[:middle] + name[middle] + name[middle:]
    yield name.lower()
    yield name[::-1].replace("_", "", 1)[::-1]


SLIPS = [
    pytest.param(name, slip, marks=[pytest.mark.long] if place else [])
    for name in sorted(READ - NOT_READ)
    for place, slip in enumerate(slips(name))
]


@pytest.mark.parametrize(("name", "slip"), SLIPS)
def test_a_misspelt_name_is_refused_with_the_right_one(process_environment, tmp_path, name, slip):
    """In `.env` always, in the environment where nobody else's can look so."""
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)
    dotenv = tmp_path / "settings"
    dotenv.write_text(f"{slip}=x\n")
    meant = rf"{slip} in {{}} is no setting\. Did you mean {name}\?"
    with pytest.raises(settings.SettingsError, match=meant.format(r"\.env")):
        settings.load(dotenv)
    process_environment[slip] = "x"
    if slip.upper().startswith(setting_names.PREFIXES) or name.startswith(
        setting_names.UNMISTAKABLE
    ):
        with pytest.raises(settings.SettingsError, match=meant.format("the environment")):
            settings.load()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ORDERBRIDGE_STARTFROM", "Did you mean ORDERBRIDGE_START_FROM?"),
        ("ORDERBRIDGE_FETCH_INTERVAL", "Did you mean FETCH_INTERVAL?"),
        ("ONEBOX_CLIENT_SECRET", "Did you mean OKLIVING_CLIENT_SECRET?"),
        ("ONEBOX_XYZZY", "docs/configuration.md has those that there are; remove it."),
        ("ORDERBRIDGE_MODE_FILE", "ORDERBRIDGE_MODE is given as it is, in no file."),
        ("FLOWER_PASSWORD", "remove it."),
        ("GATEWAY_PORT", "remove it."),
    ],
)
def test_a_name_with_our_prefix_that_is_no_setting_is_refused(call, name, told):
    code, err = call("orders", **{name: "x"})
    assert (code, err.startswith(f"orderbridge: {name} in the environment is no setting.")) == (
        2,
        True,
    )
    assert told in err or told == "remove it."


def test_all_of_them_are_told_at_once(call):
    _, err = call("orders", ORDERBRIDGE_STARTFROM="now", ONEBOX_PASWORD="x")
    assert "ORDERBRIDGE_START_FROM?" in err
    assert "ONEBOX_PASSWORD?" in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "x") for name in sorted(setting_names.LATER)),
        ("ORDERBRIDGE_DOMAIN", "orders.example.com"),
        ("ORDERBRIDGE_RUN_PID", "1"),
        ("GATEWAY_URL", "http://127.0.0.1:8000"),
        ("OCP_TOKEN_FILE", "x"),
        ("FLOWER_READ_ONLY", "true"),
        ("FLOWER_MAX_TASKS", "10"),
        ("ORDERBRIDGE_STARTFROM", ""),
        # What Kubernetes sets for a service that is called as we are, and Docker for a link.
        ("ONEBOX_SERVICE_HOST", "10.0.0.1"),
        ("ORDERBRIDGE_SERVICE_PORT_HTTP", "80"),
        ("GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("GATEWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
        # Of others.
        ("DATABASE_USER", "x"),
        ("DATABASE_URI", "x"),
        ("REDIS_HOST", "x"),
        ("POLL_INTERVAL", "x"),
    ],
)
def test_a_name_of_somebody_else_or_of_later_is_taken(process_environment, tmp_path, name, value):
    process_environment.update(REAL | {"ORDERBRIDGE_DATA": str(tmp_path), name: value})
    assert settings.load().source_names == ("okliving", "createorder")


@pytest.mark.parametrize("name", ["TZ", "COMPOSE_PROJECT_NAME", "DATABASE_USER", "HTTPS_PROXY"])
def test_what_else_stands_in_the_env_file_is_taken(process_environment, tmp_path, name):
    process_environment["ORDERBRIDGE_DATA"] = str(tmp_path)
    (tmp_path / "settings").write_text(f"{name}=x\n")
    assert settings.load(tmp_path / "settings").sandbox


def test_what_a_connections_file_refers_to_is_a_setting(process_environment, tmp_path):
    text = (ROOT / "docs/examples/two-shops.yaml").read_text()
    text = text.replace("NORTH_URL", "ONEBOX_NORTH_URL").replace(
        "NORTH_BOX_PASSWORD", "ONEBOX_PASSWRD"
    )
    (tmp_path / "two.yaml").write_text(text)
    process_environment.update(
        {
            "ORDERBRIDGE_DATA": str(tmp_path),
            "ORDERBRIDGE_CONNECTIONS": str(tmp_path / "two.yaml"),
            "ONEBOX_NORTH_URL": "http://127.0.0.1:1",
            "ONEBOX_PASSWRD_FILE": "x",
        }
    )
    assert settings.load().sandbox
    process_environment["ONEBOX_SOUTH_URL"] = "x"
    with pytest.raises(settings.SettingsError, match="ONEBOX_SOUTH_URL in the environment"):
        settings.load()


@pytest.mark.parametrize(
    "line", ["ORDERBRIDGE_MODE: live", "ORDERBRIDGE_MODE live", "- A=b", "ONEBOX_PASSWORD='a", "=x"]
)
def test_a_line_that_says_nothing_is_refused_by_its_number(call, tmp_path, line):
    (tmp_path / "settings").write_text(f"# a comment\n\n{line}\n")
    code, err = call("orders", ORDERBRIDGE_DOTENV=str(tmp_path / "settings"))
    assert (code, "settings, line 3: this is no setting" in err) == (2, True)
    assert one_sentence(err)


def test_an_env_file_that_is_no_text_is_one_sentence(call, tmp_path):
    (tmp_path / "settings").write_bytes("ONEBOX_PASSWORD=пароль\n".encode("cp1251"))
    code, err = call("orders", ORDERBRIDGE_DOTENV=str(tmp_path / "settings"))
    assert (code, "is no UTF-8 text" in err) == (2, True)


# --- stores, folders and ports ------------------------------------------------------------------------

AWAY = f"postgresql://user:hidden@{NOWHERE}/x"
STORES = [("migrate",), ("orders",), ("updates", "list"), ("orders", "retry", "1"), ("check",)]


@pytest.mark.parametrize("command", STORES, ids=" ".join)
def test_a_database_that_does_not_answer_is_one_sentence_and_may_pass(call, command):
    code, err = call(*command, DATABASE_URL=AWAY, REDIS_URL=f"redis://{NOWHERE}/0")
    assert code == 1
    assert "Connection refused. Is the database running, and does DATABASE_URL lead to it?" in err
    assert "hidden" not in err
    assert "sqlalche.me" not in err


@pytest.mark.parametrize("command", [("run", "--plain"), ("fetch",)])
def test_a_redis_that_does_not_answer_is_one_sentence(call, folder, command):
    upgrade(f"sqlite:///{folder}/ledger.db", sandbox=False)
    code, err = call(*command, REDIS_URL=f"redis://:hidden@{NOWHERE}/0")
    assert code == 1
    assert "Redis" in err
    assert "hidden" not in err


@pytest.mark.parametrize("command", [("run", "--plain"), ("migrate",), ("key", "new", "erp")])
def test_a_data_folder_that_cannot_be_made_is_one_sentence(call, command):
    code, err = call(*command, ORDERBRIDGE_DATA="/proc/orderbridge")
    assert (code, "ORDERBRIDGE_DATA" in err) == (2, True), err
    assert one_sentence(err)


def test_what_is_no_folder_is_left_as_it_is(call, tmp_path):
    (tmp_path / "file").touch(mode=0o644)
    call("orders", ORDERBRIDGE_DATA="{file}")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "port"),
    [("127.0.0.1", None), ("127.0.0.1", "99999"), ("nowhere.invalid", "0"), ("a" * 70, "0")],
)
def test_a_gateway_that_cannot_listen_is_one_sentence(call, folder, taken, host, port):
    upgrade(f"sqlite:///{folder}/ledger.db", sandbox=False)
    key = {"ORDERBRIDGE_API_KEYS": f"erp:{'k' * 24}", "REDIS_URL": f"redis://{NOWHERE}/0"}
    code, err = call("gateway", "--host", host, "--port", port or taken, **key)
    assert (code, "cannot listen on" in err) == (2, True), err


# --- as real programs -----------------------------------------------------------------------------------


def _free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


WORKER = ("-m", "celery", "-A", "tasks", "worker")
FLOWER = ("-m", "celery", "-A", "tasks", "flower")
BROKER = {"REDIS_URL": f"redis://{NOWHERE}/0"}


@pytest.mark.parametrize(
    ("program", "variables", "told"),
    [
        (WORKER, {"REDIS_URL": "redis://127.0.0.1:abc"}, "REDIS_URL is no address"),
        (WORKER, {"ORDERBRIDGE_STARTFROM": "now"}, "Did you mean ORDERBRIDGE_START_FROM?"),
        (WORKER, BROKER, "Start with `make run`"),
        (FLOWER, {"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL must be one address"),
        (FLOWER, BROKER | {"FLOWER_PORT": "abc"}, "FLOWER_PORT must be a whole number"),
        (FLOWER, BROKER | {"FLOWER_DEBUG": "perhaps"}, "FLOWER_DEBUG is no value"),
        (FLOWER, BROKER | {"FLOWER_BASIC_AUTH": "ab"}, "FLOWER_BASIC_AUTH must be user:password"),
        (FLOWER, BROKER | {"FLOWER_PORT": "{free}"}, "set FLOWER_BASIC_AUTH to user:password"),
        (FLOWER, BROKER | {"FLOWER_BASIC_AUTH": "a:b", "FLOWER_PORT": "{taken}"}, "Flower cannot listen"),
        (("-m", "cli", "run", "--plain"), {"FLOWER_BASIC_AUTH": "ab"}, "FLOWER_BASIC_AUTH must be"),
        (("-m", "cli", "gateway"), {"GATEWAY_RATE": "many"}, "GATEWAY_RATE must be"),
    ],
)  # fmt: skip
@pytest.mark.long
def test_a_real_program_ends_with_one_sentence(tmp_path, taken, program, variables, told):
    done = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env={
            **os.environ,
            "ORDERBRIDGE_DATA": str(tmp_path),
            **{
                name: text.replace("{taken}", taken).replace("{free}", _free())
                for name, text in variables.items()
            },
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert (done.returncode, told in said, "Traceback" in said) == (2, True, False), said


def test_the_version_is_the_one_of_the_project(run):
    text = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', text, re.MULTILINE)[1]
    assert run("--version") == (0, f"orderbridge {version}\n", "")
