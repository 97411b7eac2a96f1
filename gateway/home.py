"""The page at `/`: what this is, how it stands, and where the documents are, for whoever opens the address.

In: the resources. Out: a page in the browser's language, open to everyone as `/readyz` is, from which it has
its figures: nothing of any order.
"""

from __future__ import annotations

from importlib.metadata import version

from flask import Blueprint, Response, current_app

from gateway.doors import Door
from gateway.health import not_ready
from gateway.keys import everyone
from gateway.pages import TEMPLATES, answer, rendered
from gateway.words import language, told
from mapping.problems import phrases
from tasks.resources import Resources

home = Blueprint("home", __name__, template_folder=str(TEMPLATES))
VERSION = version("orderbridge")


def door(_: Resources) -> Door:
    """The door of the page."""
    return Door(blueprint=home, below=("/",), authenticate=everyone, rate="page")


# An empty path means the same, and is not sent elsewhere.
@home.get("/", strict_slashes=False)
def show() -> Response:
    chosen = language()
    page = rendered(
        "home.html",
        lang=chosen,
        version=VERSION,
        text=phrases("page", chosen),
        missing=[told(one) for one in not_ready(current_app.config["RESOURCES"])],
    )
    response = answer(page)
    response.headers["Vary"] = "Accept-Language"
    return response
