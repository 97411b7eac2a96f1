"""The stand-in of the shop OK Living: logins, get-orders and update-order as in docs/contracts/okliving.md.

Change it when that contract changes. The state machines are data, at the top.
"""

import asyncio
import bisect
import copy
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

import orjson

from simulator.generator import Generator
from simulator.remote import Answer, Call, Refused, Remote, Routes, as_json
from simulator.samples import SHOP_ZONE, shop_time

Mode = Literal["window", "all", "new"]
Envelope = Literal["orders", "data", "result.orders", "response.orders", "list", "by_id"]
Paging = Literal["fields", "total", "plain", "none"]
Grant = Literal["both", "form", "json"]

# docs/contracts/okliving.md, "Statuses are actions on two state machines": state -> action -> next state.
ORDER_MACHINE: Mapping[str, Mapping[str, str]] = {
    "open": {"process": "in_progress", "cancel": "cancelled", "reopen": "open"},
    "in_progress": {"process": "in_progress", "complete": "completed", "cancel": "cancelled"},
    "completed": {"complete": "completed", "reopen": "open"},
    "cancelled": {"cancel": "cancelled", "reopen": "open"},
}
DELIVERY_MACHINE: Mapping[str, Mapping[str, str]] = {
    "open": {
        "ship": "shipped",
        "ship_partially": "shipped_partially",
        "cancel": "cancelled",
        "reopen": "open",
    },
    "shipped": {
        "ship": "shipped",
        "cancel": "cancelled",
        "retour": "returned",
        "retour_partially": "returned_partially",
        "reopen": "open",
    },
    "shipped_partially": {
        "ship": "shipped",
        "ship_partially": "shipped_partially",
        "cancel": "cancelled",
        "retour": "returned",
        "retour_partially": "returned_partially",
        "reopen": "open",
    },
    "returned": {"retour": "returned", "reopen": "open"},
    "returned_partially": {
        "retour": "returned",
        "retour_partially": "returned_partially",
        "reopen": "open",
    },
    "cancelled": {"cancel": "cancelled", "reopen": "open"},
}
MACHINES = {"order": ORDER_MACHINE, "delivery": DELIVERY_MACHINE}
STATE_FIELD = {"order": "status", "delivery": "delivery_status"}

# docs/contracts/okliving.md, "Errors": so many failed logins lock the address for so many seconds.
LOCKS = {10: 10.0, 15: 30.0}
LONG_LOCK = 60.0
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
UPDATE_FIELDS = frozenset({"id", "tracking_number", "statuses", "note"})
AFTER_ALL_IDS = "\U0010ffff"


@dataclass(slots=True)
class Stored:
    """One order: as sent to the shop, and as it goes out."""

    raw: Any
    json: bytes
    updated_at: str


