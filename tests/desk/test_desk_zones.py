"""By which clock a person reads the times of a connection's rows: its shop's, else the machine's."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from connection import PROFILES
from connectors.registry import KINDS
from desk.zones import Zones

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def zones(kind="okliving", profile=None):
    return Zones(SimpleNamespace(connections={"shop": SimpleNamespace(kind=kind, profile=profile)}))


def test_the_shipped_profile_says_the_zone_where_no_other_is_named():
    assert zones().of("shop") == ZoneInfo("Europe/Kyiv")
    assert zones().local(NOW, "shop").isoformat() == "2026-11-21T14:00:00+02:00"


def test_a_profile_of_its_own_says_another(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("source: {time_zone: Asia/Tokyo}")
    assert zones(profile=own).of("shop") == ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    "text",
    ["", "[", "- 1", "source: 1", "source: {}", "source: {time_zone: 5}", "\x00"]
    + [f"source: {{time_zone: {name!r}}}" for name in ("", "Nowhere/There", "../etc/passwd")],
)
def test_a_profile_that_says_none_means_the_machines(tmp_path, text):
    own = tmp_path / "own.yaml"
    own.write_text(text)
    assert zones(profile=own).of("shop") is None


def test_orders_of_a_sandbox_that_is_stopped_keep_their_clock():
    assert zones().of("okliving") == ZoneInfo("Europe/Kyiv")


def test_a_connection_that_is_configured_no_more_and_one_without_a_profile_have_the_machines(
    tmp_path,
):
    assert zones().of("gone") is None
    assert zones(kind="onebox").of("shop") is None
    assert zones(profile=tmp_path / "away.yaml").of("shop") is None
    assert zones().local(NOW, "gone") == NOW


@pytest.mark.parametrize(
    ("zone", "shown"), [("Europe/Kyiv", ZoneInfo("Europe/Kyiv")), ("Asia/Tokyo", None)]
)
def test_a_target_has_the_one_zone_of_its_shops(tmp_path, zone, shown):
    own = tmp_path / "own.yaml"
    own.write_text(f"source: {{time_zone: {zone}}}")
    shops = {
        name: SimpleNamespace(kind="okliving", profile=profile, target="box")
        for name, profile in (("a", None), ("b", own))
    }
    assert Zones(SimpleNamespace(connections=shops)).of_target("box") == shown


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.brings])
def test_a_kind_that_brings_orders_is_shipped_with_a_profile_of_its_name(kind):
    assert KINDS[kind].profile == f"{kind}.yaml"
    assert (PROFILES / f"{kind}.yaml").is_file()
