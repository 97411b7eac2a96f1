"""What a door is, and how every request comes through its own: who may come in, how much, how often.

In: doors, each declared in a module of its own. Out: an application in which every address belongs to one of
them. What goes wrong at a door, an unknown address or a wrong method below it included, is answered in that
door's form. Called by gateway/app.py, which lists them; fails at start for an address without a door.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, g, request
from flask.typing import ResponseReturnValue
from flask_smorest import Blueprint as DocumentedBlueprint
from werkzeug.exceptions import HTTPException

from gateway.errors import JsonApi, Refusal, as_json, refusal_of
from gateway.rate import RateLimit
from gateway.tries import FailedTries, WrongSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One door.

    blueprint     its addresses; one of flask-smorest stands in the API's document
    below         the beginnings of its addresses, whole segments: what is asked for below them is asked of it
    largest       bytes of a body, 0: it takes none. Beyond them reading raises a 413: `get_data` and the form
                  before the first byte where a length is told, pieces of `request.stream` where it is passed
    authenticate  says who calls, by name; None: it does not matter. Raises Refusal; WrongSecret where a
                  secret was brought that is none, which counts against the caller's address
    form          makes the answer of a Refusal; its headers are added to any form
    rate          the name under which its callers are counted, each by itself; None: they are not
    """

    blueprint: Blueprint
    below: tuple[str, ...]
    largest: int = 0
    authenticate: Callable[[], str | None]
    form: Callable[[Refusal], ResponseReturnValue] = as_json
    rate: str | None = None


def register(
    app: Flask, api: JsonApi, doors: Sequence[Door], rate: RateLimit, tries: FailedTries
) -> None:
    """Open these doors and no other address; the last handlers of errors are those registered here. What a
    server may read of a body, by its path, is then in the configuration, as LARGEST.
    """
    for door in doors:
        documented = isinstance(door.blueprint, DocumentedBlueprint)
        (api if documented else app).register_blueprint(door.blueprint)
    by_name = {door.blueprint.name: door for door in doors}
    by_path = sorted(
        ((beginning, door) for door in doors for beginning in door.below),
        key=lambda found: -len(found[0]),
    )
    _demand_doors(app, by_name)

    def admit() -> None:
        # Where there is no door, there is nothing to protect: 404 and 405 say so to everyone.
        if request.endpoint is None:
            return
        door = by_name[request.blueprint or ""]
        request.max_content_length = request.max_form_memory_size = door.largest
        try:
            g.caller = door.authenticate()
        except WrongSecret:
            tries.count(door.blueprint.name)
            raise
        if door.rate is not None:
            rate.count(door.rate, g.caller)

    def form_of(name: str | None, path: str) -> Callable[[Refusal], ResponseReturnValue]:
        if name is not None:
            return by_name[name].form
        return next((door.form for start, door in by_path if _below(path, start)), as_json)

    def refuse(error: Exception) -> Response:
        refusal = refusal_of(error)
        response = app.make_response(form_of(request.blueprint, request.path)(refusal))
        response.headers.update(refusal.headers)
        return response

    def largest(path: str) -> int:
        return next((door.largest for start, door in by_path if _below(path, start)), 0)

    app.config["LARGEST"] = largest
    app.before_request(admit)
    app.register_error_handler(Exception, refuse)
    # flask-smorest has its own for these.
    app.register_error_handler(HTTPException, refuse)


def _below(path: str, start: str) -> bool:
    return path == start or path.startswith(f"{start}/")


def _demand_doors(app: Flask, by_name: dict[str, Door]) -> None:
    """An address that nobody guards must not come to be by forgetting a line."""
    for rule in app.url_map.iter_rules():
        door = by_name.get(rule.endpoint.rpartition(".")[0])
        if door is None or not any(_below(rule.rule, start) for start in door.below):
            raise LookupError(f"{rule.rule} is below no door")
