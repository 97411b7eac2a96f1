"""A simulator for each connection of a sandbox, and what the variables are to say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import connections_file
import default_pair
from connections_file import SettingsError
from run.ports import Ports
from run.sandbox import doubles
from simulator.__main__ import parser

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(tmp_path):
    ports = Ports()
    yield lambda entries: {double.name: double for double in doubles(entries, tmp_path, ports)}
    ports.close()


def test_default_pair_gets_all_its_variables(started, monkeypatch):
    for name in default_pair.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    made = started(default_pair.entries([]))
    assert list(made) == ["shop", "crm"]
    variables = made["shop"].variables | made["crm"].variables
    assert set(variables) == set(default_pair.VARIABLES)
    assert all(variables.values())
    assert (variables["OKLIVING_URL"], variables["ONEBOX_STATUS_ID"]) == (made["shop"].url, "1")
    assert made["crm"].secrets == {"SIM_PASSWORD": variables["ONEBOX_PASSWORD"]}


def test_only_what_calls_a_system_gets_a_simulator(started, monkeypatch):
    """A door for orders has none; a service has one that takes what it is started with."""
    monkeypatch.delenv("CREATEORDER_URL", raising=False)
    pair = default_pair.entries([])
    assert list(started(pair)) == ["shop", "crm"]
    monkeypatch.setenv("CREATEORDER_URL", "https://orders.example.com")
    assert list(started(default_pair.entries([]))) == ["shop", "crm", "service"]
    values = {"kind": "createorder", "url": "${SERVICE_URL}", "tenant": "us"}
    service = started([replace(pair[2], name="service", values=values)])["service"]
    assert service.variables == {"SERVICE_URL": service.url}
    assert service.arguments[0] == "service"
    assert service.arguments[-2:] == ("--tenant", "us")
    assert "--trickle" not in service.arguments


def test_each_connection_of_the_example_gets_a_simulator_of_its_own(started):
    file = connections_file.read(ROOT / "docs/examples/two-shops.yaml")
    assert file.sandbox
    made = started(file.entries)
    assert list(made) == ["north", "south", "north-box", "south-box"]
    assert len({double.url for double in made.values()}) == 4
    asked = {name for e in file.entries for names in e.variables().values() for name in names}
    told = {name: value for double in made.values() for name, value in double.variables.items()}
    assert set(told) == asked
    assert told["NORTH_CLIENT_SECRET"] != told["SOUTH_CLIENT_SECRET"]
    assert len(told["NORTH_BOX_HOOK_SECRET"]) >= 16
    for double in made.values():
        options = parser().parse_args(list(double.arguments))
        assert getattr(options, "workflow_id", "11") == "11", "what the file says is simulated"


def test_what_no_simulator_can_stand_for_is_refused(started):
    shop, box, _ = default_pair.entries([])
    with pytest.raises(SettingsError, match="Did you mean onebox"):
        started([replace(box, values={**box.values, "kind": "onebx"})])
    with pytest.raises(SettingsError, match=r"must be one \$\{NAME\} alone"):
        started([replace(shop, values={**shop.values, "url": "https://${HOST}/"})])
