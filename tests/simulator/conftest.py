"""Logged-in HTTP clients of both stand-ins; add here only what several of these tests share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from simulator.crm import Crm
from simulator.server import Running, start
from simulator.shop import Shop


@pytest.fixture
def running() -> Iterator[Callable[..., tuple[Running, httpx.Client]]]:
    """Start a stand-in and give it with a client that has logged in."""
    with ExitStack() as stack:

        def begin(app):
            server = stack.enter_context(start(app))
            client = stack.enter_context(httpx.Client(base_url=server.url, timeout=5, verify=False))
            log_in(app, client)
            return server, client

        yield begin


def log_in(app, client):
    if isinstance(app, Shop):
        form = {
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
        }
        answer = client.post(Shop.TOKEN, data=form).json()
        client.headers["Authorization"] = f"Bearer {answer['access_token']}"
    else:
        credentials = {"login": app.login, "restapipassword": app.password}
        answer = client.post(Crm.TOKEN, json=credentials).json()
        client.headers["token"] = answer["dataArray"]["token"]
