"""How a target's body is composed from an order: the forms a profile's `target:` may use.

A form has one word that says what it is (from, number, constant, template, lookup, parameter, fields,
list); a new form is one function in FORMS. What cannot be understood fails with FormError. Called by
target_profile.py as a profile is loaded.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mapping.fields import money
from mapping.order_view import SAMPLE, View
from mapping.paths import Getter, PathError, compile_path, is_dotted
from mapping.problems import Problem, shown

__all__ = ["TABLE_EMPTY", "Compose", "Context", "FormError", "compile_form"]

Compose = Callable[[View, list[Problem]], Any]

# A finding about the profile, and not about each order.
TABLE_EMPTY = "lookup_table_empty"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class FormError(ValueError):
    """A form of the profile cannot be understood; the message names its place."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a form may refer to: look-up tables and the parameters that settings give."""

    lookups: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]


def compile_form(spec: object, place: str, context: Context) -> Compose:
    """Compile one form of a profile's target.

    Out: a function from the view to the field's value (None or empty: the field is left out),
    which adds what it found to the problems. Raises FormError naming the place.
    """
    if not isinstance(spec, dict):
        raise FormError(f"{place}: a form such as {{from: order.id}} is needed, not {spec!r}")
    found = [word for word in FORMS if word in spec]
    # {lookup: payment, from: ...} has both words; the table is what it is about.
    word = "lookup" if "lookup" in found else found[0] if len(found) == 1 else None
    if word is None:
        raise FormError(f"{place}: exactly one of {', '.join(FORMS)} is needed")
    compile_one, options = FORMS[word]
    unknown = spec.keys() - options - {word, "when", "required"}
    if unknown:
        raise FormError(f"{place}: unknown key {', '.join(sorted(map(str, unknown)))}")
    compose = compile_one(spec, place, context)
    if "when" in spec:
        compose = _only_when(_path(spec["when"], f"{place}.when"), compose)
    return _required(compose, place) if spec.get("required") else compose


def _path(expression: object, place: str) -> Getter:
    if not isinstance(expression, str):
        raise FormError(f"{place}: a path is text, not {expression!r}")
    try:
        path = compile_path(expression)
    except PathError as error:
        raise FormError(f"{place}: {error}") from error
    if is_dotted(expression) and path(SAMPLE) is None:
        raise FormError(f"{place}: an order has no field {expression!r}")
    return path


def _only_when(condition: Getter, compose: Compose) -> Compose:
    return lambda seen, problems: compose(seen, problems) if condition(seen) else None


def _required(compose: Compose, place: str) -> Compose:
    field = place.removeprefix("target.")

    def checked(seen: View, problems: list[Problem]) -> Any:
        value = compose(seen, problems)
        if value in (None, "", [], {}):
            problems.append(Problem("target_field_missing", "held", field))
        return value

    return checked


def _from(spec: dict[str, Any], place: str, _: Context) -> Compose:
    path = _path(spec["from"], f"{place}.from")
    return lambda seen, _: path(seen)


def _number(spec: dict[str, Any], place: str, _: Context) -> Compose:
    """The same as `from`, as a JSON number: money is text in the view."""
    path = _path(spec["number"], f"{place}.number")
    field = place.removeprefix("target.")

    def read(seen: View, problems: list[Problem]) -> int | float | Decimal | None:
        value = path(seen)
        if value in (None, ""):
            return None
        try:
            return _exact(money(value))
        except ValueError:
            problems.append(Problem("unreadable", "held", field, before=shown(value)))
            return None

    return read


def _exact(number: Decimal) -> int | float | Decimal:
    """The number as JSON writes it with no digit more or less: as a float, unless that is another number."""
    if number == number.to_integral_value():
        return int(number)
    near = float(number)
    return near if Decimal(repr(near)) == number else number


def _constant(spec: dict[str, Any], _place: str, _: Context) -> Compose:
    value = spec["constant"]
    return lambda _seen, _problems: value


