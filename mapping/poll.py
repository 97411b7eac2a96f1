"""How a source is asked for its orders, and where its answer keeps them.

In: a window of aware times; an answer in any of its forms. Out: the body of the call; a page. An answer
without a list of orders is UnknownShape. Called by source_profile.py for the polls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mapping.fields import money
from mapping.paths import Getter, compile_path

__all__ = ["Page", "Poll", "UnknownShape", "compile_poll", "fill"]

ENVELOPES = ("orders", "data", "data.orders", "result.orders", "response.orders")


class UnknownShape(ValueError):  # noqa: N818  the task layer's word for it
    """A get-orders answer in which no order list was found; the poll must fail loudly."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a get-orders answer; without paging fields these are None."""

    orders: list[object]
    page: int | None = None
    pages: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """The call that asks one source for its orders; see compile_poll."""

    zone: ZoneInfo
    limit: int
    template: Any
    envelopes: tuple[Getter, ...]
    paging: Mapping[str, tuple[str, Getter]]
    key: Callable[[object], str | None]

    def body(self, start: datetime, end: datetime, page: int) -> dict[str, Any]:
        """Give the body of a get-orders call for a window of aware times.

        The shop reads it in its own time, to the second. A start in the hour that clocks repeat
        is moved before it: a window too wide costs nothing, one too narrow loses orders.
        """
        values = {
            "start": _text(_unambiguous(start.astimezone(self.zone), self.zone)),
            "end": _text(end.astimezone(self.zone)),
            "page": page,
            "limit": self.limit,
        }
        body: dict[str, Any] = fill(self.template, values)
        return body

    def page(self, answer: object) -> Page:
        """Find the orders and the page numbers in a get-orders answer, in any of its forms.

        Raises UnknownShape when there is no order list. Source: docs/contracts/okliving.md, "Calls".
        """
        for envelope in self.envelopes:
            found = envelope(answer)
            # PHP may write an empty list as an object; a whole answer without anything is odd.
            orders = [] if found == {} and found is not answer else self._orders(found)
            if orders is not None:
                return Page(
                    orders, *(self._number(answer, name) for name in ("page", "pages", "total"))
                )
        kind = "an object" if isinstance(answer, dict) else "no object"
        raise UnknownShape(f"get-orders answered {kind} without a list of orders in a known place")

    def _orders(self, found: object) -> list[object] | None:
        if isinstance(found, list):
            return found
        if isinstance(found, dict) and any(
            self.key(item) == key.strip() for key, item in found.items()
        ):
            return list(found.values())
        return None

    def _number(self, answer: object, name: str) -> int | None:
        leaf, get = self.paging[name]
        value = get(answer)
        if value is None and isinstance(answer, dict):
            inner = (answer.get(outer) for outer in ("result", "response", "data"))
            value = next((i[leaf] for i in inner if isinstance(i, dict) and leaf in i), None)
        try:
            number = money(value)
        except ValueError:
            return None
        return int(number) if number >= 0 and number == int(number) else None


def compile_poll(source: Mapping[str, Any], key: Callable[[object], str | None]) -> Poll:
    """Build the call from a profile's `source`; `key` finds an order's id. Raises PathError."""
    paging = source["page"]
    envelopes = [paging["orders"]] if "orders" in paging else ["@", *ENVELOPES]
    return Poll(
        zone=source["time_zone"],
        limit=source["poll"]["limit"],
        template=source["poll"]["body"],
        envelopes=tuple(compile_path(envelope) for envelope in envelopes),
        paging={
            name: (paging[name].rpartition(".")[2], compile_path(paging[name]))
            for name in ("page", "pages", "total")
        },
        key=key,
    )


def fill(template: Any, values: Mapping[str, object]) -> Any:
    """Put the values into a body's placeholders. Raises KeyError, ValueError, IndexError."""
    if isinstance(template, dict):
        return {key: fill(inner, values) for key, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, values) for inner in template]
    if not isinstance(template, str):
        return template
    # A placeholder alone keeps its type: a page is a number.
    alone = values.get(template[1:-1]) if template[:1] == "{" and template[-1:] == "}" else None
    return template.format_map(values) if alone is None else alone


def _unambiguous(local: datetime, zone: ZoneInfo) -> datetime:
    while local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        local = (local - timedelta(hours=1)).replace(tzinfo=zone, fold=0)
    return local


def _text(local: datetime) -> str:
    return local.strftime("%Y-%m-%d %H:%M:%S")
