"""The server under a stand-in takes any method with any body, and faults meet them all."""

import httpx
import pytest

from clients.base import HttpTransport
from clients.bodies import as_json as written
from clients.deadline import Deadline
from simulator.faults import Fault
from simulator.remote import Remote, as_json
from simulator.server import start

PATH = "/api/order/state"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Hub(Remote):
    """Answers at one path, each method in its own way; another path takes PATCH and DELETE only."""

    def routes(self):
        def route(method):
            async def answer(call):
                self.applied.append((method, call.body))
                return as_json(200, {"as": method, "got": call.body})

            return answer

        one = {(method, PATH): route(method) for method in METHODS}
        return one | {(method, "/two"): route(method) for method in ("PATCH", "DELETE")}

    def ids_in(self, body):
        return set()


@pytest.fixture
def hub():
    app = Hub()
    app.applied = []
    with start(app) as server, httpx.Client(base_url=server.url, verify=False) as client:
        yield app, client


@pytest.mark.parametrize("method", METHODS)
def test_a_method_reaches_its_own_route_with_its_body(hub, method):
    app, client = hub
    answer = client.request(method, PATH, json={"request_ID": "1"})

    assert answer.json() == {"as": method, "got": {"request_ID": "1"}}
    assert (app.requests[-1].method, app.requests[-1].path) == (method, PATH)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_without_a_body_is_taken_too(hub, method):
    _, client = hub
    assert client.request(method, PATH).json() == {"as": method, "got": None}


def test_what_a_path_does_not_take_is_405_and_says_what_it_takes(hub):
    app, client = hub
    refused = client.get("/two")

    assert (refused.status_code, refused.headers["Allow"]) == (405, "DELETE, PATCH")
    assert client.get("/three").status_code == 404
    assert app.applied == []


@pytest.mark.parametrize("method", METHODS)
def test_a_fault_meets_every_method(hub, method):
    app, client = hub
    app.faults.add(Fault("status", status=503, effect="applied", times=1))

    assert client.request(method, PATH, json={}).status_code == 503
    assert app.applied == [(method, {})]


def test_the_log_tells_the_method_by_the_control_door_too(hub):
    _, client = hub
    client.patch(PATH, json={})
    (entry,) = client.get("/_sim/requests").json()

    assert (entry["method"], entry["path"], entry["status"]) == ("PATCH", PATH, 200)


@pytest.mark.parametrize("method", METHODS)
def test_the_products_transport_and_the_stand_in_agree(hub, method):
    _, client = hub
    with HttpTransport(str(client.base_url)) as http:
        answer = http.request(method, PATH, {}, Deadline(5.0), content=written({"a": "ї"}))

    assert answer.json == {"as": method, "got": {"a": "ї"}}
