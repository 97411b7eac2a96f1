"""Where a source keeps what makes an order: a profile's paths, joined and read.

In: the compiled paths of `order` in a source's profile; then an order as JSON. Out: values by field, for the
order's schema. Nothing fails. Called by source_profile.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mapping.fields import order_key
from mapping.paths import Getter
from mapping.source_schema import GROUPS

__all__ = ["Places", "compile_places"]


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group of the order's fields lies and how each of them is found there."""

    at: Getter
    getters: Mapping[str, Getter]

    def read(self, found: dict[str, Any]) -> dict[str, Any]:
        """Give what is there, without what is null: absent and null are one."""
        read = {}
        for name, get in self.getters.items():
            value = get(found)
            if value is not None:
                read[name] = value
        return read


@dataclass(frozen=True, slots=True)
class Places:
    """Where a source keeps what the order's schema reads. `empty_order_line` stands for the positions of an
    order without any.
    """

    flat: Group
    groups: Mapping[str, Group]
    is_other: Getter
    empty_order_line: Mapping[str, Any] | None = None

    def value(self, raw: object, name: str) -> object:
        """Give one of the order's own fields, such as its id."""
        get = self.flat.getters.get(name)
        return get(raw) if get is not None and isinstance(raw, dict) else None

    def key(self, raw: object) -> str | None:
        """Give the order's id as text, or None when there is none to keep it by."""
        return order_key(self.value(raw, "id"))

    def extract(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Take what the order's schema reads from where this source keeps it."""
        values = self.flat.read(raw)
        for name, group in self.groups.items():
            found = group.at(raw)
            if name == "lines":
                values[name] = _items(found, group)
            elif isinstance(found, dict):
                values[name] = group.read(found)
            else:
                # PHP writes an empty object as [] or false.
                values[name] = found or {}
        if self.empty_order_line is not None and not values["lines"]:
            values["lines"] = [self.empty_order_line]
        found = self.groups["recipient"].at(raw)
        values["recipient_is_blank"] = _is_blank(found, values["recipient"])
        is_other = self.is_other(found)
        if is_other is not None:
            values["recipient_is_other"] = is_other
        return {name: value for name, value in values.items() if value is not None}


def compile_places(order: Mapping[str, Any], empty_order_line: Mapping[str, str] | None) -> Places:
    """Join the paths of a profile's `order` with what stands for an order's positions where it has none."""
    is_other: Getter = order.get("recipient", {}).pop("is_other", _nothing)
    stands = {"quantity": 1, "price": 0, "total": 0}
    return Places(
        flat=Group(_itself, {n: get for n, get in order.items() if n not in GROUPS}),
        groups={name: _group(order.get(name, {"at": _nothing})) for name in GROUPS},
        is_other=is_other,
        empty_order_line=None if empty_order_line is None else {**empty_order_line, **stands},
    )


def _group(paths: dict[str, Getter]) -> Group:
    at = paths.get("at", _itself)
    return Group(at, {name: get for name, get in paths.items() if name != "at"})


def _itself(value: object) -> object:
    return value


def _nothing(_: object) -> None:
    return None


def _items(found: object, group: Group) -> object:
    if isinstance(found, dict) and all(isinstance(item, dict) for item in found.values()):
        found = list(found.values())
    if not isinstance(found, list):
        return found
    return [group.read(item) if isinstance(item, dict) else item for item in found]


def _is_blank(found: object, values: object) -> bool:
    """Tell whether the shop names no recipient: no value at all, in fields we know or not."""
    if not isinstance(found, dict):
        return not found
    known = values.values() if isinstance(values, dict) else ()
    words = [v for v in found.values() if isinstance(v, str | dict | list) and v]
    return not any(v for v in known) and not [
        w for w in words if not isinstance(w, str) or w.strip()
    ]
