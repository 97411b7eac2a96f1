"""Every secret may stand in a file of its own; which settings are secret is found, not listed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from test_documents import READ, names_read_by
from test_settings import REAL

import references
import settings
from connections_file import SettingsError
from connectors import registry

ROOT = Path(__file__).resolve().parents[1]
SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|HMAC|AUTH|_KEYS?$")
# Names that sound like a secret's and hold none.
HARMLESS = {"ONEBOX_PASSWORD_FORM"}
GOOD = {
    "DATABASE_URL": "postgresql://u:hidden@localhost/d",
    "REDIS_URL": "redis://:hidden@localhost/0",
    "ORDERBRIDGE_API_KEYS": "name:hidden-key-of-twenty-four-characters",
    "ONEBOX_HOOK_SECRETS": "hidden-and-long-enough",
    "FLOWER_BASIC_AUTH": "user:hidden",
    "ORDERBRIDGE_NOTIFY": "tgram://hidden/1",
    "ORDERBRIDGE_HEARTBEAT_URL": "https://hidden.example/uuid",
}


def hidden_settings():
    """The variable of each setting that is not shown."""
    hidden = {field.name for field in fields(settings.Settings) if not field.repr}
    tree = ast.parse((ROOT / "settings.py").read_text())
    (made,) = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Settings"
    ]  # fmt: skip
    for keyword in made.keywords:
        if keyword.arg in hidden:
            for node in ast.walk(keyword.value):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield from re.findall(r"^[A-Z][A-Z0-9_]+$", node.value)


def hidden_keys():
    """The variable of each key of a kind that is a secret or is not shown."""
    for kind in registry.KINDS.values():
        shown = {field.name for field in fields(kind.schema.made) if field.repr}
        for key, field in kind.keys.items():
            if field.metadata.get("secret") or key not in shown:
                yield f"{kind.name}_{key}".upper()


INSECURE = {"DATABASE_INSECURE", "REDIS_INSECURE"}
SECRETS = sorted(
    ({*hidden_settings(), *hidden_keys()} - INSECURE)
    | {name for name in names_read_by("flower_settings.py") if SECRET.search(name)}
)


@pytest.fixture
def environment(process_environment, tmp_path):
    """Nothing but the real pair."""
    path = process_environment["PATH"]
    process_environment.clear()
    process_environment.update({"PATH": path, "ORDERBRIDGE_DATA": str(tmp_path), **REAL})
    return process_environment


def load(tmp_path):
    chosen = settings.load(tmp_path / ".env")
    return chosen, {
        name: registry.own_settings(one) for name, one in chosen.connections.items()
    }  # fmt: skip


def test_what_sounds_like_a_secret_is_one():
    """A new setting of such a name is hidden, and so may stand in a file."""
    sounding = {name for name in READ if SECRET.search(name)} - HARMLESS
    assert {name for name in sounding if not name.endswith("_FILE")} <= set(SECRETS)
    assert {"DATABASE_URL", "REDIS_URL", "ONEBOX_PASSWORD", "ONEBOX_HOOK_HMAC_KEY"} <= set(SECRETS)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_stand_in_a_file_and_means_the_same(environment, tmp_path, name):
    value = GOOD.get(name, "hidden")
    environment[name] = value
    directly = load(tmp_path)
    said = references.given(name)
    del environment[name]
    file = tmp_path / "secret"
    file.write_text(f"{value}\n")
    environment[f"{name}_FILE"] = str(file)
    assert load(tmp_path) == directly
    assert references.given(name) == said == value
    assert name not in environment, "children would be handed it"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_given_twice_is_refused(environment, tmp_path, name):
    file = tmp_path / "secret"
    file.write_text("hidden")
    environment[name] = environment[f"{name}_FILE"] = str(file)
    with pytest.raises(SettingsError, match=f"{name} and {name}_FILE are both set"):
        references.given(name)
    if not name.startswith("FLOWER"):
        with pytest.raises(SettingsError, match=f"{name} and {name}_FILE are both set"):
            load(tmp_path)


def test_a_file_named_in_the_environment_and_a_value_in_dotenv_are_two(environment, tmp_path):
    del environment["ONEBOX_PASSWORD"]
    environment["ONEBOX_PASSWORD_FILE"] = str(tmp_path / "secret")
    (tmp_path / ".env").write_text("ONEBOX_PASSWORD=other\n")
    with pytest.raises(SettingsError, match="both set"):
        load(tmp_path)


def test_what_a_killed_run_left_never_stands_beside_a_file(environment, tmp_path):
    (tmp_path / "run.env").write_text("REDIS_URL='redis://127.0.0.1:1/0'\n")
    (tmp_path / "secret").write_text("redis://127.0.0.1:2/0\n")
    environment["REDIS_URL_FILE"] = str(tmp_path / "secret")
    chosen, _ = load(tmp_path)
    assert chosen.broker == "redis://127.0.0.1:2/0"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff", "cannot be read")],
)
def test_a_file_without_a_secret_is_refused_by_its_variable(environment, tmp_path, content, said):
    del environment["ONEBOX_PASSWORD"]
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    environment["ONEBOX_PASSWORD_FILE"] = str(file)
    with pytest.raises(SettingsError, match=said) as refused:
        load(tmp_path)
    assert "ONEBOX_PASSWORD" in str(refused.value)


def test_a_secret_keeps_its_blanks_and_loses_its_last_line_end_alone(environment, tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(b"  pass word \r\n")
    del environment["ONEBOX_PASSWORD"]
    environment["ONEBOX_PASSWORD_FILE"] = str(file)
    assert load(tmp_path)[1]["onebox"].password == "  pass word "


def test_a_secret_may_come_through_a_pipe(environment):
    """As a shell's <(...) gives it."""
    read, write = os.pipe()
    os.write(write, b"hidden\n")
    os.close(write)
    environment["NAME_FILE"] = f"/dev/fd/{read}"
    assert references.given("NAME") == "hidden"
    os.close(read)


