"""Builds the Flask application that serves every HTTP door.

In: the resources. Out: a WSGI application. A new door is a blueprint of its own file, registered here.
"""

from __future__ import annotations

from flask import Flask

from gateway.health import health
from tasks.resources import Resources


def create_app(r: Resources) -> Flask:
    """The application over these resources."""
    app = Flask("orderbridge")
    app.config["RESOURCES"] = r
    app.register_blueprint(health)
    return app
