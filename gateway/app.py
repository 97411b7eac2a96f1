"""Builds the Flask application that serves every HTTP door.

In: the resources. Out: a WSGI application. A new door is a file of its own and a line in DOORS.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask

from gateway import (
    createorder,
    createorder_docs,
    createorder_openapi,
    docs,
    doors,
    errors,
    health,
    home,
    hook,
    keys,
    metrics,
    requests,
    updates,
)
from gateway.encoding import ReadableJson
from gateway.rate import RateLimit
from gateway.tries import FailedTries
from tasks.doorbell import Bell
from tasks.resources import Resources

DOORS: tuple[Callable[[Resources], doors.Door], ...] = (
    updates.door,
    createorder.door,
    createorder_docs.door,
    home.door,
    docs.door,
    hook.door,
    health.door,
    metrics.door,
)


def create_app(r: Resources) -> Flask:
    """The application over these resources."""
    app = Flask("orderbridge", static_folder=None)
    app.json = ReadableJson(app)
    app.config.update(RESOURCES=r, BELL=Bell(), **docs.CONFIG)
    # An address means what it says: no redirects to another spelling of it.
    app.url_map.merge_slashes = False
    requests.register(app)
    app.before_request(keys.directly(r.settings))
    api = errors.JsonApi(app)
    app.config["API"] = api
    doors.register(app, api, [door(r) for door in DOORS], RateLimit(r), FailedTries())
    createorder_openapi.describe(app, api)
    docs.complete(api, list(r.sources))
    return app