@pytest.fixture
def open_folder():
    """A folder that everyone may enter: pytest's own may be entered by its owner alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o604, True), (0o644, True), (0o640, False), (0o600, False)]
)
def test_a_secret_file_that_everyone_may_read_is_refused(
    environment, open_folder, mode, is_refused
):
    file = open_folder / "secret"
    file.write_text("hidden\n")
    file.chmod(mode)
    environment["NAME_FILE"] = str(file)
    if not is_refused:
        assert references.given("NAME") == "hidden"
        return
    with pytest.raises(SettingsError, match=f"chmod 600 {file}") as refused:
        references.given("NAME")
    assert "hidden" not in str(refused.value)
    # A folder that others cannot enter closes what is in it; a link does not.
    link = open_folder / "link"
    link.symlink_to(file)
    environment["NAME_FILE"] = str(link)
    with pytest.raises(SettingsError, match="chmod 600"):
        references.given("NAME")
    open_folder.chmod(0o700)
    assert references.given("NAME") == "hidden"


def test_what_a_container_is_given_is_taken_as_it_is(environment, open_folder, monkeypatch):
    """Engines mount secrets readable for all who are in the container."""
    monkeypatch.setattr(references, "MOUNTED", open_folder)
    (open_folder / "secret").write_text("hidden")
    (open_folder / "secret").chmod(0o444)
    environment["NAME_FILE"] = str(open_folder / "secret")
    assert references.given("NAME") == "hidden"


def test_the_connections_file_may_name_a_variable_that_stands_in_a_file(environment, tmp_path):
    for name in REAL:
        del environment[name]
    (tmp_path / "secret").write_text("hidden\n")
    (tmp_path / "connections.yaml").write_text(
        "connections:\n"
        "  box: {kind: onebox, url: 'https://box.example.com', login: l, password: '${BOX_PASSWORD}',"
        " workflow_id: 1, status_id: 1}\n"
        "  shop: {kind: okliving, url: 'https://shop.example.com', client_id: i,"
        " client_secret: '${file:secret}', target: box}\n"
    )
    environment["ORDERBRIDGE_CONNECTIONS"] = str(tmp_path / "connections.yaml")
    environment["BOX_PASSWORD_FILE"] = str(tmp_path / "secret")
    _, own = load(tmp_path)
    assert (own["box"].password, own["shop"].client_secret) == ("hidden", "hidden")


# --- a process that calls no remote -------------------------------------------------------------------


def test_a_process_that_calls_no_remote_may_lack_their_secrets(environment, tmp_path):
    kept = {"OKLIVING_URL", "ONEBOX_URL"}
    for name in set(REAL) - kept:
        del environment[name]
    with pytest.raises(SettingsError, match=r"(is|are) missing"):
        load(tmp_path)
    environment["ORDERBRIDGE_CALLS_REMOTES"] = "0"
    chosen, own = load(tmp_path)
    assert chosen.sandbox is False
    assert chosen.routes == {"okliving": "onebox", "createorder": "onebox"}
    again = load(tmp_path)[1]
    assert own["onebox"].password != again["onebox"].password, "it must fit nothing"
    with pytest.raises(SettingsError, match="calls no remote"):
        chosen.demand_calls()


def test_one_that_lacks_an_address_is_refused_all_the_same(environment, tmp_path):
    del environment["ONEBOX_URL"]
    environment["ORDERBRIDGE_CALLS_REMOTES"] = "0"
    with pytest.raises(SettingsError, match="ONEBOX_URL must be a URL"):
        load(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ("cli", "check"),
        pytest.param(("cli", "fetch"), marks=pytest.mark.long),
        pytest.param(("cli", "run", "--plain"), marks=pytest.mark.long),
        pytest.param(("celery", "-A", "tasks", "worker", "-c", "1"), marks=pytest.mark.long),
    ],
    ids=lambda command: command[1],
)
def test_it_never_calls_one(tmp_path, command):
    surroundings = {
        **REAL,
        "PATH": os.environ["PATH"],
        "ORDERBRIDGE_DOTENV": os.devnull,
        "ORDERBRIDGE_DATA": str(tmp_path),
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    migrated = _run(("cli", "migrate"), surroundings)
    assert migrated.returncode == 0, migrated.stderr
    done = _run(command, surroundings | {"ORDERBRIDGE_CALLS_REMOTES": "0"})
    assert done.returncode != 0
    assert "calls no remote system" in " ".join(done.stderr.split())


def _run(command, surroundings):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