@dataclass(kw_only=True, eq=False)
class Shop(Remote):
    """The shop. Options are attributes and may be changed while it runs.

    mode      window honours updated_at, all gives everything, new gives each order only once
    envelope  where the list stands; paging: with fields, with a total alone, honoured without fields,
              or one page
    max_limit orders on a page at most, whatever is asked for
    edits     orders that someone changes right after each page is read, those at the front of the list:
              they leave the window, and what stood behind them moves forward
    grant     which forms of the token request are taken; token_life in seconds
    atomic    whether an update-order with one bad part changes nothing
    touches   whether an update moves the order's updated_at
    trickle   seconds between invented new orders (0: none); history: orders at the first start
    """

    client_id: str = "SWIASANDBOXOKLIVING"
    client_secret: str = "sandbox-secret"  # noqa: S105  of the sandbox, guards nothing
    mode: Mode = "window"
    envelope: Envelope = "orders"
    paging: Paging = "fields"
    grant: Grant = "both"
    token_life: float = 600.0
    max_limit: int = 500
    atomic: bool = True
    touches: bool = True
    edits: int = 0
    trickle: float = 0.0
    history: int = 0
    seed: int | None = None

    orders: dict[str, Any] = field(default_factory=dict, init=False)
    updates: list[dict[str, Any]] = field(default_factory=list, init=False)
    notes: dict[str, list[str]] = field(default_factory=dict, init=False)
    tokens: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    failed_logins: int = field(default=0, init=False)
    _stored: dict[str, Stored] = field(default_factory=dict, init=False, repr=False)
    _index: list[tuple[str, str]] = field(default_factory=list, init=False, repr=False)
    _unread: dict[str, None] = field(default_factory=dict, init=False, repr=False)
    _locked_until: float = field(default=0.0, init=False)
    _generator: Generator = field(init=False, repr=False)

    TOKEN: ClassVar[str] = "/api/oauth/token"  # noqa: S105  a path
    GET_ORDERS: ClassVar[str] = "/api/get-orders"
    UPDATE_ORDER: ClassVar[str] = "/api/update-order"

    def __post_init__(self) -> None:
        self.name = "shop"
        self._generator = Generator(self.seed)
        if not self.open_journal():
            for order in self._generator.past(self.history, self.now()):
                self.add(order)

    def routes(self) -> Routes:
        return {
            ("POST", self.TOKEN): self._token,
            ("POST", self.GET_ORDERS): self._get_orders,
            ("POST", self.UPDATE_ORDER): self._update_order,
        }

    def now(self) -> datetime:
        """Shop time (Europe/Kyiv)."""
        return datetime.fromtimestamp(self.clock(), tz=SHOP_ZONE)

    def add(self, order: Any) -> str:
        """Take an order as it is, however odd, and answer its id; a known id is replaced.

        An order without an id gets a name of the form `?N` here and stays without in the answers.
        """
        with self.lock:
            has_id = isinstance(order, dict) and order.get("id") not in (None, "")
            key = str(order["id"]) if has_id else f"?{len(self._stored)}"
            self._put(key, order)
            self.keep("order", key, order)
            return key

    def edit(self, key: str, **changes: Any) -> None:
        """Change an order as the merchant does: its `updated_at` is now."""
        with self.lock:
            edited = self.orders[key] | {"updated_at": shop_time(self.now())} | changes
            self._put(key, edited)
            self.keep("order", key, edited)

    def controls(self) -> Mapping[str, Callable[[Any], Any]]:
        return {"orders": self._take, "invent": self._invent, "edit": self._edit}

    def _take(self, said: Any) -> Any:
        """Orders as they are, however odd."""
        return {"added": self.orders_in(said if isinstance(said, list) else [said])}

    def _invent(self, said: dict[str, Any]) -> Any:
        """A new order, good but for what is said of it."""
        with self.lock:
            order = self._generator.good(self._next_number(), self.now())
            for path, value in wanted(order, said):
                put(order, path, value)
            return {"id": self.add(order)}

    def _edit(self, said: dict[str, Any]) -> Any:
        """A merchant's correction."""
        with self.lock:
            key = str(said.get("id"))
            if key not in self.orders:
                raise ValueError(f"The shop has no order {key}.")
            order = copy.deepcopy(self.orders[key])
            changes = wanted(order, said)
            for path, value in changes:
                put(order, path, value)
            self.edit(key, **{name: value for name, value in order.items() if name != "updated_at"})
            return {"changed": [path for path, _ in changes]}

    def orders_in(self, orders: list[Any]) -> int:
        for order in orders:
            self.add(order)
        return len(orders)

    def kill_tokens(self) -> None:
        self.tokens.clear()

    def refusal(self, text: str) -> Answer:
        return error(400, "OKLIVING__ORDER_REFUSED", text)

    def ids_in(self, body: Any) -> set[str]:
        """The order of an update; of a list the page, as "page 3", so that a fault can choose pages."""
        args = body.get("args") if isinstance(body, dict) else None
        if not isinstance(args, dict):
            return set()
        order = args.get("order")
        if isinstance(order, dict):
            return {str(order.get("id"))}
        return {f"page {args['page']}"} if "page" in args else set()

    def state(self) -> dict[str, Any]:
        with self.lock:
            return super().state() | {
                "orders": len(self.orders),
                "unread": len(self._unread),
                "updates": list(self.updates),
                "notes": dict(self.notes),
                "statuses": {
                    key: {part: order.get(name) for part, name in STATE_FIELD.items()}
                    for key, order in self.orders.items()
                    if isinstance(order, dict)
                },
            }

    def replay(self, event: list[Any]) -> None:
        match event:
            case ["order", key, order]:
                self._put(key, order)
            case ["update", effect]:
                self._note_effect(effect)
            case ["read", keys]:
                for key in keys:
                    self._unread.pop(key, None)

    async def background(self) -> None:
        """Invent a plausible order about every `trickle` seconds."""
        while self.trickle > 0:
            await asyncio.sleep(self.trickle * self._generator.dice.uniform(0.5, 1.5))
            self.add(self._generator.order(self._next_number(), self.now()))

    def _next_number(self) -> int:
        with self.lock:
            numbers = (int(key) for key in self.orders if key.isdecimal())
            return max(numbers, default=self._generator.first_number - 1) + 1

    def _put(self, key: str, order: Any) -> None:
        known = self._stored.get(key)
        if known is not None:
            at = bisect.bisect_left(self._index, (known.updated_at, key))
            del self._index[at]
        else:
            self._unread[key] = None
        updated_at = order.get("updated_at") if isinstance(order, dict) else None
        if not isinstance(updated_at, str):
            updated_at = shop_time(self.now())
        self._stored[key] = Stored(order, orjson.dumps(order), updated_at)
        self.orders[key] = order
        bisect.insort(self._index, (updated_at, key))

    async def _token(self, call: Call) -> Answer:
        now = self.clock()
        if now < self._locked_until:
            return throttled(self._locked_until - now)
        wrong_form = self.grant != "both" and call.form != (self.grant == "form")
        body = call.body
        if wrong_form or not isinstance(body, dict) or "grant_type" not in body:
            return error(400, "3", "The request is missing a required parameter")
        if body["grant_type"] != "client_credentials":
            return error(400, "2", "The authorization grant type is not supported")
        if (body.get("client_id"), body.get("client_secret")) != (
            self.client_id,
            self.client_secret,
        ):
            self._count_failed_login(now)
            return error(401, "4", "Client authentication failed")
        self.failed_logins = 0
        token = secrets.token_urlsafe(24)
        self.tokens[token] = now + self.token_life
        life = int(self.token_life)
        return as_json(200, {"token_type": "Bearer", "expires_in": life, "access_token": token})

    def _count_failed_login(self, now: float) -> None:
        self.failed_logins += 1
        seconds = LOCKS.get(self.failed_logins, 0.0)
        if self.failed_logins >= 20:
            seconds = LONG_LOCK
        self._locked_until = now + seconds

    def _check_bearer(self, call: Call) -> None:
        kind, _, token = call.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, 0.0) <= self.clock():
            raise Refused(error(401, "9", "Access token could not be verified"))

    async def _get_orders(self, call: Call) -> Answer:
        self._check_bearer(call)
        args = args_of(call)
        page, limit = whole(args, "page", 1), min(whole(args, "limit", 100), self.max_limit)
        with self.lock:
            chosen = list(self._unread) if self.mode == "new" else self._select(args)
            if self.mode == "new":
                first, total, pages = 0, len(chosen) + (page - 1) * limit, page - 1
            else:
                first, total, pages = (page - 1) * limit, len(chosen), 0
            pages += -(-len(chosen) // limit)
            keys = chosen if self.paging == "none" else chosen[first : first + limit]
            if self.mode == "new":
                self._mark_read(keys)
            answer = Answer(200, self._wrap(keys, page, max(pages, 1), total))
            for key in chosen[: self.edits]:
                if isinstance(self.orders[key], dict):
                    self.edit(key)
            return answer

    def _select(self, args: dict[str, Any]) -> list[str]:
        chosen = self._index
        if self.mode == "window":
            window = window_of(args)
            first = bisect.bisect_left(chosen, (window[0], ""))
            chosen = chosen[first : bisect.bisect_right(chosen, (window[1], AFTER_ALL_IDS))]
        return [key for _, key in chosen]

    def _mark_read(self, keys: list[str]) -> None:
        if keys:
            for key in keys:
                self._unread.pop(key, None)
            self.keep("read", keys)

    def _wrap(self, keys: list[str], page: int, pages: int, total: int) -> bytes:
        """The answer's bytes, from orders that are serialised already."""
        paging = b""
        if self.paging == "fields":
            paging = b',"page":%d,"pages":%d,"total":%d' % (page, pages, total)
        elif self.paging == "total":
            paging = b',"total":%d' % total
        if self.envelope == "by_id":
            pairs = (orjson.dumps(key) + b":" + self._stored[key].json for key in keys)
            return b"{" + b",".join(pairs) + b"}"
        orders = b"[" + b",".join([self._stored[key].json for key in keys]) + b"]"
        if self.envelope == "list":
            return orders
        outer, _, inner = self.envelope.rpartition(".")
        body = b'{"%s":%s%s}' % (inner.encode(), orders, paging)
        return b'{"%s":%s}' % (outer.encode(), body) if outer else body

    async def _update_order(self, call: Call) -> Answer:
        self._check_bearer(call)
        order = checked_update(args_of(call).get("order"))
        with self.lock:
            stored = self.orders.get(order["id"])
            if not isinstance(stored, dict):
                raise Refused(error(404, "CHECKOUT__ORDER_NOT_FOUND", "Order not found"))
            self._apply(order, stored)
        return as_json(200, {"success": True, "id": order["id"]})

    def _apply(self, sent: dict[str, Any], stored: dict[str, Any]) -> None:
        """Change the order; when not atomic, the parts before an illegal one stay."""
        wanted = sent.get("statuses", {})
        if self.atomic:
            for part, action in wanted.items():
                next_state(part, str(stored.get(STATE_FIELD[part], "open")), action)
        changed = dict(stored)
        effect: dict[str, Any] = {"id": sent["id"], "at": self.clock(), "moves": {}, "statuses": {}}
        try:
            if number := sent.get("tracking_number"):
                changed["shipping"] = (stored.get("shipping") or {}) | {"tracking_number": number}
                effect["tracking_number"] = number
            for part, action in wanted.items():
                before = str(changed.get(STATE_FIELD[part], "open"))
                after = next_state(part, before, action)
                changed[STATE_FIELD[part]] = after
                effect["statuses"][part] = action
                if after != before:
                    effect["moves"][part] = [before, after]
            if "note" in sent:
                effect["note"] = sent["note"]
        finally:
            if effect.keys() & {"tracking_number", "note"} or effect["statuses"]:
                self._commit(effect, changed)

    def _commit(self, effect: dict[str, Any], changed: dict[str, Any]) -> None:
        if self.touches:
            changed["updated_at"] = shop_time(self.now())
        self._put(effect["id"], changed)
        self.keep("order", effect["id"], changed)
        self._note_effect(effect)
        self.keep("update", effect)

    def _note_effect(self, effect: dict[str, Any]) -> None:
        self.updates.append(effect)
        if "note" in effect:
            self.notes.setdefault(effect["id"], []).append(effect["note"])


def wanted(order: dict[str, Any], said: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Which fields are to say what: those that a person calls by other names, and any by its path."""
    changes: list[tuple[str, Any]] = []
    people = ["recipient", "customer"]
    if (order.get("recipient") or {}).get("is_other"):
        people = ["recipient"]
    for one in people:
        if "phone" in said:
            changes.append((f"{one}.phone", said["phone"]))
        if "name" in said:
            last, _, first = said["name"].strip().partition(" ")
            first, last = (first, last) if first else (last, "")
            changes += [(f"{one}.first_name", first), (f"{one}.last_name", last)]
    if "total" in said:
        changes.append(("total", said["total"]))
    return changes + list(said.get("set", {}).items())


def put(order: dict[str, Any], path: str, value: Any) -> None:
    """Write one field. Raises TypeError where the path leads through something that has no fields."""
    *above, last = path.split(".")
    place: Any = order
    for name in above:
        place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if place is None:
            break
    if not isinstance(place, dict):
        raise TypeError(f"There is no field {path} in this order; it has {', '.join(order)}.")
    place[last] = value


def args_of(call: Call) -> dict[str, Any]:
    """`args` of a JSON request; empty when left out, a 400 when it is no object."""
    if call.form or not isinstance(call.body, dict):
        raise Refused(error(400, "FRAMEWORK__INVALID_JSON", "The body is not a JSON object"))
    args = call.body.get("args", {})
    if not isinstance(args, dict):
        raise invalid("args is not an object")
    return args


def whole(args: dict[str, Any], name: str, default: int) -> int:
    value = args.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"{name} must be a positive whole number")
    return value


def window_of(args: dict[str, Any]) -> tuple[str, str]:
    """updated_at.from and .to in shop time, both inclusive; a missing end is open."""
    chosen = args.get("filter", {})
    times = chosen.get("updated_at", {}) if isinstance(chosen, dict) else None
    if not isinstance(times, dict):
        raise invalid("filter.updated_at is not an object")
    first, last = times.get("from", "0000"), times.get("to", "9999")
    for value in times.values():
        try:
            # The shop's own format is what is being checked: it has no offset by contract.
            datetime.strptime(value, TIME_FORMAT)  # noqa: DTZ007
        except (TypeError, ValueError):
            raise invalid("filter.updated_at: use YYYY-MM-DD HH:MM:SS") from None
    return first, last


def checked_update(order: Any) -> dict[str, Any]:
    """Refuse what docs/contracts/okliving.md, "Calls", forbids: null, empty, unknown fields, ids no text."""
    if not isinstance(order, dict) or not isinstance(order.get("id"), str) or not order["id"]:
        raise invalid("order.id must be a non-empty string")
    if unknown := sorted(set(order) - UPDATE_FIELDS):
        raise invalid(f"unknown fields: {', '.join(unknown)}")
    for name in ("tracking_number", "note"):
        if name in order and (not isinstance(order[name], str) or not order[name].strip()):
            raise invalid(f"{name} must be a non-empty string")
    if "statuses" in order:
        check_statuses(order["statuses"])
    return order


def check_statuses(statuses: Any) -> None:
    if not isinstance(statuses, dict) or not statuses:
        raise invalid("statuses must be a non-empty object")
    if unknown := sorted(set(statuses) - set(MACHINES)):
        raise invalid(f"unknown statuses: {', '.join(unknown)}")
    if not all(isinstance(action, str) and action for action in statuses.values()):
        raise invalid("an action must be a non-empty string")


def next_state(part: str, state: str, action: str) -> str:
    """Where an action leads; raises Refused with the possible ones when it is illegal."""
    ways = MACHINES[part].get(state, {})
    if action in ways:
        return ways[action]
    possible = [name for name, after in ways.items() if after != state]
    text = f'Illegal transition "{action}" from state "{state}" for {part}'
    refused = {"possibleTransitions": possible, "transition": action, "fromState": state}
    raise Refused(error(400, "SYSTEM__ILLEGAL_STATE_TRANSITION", text, refused))


def invalid(text: str) -> Refused:
    return Refused(error(400, "OKLIVING__INVALID_REQUEST", text))


def throttled(seconds: float) -> Answer:
    wait = max(1, round(seconds))
    text = f"Auth throttled for {wait} seconds."
    return error(429, "FRAMEWORK__AUTH_THROTTLED", text, {"seconds": wait})


def error(status: int, code: str, detail: str, parameters: dict[str, Any] | None = None) -> Answer:
    """An error in Shopware's form (docs/contracts/okliving.md, "Errors")."""
    titles = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
    one = {
        "code": code,
        "status": str(status),
        "title": titles[status],
        "detail": detail,
        "meta": {"parameters": parameters or {}},
    }
    return as_json(status, {"errors": [one]})
