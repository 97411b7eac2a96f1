"""Settings: a wrong one is refused by its name, and simulated and real systems are never mixed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import settings
import variables
from connection import EVERYTHING, PROFILES
from connections_file import SettingsError
from connectors import registry

REAL = {
    "OKLIVING_URL": "https://shop.example.com",
    "OKLIVING_CLIENT_ID": "id",
    "OKLIVING_CLIENT_SECRET": "client-secret",
    "ONEBOX_URL": "https://box.example.com",
    "ONEBOX_LOGIN": "login",
    "ONEBOX_PASSWORD": "box-password",
    "ONEBOX_WORKFLOW_ID": "2",
    "ONEBOX_STATUS_ID": "7",
}
LOCAL = REAL | {"OKLIVING_URL": "http://127.0.0.1:1", "ONEBOX_URL": "http://localhost:2"}


@pytest.fixture
def load(tmp_path, process_environment):
    """Load with this environment and these files alone; what loading puts there is taken back."""

    def load(variables, dotenv="", recorded=None):
        process_environment.clear()
        process_environment.update({"ORDERBRIDGE_DATA": str(tmp_path), **variables})
        (tmp_path / ".env").write_text(dotenv)
        if recorded is not None:
            lines = "".join(f"{name}='{value}'\n" for name, value in recorded.items())
            (tmp_path / "run.env").write_text(lines)
        chosen = settings.load(tmp_path / ".env")
        registry.check(chosen)
        return chosen

    return load


def own(chosen, name):
    return registry.own_settings(chosen.connection(name))


def test_nothing_configured_is_the_sandbox(load, tmp_path):
    chosen = load({})
    assert (chosen.sandbox, chosen.connections) == (True, {})
    assert [entry.name for entry in chosen.unfilled] == ["okliving", "onebox", "createorder"]
    assert chosen.data == tmp_path / "sandbox"
    assert chosen.database_url == f"sqlite:///{tmp_path}/sandbox/ledger.db"
    with pytest.raises(SettingsError, match="REDIS_URL is not set"):
        _ = chosen.broker


def test_where_no_sandbox_is_wanted_none_is_made_of_missing_settings(load):
    with pytest.raises(SettingsError, match="no system is configured: set OKLIVING_URL"):
        load({"ORDERBRIDGE_SANDBOX": "0"})
    assert load(REAL | {"ORDERBRIDGE_SANDBOX": "0"}).sandbox is False


def test_real_systems_begin_in_shadow_with_the_documented_defaults(load, tmp_path):
    chosen = load(REAL)
    assert (chosen.sandbox, chosen.data, chosen.unfilled) == (False, tmp_path, ())
    assert (chosen.source_names, chosen.target_names) == (("okliving", "createorder"), ("onebox",))
    assert chosen.source() == "okliving"
    source = chosen.connection("okliving")
    assert (source.target, source.prefix, source.mode) == ("onebox", "okl-", "shadow")
    shop, box = own(chosen, "okliving"), own(chosen, "onebox")
    assert (shop.timeout, shop.rate, shop.concurrency, shop.login_style) == (30, 10, 8, "form")
    assert (box.rate, box.concurrency, box.timeout, box.lease) == (5, 4, 30, 70)
    assert (box.password_form, box.body_shape, box.source_id) == ("auto", "object", None)
    assert (chosen.fetch_interval, chosen.sweep_interval, source.poll_overlap) == (60, 60, 600)
    assert (chosen.uncertain_wait, source.poll_lag) == (120, 0)
    assert source.start_from is None


def test_real_systems_begin_now_and_the_sandbox_with_everything(load):
    assert load(REAL).connection("okliving").start_from is None
    sandbox = LOCAL | {"ORDERBRIDGE_SANDBOX": "1"}
    assert load(sandbox).connection("okliving").start_from == EVERYTHING
    chosen = load(sandbox | {"ORDERBRIDGE_START_FROM": "now"})
    assert chosen.connection("okliving").start_from is None


def test_the_pair_has_the_shipped_profiles_or_others_by_name_or_path(load, tmp_path):
    chosen = load(REAL)
    shipped = ["okliving.yaml", "onebox.yaml", "createorder.yaml"]
    assert _profiles(chosen) == [PROFILES / name for name in shipped]
    own = tmp_path / "shop.yaml"
    own.touch()
    chosen = load(
        REAL | {"OKLIVING_PROFILE": str(own), "ONEBOX_PROFILE": "mapping/profiles/onebox.yaml"}
    )
    assert [path.name for path in _profiles(chosen)][:2] == ["shop.yaml", "onebox.yaml"]
    assert _profiles(load(REAL | {"OKLIVING_PROFILE": "onebox.yaml"}))[0].is_file()


def _profiles(chosen):
    return [registry.profile_of(one) for one in chosen.connections.values()]


def test_beside_the_pair_there_is_always_a_connection_for_orders_that_are_placed_with_us(load):
    chosen = load(REAL)
    inbox = chosen.connection("createorder")
    assert (inbox.kind, inbox.target, inbox.prefix) == ("createorder", "onebox", "co-")
    assert (registry.read_names(chosen), registry.unread_names(chosen)) == (
        ("okliving",),
        ("createorder",),
    )
    assert registry.receiving_names(chosen) == ("onebox",)


SERVICE = {"CREATEORDER_URL": "https://orders.example.com", "CREATEORDER_TENANT": "us"}


@pytest.mark.parametrize(
    "given", [{}, SERVICE, *({name: value} for name, value in SERVICE.items())]
)
def test_a_service_in_the_environment_changes_nothing_of_where_orders_go(load, given):
    chosen = load(REAL | given)
    assert chosen.routes == {"okliving": "onebox", "createorder": "onebox"}
    assert registry.receiving_names(chosen) == ("onebox",)
    kept = own(chosen, "createorder")
    assert (kept.url, kept.tenant) == tuple(given.get(name, "") for name in SERVICE)


def test_settings_of_placed_orders_never_make_the_pair_half_filled(load):
    given = {"CREATEORDER_ERROR_STATUS": "ok", "CREATEORDER_RATE": "1"}
    chosen = load(given)
    assert (chosen.sandbox, chosen.connections) == (True, {})
    assert registry.unread_names(chosen) == ("createorder",)
    kept = own(load(REAL | given), "createorder")
    assert (kept.error_status, kept.rate) == ("ok", 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CREATEORDER_ERROR_STATUS", "422", "CREATEORDER_ERROR_STATUS must be one of http, ok."),
        ("CREATEORDER_HONOURS_IDEMPOTENCY", "maybe", "IDEMPOTENCY must be true or false."),
        (
            "CREATEORDER_URL",
            "http://orders.example.com",
            "CREATEORDER_URL must begin with https://",
        ),
    ],
)
def test_a_wrong_setting_of_placed_orders_is_named(load, name, value, said):
    with pytest.raises(SettingsError, match=said):
        load(REAL | {name: value})


def test_a_profile_of_one_file_is_refused_with_the_steps(load, tmp_path, monkeypatch):
    """Named, or left where the shipped one was and edited: to ignore it would lose its tables."""
    left = tmp_path / "okliving-onebox.yaml"
    left.touch()
    with pytest.raises(SettingsError, match="ORDERBRIDGE_PROFILE names") as named:
        load(REAL | {"ORDERBRIDGE_PROFILE": str(left)})
    monkeypatch.setattr(variables, "SINGLE_PROFILE", left)
    with pytest.raises(SettingsError, match="is still there") as found:
        load(REAL)
    for refused in (named, found):
        steps = [
            "1. Split it",
            "2. Move",
            "updates.milestones",
            "3. Name the two files",
            "4. Then ",
        ]
        places = [str(refused.value).index(step) for step in steps]
        assert places == sorted(places)


def test_unknown_connection_is_named_with_the_known_ones(load):
    with pytest.raises(
        SettingsError, match=r"no connection called 'x'. There is: okliving, onebox"
    ):
        load(REAL).connection("x")
    with pytest.raises(
        SettingsError, match=r"'okl-living' that brings orders. Did you mean okliving\?"
    ):
        load(REAL).source("okl-living")
    with pytest.raises(SettingsError, match="make run"):
        load({}).connection("onebox")


@pytest.mark.parametrize("missing", list(REAL))
def test_half_filled_configuration_names_what_is_missing(load, missing):
    with pytest.raises(SettingsError, match=f"{missing} is missing"):
        load({name: value for name, value in REAL.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OKLIVING_URL", "shop.example.com"),
        ("OKLIVING_URL", "http://shop.example.com"),
        ("OKLIVING_URL", "ftp://shop.example.com"),
        ("ONEBOX_URL", "https://"),
        ("ONEBOX_URL", "http://10.0.0.1"),
        ("OKLIVING_TIMEOUT", "0"),
        ("OKLIVING_TIMEOUT", "soon"),
        ("OKLIVING_LOGIN_STYLE", "xml"),
        ("ONEBOX_TIMEOUT", "-1"),
        ("ONEBOX_TIMEOUT", "nan"),
        ("ONEBOX_TIMEOUT", "inf"),
        ("ONEBOX_RATE", "-1"),
        ("ONEBOX_RATE", "fast"),
        ("ONEBOX_CONCURRENCY", "-1"),
        ("ONEBOX_CONCURRENCY", "1.5"),
        ("ONEBOX_PASSWORD_FORM", "sha1"),
        ("ONEBOX_BODY_SHAPE", "list"),
        ("ORDERBRIDGE_MODE", "on"),
        ("ORDERBRIDGE_SANDBOX", "perhaps"),
        ("ORDERBRIDGE_SUPERVISED", "perhaps"),
        ("ORDERBRIDGE_PROFILE", "mapping/profiles/okliving-onebox.yaml"),
        ("OKLIVING_PROFILE", "no/such/file.yaml"),
        ("ONEBOX_PROFILE", "no/such/file.yaml"),
        ("ORDERBRIDGE_START_FROM", "yesterday"),
        ("ORDERBRIDGE_RETENTION_DAYS", "0"),
        ("ORDERBRIDGE_HELD_RETENTION_DAYS", "0"),
        ("ORDERBRIDGE_ANSWER_RETENTION_DAYS", "0"),
        ("ORDERBRIDGE_API_KEYS", "key-without-a-name"),
        ("ORDERBRIDGE_API_KEYS", "name:"),
        ("DATABASE_URL", "mysql://x"),
        ("FETCH_INTERVAL", "0"),
        ("FETCH_INTERVAL", "1m"),
        ("SWEEP_INTERVAL", "0"),
        ("POLL_OVERLAP", "-1"),
        ("POLL_LAG", "-1"),
        ("UNCERTAIN_WAIT", "-1"),
        ("VISIBILITY_TIMEOUT", "0"),
        ("ONEBOX_HOOK_SECRETS", "short"),
        ("ONEBOX_HOOK_SECRETS", "long-enough-but/with-a-slash"),
        ("ONEBOX_HOOK_ADDRESSES", "somewhere"),
        ("GATEWAY_RATE", "-1"),
    ],
)
def test_wrong_value_is_refused_by_the_name_of_its_variable(load, name, value):
    with pytest.raises(SettingsError, match=name) as refused:
        load(REAL | {name: value})
    assert "secret" not in str(refused.value) or "SECRETS" in name


@pytest.mark.parametrize(
    "name",
    ["FETCH_INTERVAL", "ONEBOX_RATE", "ONEBOX_SOURCE_ID", "DATABASE_URL", "ORDERBRIDGE_MODE"],
)
def test_empty_value_is_no_value(load, name):
    assert load(REAL | {name: ""}) == load(REAL)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("all", EVERYTHING),
        ("now", None),
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-21T10:00:00+02:00", datetime(2026, 11, 21, 8, tzinfo=UTC)),
    ],
)
def test_start_from(load, given, read):
    chosen = load(REAL | {"ORDERBRIDGE_START_FROM": given})
    assert chosen.connection("okliving").start_from == read


def test_urls_lose_their_last_slash_and_keys_are_read_by_name(load):
    chosen = load(
        REAL
        | {
            "ONEBOX_URL": "https://box.example.com/",
            "ORDERBRIDGE_API_KEYS": f"a:{'1' * 24}, b:{'2' * 24}:orders:read,",
        }
    )
    assert own(chosen, "onebox").url == "https://box.example.com"
    assert [key.name for key in chosen.api_keys] == ["a", "b"]


def test_environment_wins_over_dotenv_and_dotenv_over_the_record_of_a_run(load):
    chosen = load(
        REAL | {"FETCH_INTERVAL": "1"},
        dotenv="FETCH_INTERVAL=2\nSWEEP_INTERVAL=2\n",
        recorded={"FETCH_INTERVAL": "3", "SWEEP_INTERVAL": "3", "UNCERTAIN_WAIT": "3"},
    )
    assert (chosen.fetch_interval, chosen.sweep_interval, chosen.uncertain_wait) == (1, 2, 3)


def test_set_to_nothing_is_as_good_as_not_set(load):
    recorded = {"ORDERBRIDGE_SANDBOX": "1", "REDIS_URL": "redis://127.0.0.1:3/0"}
    assert load({"REDIS_URL": ""}, recorded=recorded).broker == "redis://127.0.0.1:3/0"
    assert load({}, dotenv="REDIS_URL=\n", recorded=recorded).broker == "redis://127.0.0.1:3/0"
    dotenv = "REDIS_URL=redis://127.0.0.1:4/0\n"
    assert load({"REDIS_URL": ""}, dotenv=dotenv).broker == "redis://127.0.0.1:4/0"


def test_dotenv_takes_a_dollar_as_it_is(load):
    dotenv = "".join(f"{name}={value}\n" for name, value in REAL.items())
    chosen = load({}, dotenv=dotenv.replace("box-password", "'pa$$HOME'"))
    assert own(chosen, "onebox").password == "pa$$HOME"


SANDBOX_RUN = LOCAL | {"ORDERBRIDGE_SANDBOX": "1", "REDIS_URL": "redis://127.0.0.1:9/0"}


def test_second_terminal_finds_the_running_sandbox(load, tmp_path):
    chosen = load({}, recorded=SANDBOX_RUN)
    assert (chosen.sandbox, chosen.data) == (True, tmp_path / "sandbox")
    assert chosen.broker == "redis://127.0.0.1:9/0"
    assert own(chosen, "okliving").url == "http://127.0.0.1:1"


def test_record_of_a_sandbox_is_nothing_to_real_systems(load, tmp_path):
    chosen = load(REAL, recorded=SANDBOX_RUN)
    assert (chosen.sandbox, chosen.data) == (False, tmp_path)
    assert chosen.redis_url is None
    assert own(chosen, "okliving").url == REAL["OKLIVING_URL"]


def test_second_terminal_finds_the_broker_of_a_run_with_real_systems(load):
    chosen = load(REAL, recorded={"REDIS_URL": "redis://127.0.0.1:9/0"})
    assert (chosen.sandbox, chosen.broker) == (False, "redis://127.0.0.1:9/0")


@pytest.mark.parametrize("name", ["OKLIVING_URL", "ONEBOX_URL"])
def test_sandbox_never_reaches_off_this_machine(load, name):
    with pytest.raises(SettingsError, match="ORDERBRIDGE_SANDBOX"):
        load(LOCAL | {"ORDERBRIDGE_SANDBOX": "1", name: REAL[name]})
    with pytest.raises(SettingsError, match="never mixed"):
        load({"ORDERBRIDGE_SANDBOX": "1"}, recorded=SANDBOX_RUN | {name: REAL[name]})


def test_sandbox_is_always_live(load):
    chosen = load(LOCAL | {"ORDERBRIDGE_SANDBOX": "1", "ORDERBRIDGE_MODE": "shadow"})
    assert {one.mode for one in chosen.connections.values()} == {"live"}


def test_secrets_are_not_shown(load):
    hidden = {
        "OKLIVING_CLIENT_SECRET": "hidden-1",
        "ONEBOX_PASSWORD": "hidden-2",
        "ORDERBRIDGE_SECRET_KEY": "hidden-3",
        "ORDERBRIDGE_API_KEYS": "a:hidden-4-long-enough-for-a-key",
        "REDIS_URL": "rediss://:hidden-5@h/0",
        "DATABASE_URL": "postgresql://u:hidden-6@localhost/d",
        "ONEBOX_HOOK_SECRETS": "hidden-7-long-enough",
        "ONEBOX_HOOK_HMAC_KEY": "hidden-8",
    }
    chosen = load(REAL | hidden)
    assert "hidden" not in repr(chosen)
    assert "hidden" not in repr([own(chosen, name) for name in chosen.connections])


def test_people_are_told_in_english_unless_another_language_is_set(load):
    assert load({}).language == "en"
    assert load({"ORDERBRIDGE_LANGUAGE": "uk"}).language == "uk"
    with pytest.raises(SettingsError, match="ORDERBRIDGE_LANGUAGE must be one of en, uk"):
        load({"ORDERBRIDGE_LANGUAGE": "ru"})


def test_nobody_is_told_by_default(load):
    chosen = load({})
    assert (chosen.notify, chosen.heartbeat_url, chosen.notify_no_orders_hours) == ((), None, 0)
