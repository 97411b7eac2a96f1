"""Builds the Flask application that serves every HTTP door.

In: the resources. Out: a WSGI application. A new door is a blueprint of its own file, registered here; one
that takes no key is named in gateway/keys.py.
"""

from __future__ import annotations

from flask import Flask

from gateway import docs, errors, hook, keys, metrics, requests, updates
from gateway.body import MAX_BODY
from gateway.health import health
from gateway.rate import RateLimit
from tasks.doorbell import Bell
from tasks.resources import Resources


def create_app(r: Resources) -> Flask:
    """The application over these resources."""
    app = Flask("orderbridge", static_folder=None)
    app.config.update(
        RESOURCES=r,
        BELL=Bell(),
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        **docs.CONFIG,
    )
    # An address means what it says: no redirects to another spelling of it.
    app.url_map.merge_slashes = False
    rate = RateLimit(r)
    requests.register(app)
    keys.register(app, r, rate)
    api = errors.JsonApi(app)
    errors.register(app)
    api.register_blueprint(updates.blueprint)
    docs.complete(api, list(r.sources))
    app.register_blueprint(docs.create(api))
    app.register_blueprint(hook.create(r, rate))
    app.register_blueprint(health)
    app.register_blueprint(metrics.blueprint)
    return app