def _parameter(spec: dict[str, Any], place: str, context: Context) -> Compose:
    if not isinstance(spec["parameter"], str):
        raise FormError(f"{place}: a parameter's name is text")
    value = context.parameters.get(spec["parameter"])
    return lambda _seen, _problems: value


def _template(spec: dict[str, Any], place: str, _: Context) -> Compose:
    text = spec["template"]
    if not isinstance(text, str):
        raise FormError(f"{place}: a template is text, not {text!r}")
    for name in _PLACEHOLDER.findall(text):
        if not is_dotted(name):
            raise FormError(f"{place}: {{{name}}} is no field such as {{order.id}}")
    pieces = _PLACEHOLDER.split(text)
    paths = [_path(name, place) for name in pieces[1::2]]
    texts = pieces[::2]
    if any("{" in piece or "}" in piece for piece in texts):
        raise FormError(f"{place}: a brace without its pair in {text!r}")

    def fill(seen: View, _: list[Problem]) -> str:
        filled = texts[0]
        for path, following in zip(paths, texts[1:], strict=True):
            filled += f"{path(seen)}{following}"
        return filled

    return fill


def _lookup(spec: dict[str, Any], place: str, context: Context) -> Compose:
    table = context.lookups.get(spec["lookup"]) if isinstance(spec["lookup"], str) else None
    if table is None:
        raise FormError(f"{place}: there is no look-up table {spec['lookup']!r}")
    if "from" not in spec:
        raise FormError(f"{place}: a look-up needs `from`")
    path = _path(spec["from"], f"{place}.from")
    default = spec.get("default")
    field = place.removeprefix("target.")

    def look_up(seen: View, problems: list[Problem]) -> Any:
        key = path(seen)
        value = table.get(str(key), default)
        if value is None and key not in (None, "") and not spec.get("required"):
            problems.append(
                Problem("lookup_missing", "warning", field, before=shown(key))
                if table
                else Problem(TABLE_EMPTY, "warning", field, shown(key), detail=spec["lookup"])
            )
        return value

    return look_up


def _fields(spec: dict[str, Any], place: str, context: Context) -> Compose:
    inner = spec["fields"]
    if not isinstance(inner, dict):
        raise FormError(f"{place}: `fields` is a table of fields")
    composers = [(str(n), compile_form(s, f"{place}.{n}", context)) for n, s in inner.items()]

    def compose_all(seen: View, problems: list[Problem]) -> dict[str, Any]:
        body = {}
        for name, compose in composers:
            value = compose(seen, problems)
            if value is not None and value not in ("", [], {}):
                body[name] = value
        return body

    if "each" not in spec:
        return compose_all
    each = _path(spec["each"], f"{place}.each")

    def compose_each(seen: View, problems: list[Problem]) -> list[Any]:
        items = each(seen)
        if not isinstance(items, list):
            return []
        return [compose_all(seen | {"item": item}, problems) for item in items]

    return compose_each


def _list(spec: dict[str, Any], place: str, context: Context) -> Compose:
    inner = spec["list"]
    if not isinstance(inner, list):
        raise FormError(f"{place}: `list` is a list of forms")
    composers = [compile_form(s, f"{place}[{i}]", context) for i, s in enumerate(inner)]

    def compose_list(seen: View, problems: list[Problem]) -> list[Any]:
        items: list[Any] = []
        for compose in composers:
            value = compose(seen, problems)
            if isinstance(value, list):
                items += value
            elif value not in (None, "", {}):
                items.append(value)
        return items

    return compose_list


FORMS: dict[str, tuple[Callable[[dict[str, Any], str, Context], Compose], set[str]]] = {
    "from": (_from, set()),
    "number": (_number, set()),
    "constant": (_constant, set()),
    "template": (_template, set()),
    "parameter": (_parameter, set()),
    "lookup": (_lookup, {"from", "default"}),
    "fields": (_fields, {"each"}),
    "list": (_list, set()),
}
