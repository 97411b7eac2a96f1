"""The stand-in of a service that speaks CreateOrder, as in docs/contracts/createorder.md.

Change it when that contract changes. It answers as the samples of its text do. It stands in for a tenant too:
it takes the callbacks by which one is told of its orders (POST /callback).
"""

import hashlib
import hmac
import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from simulator.remote import Answer, Call, Refused, Remote, Routes, as_json

AddressPolicy = Literal["one", "optional"]
ErrorStatus = Literal["http", "ok"]

# Codes of a refusal, and the HTTP status of each where errors have one of their own.
VALIDATION, ACCOUNT, ADDRESS, CATALOG, TENANT, OWN = 1, 2, 3, 4, 5, 9
STATUSES = {VALIDATION: 422, ACCOUNT: 404, ADDRESS: 422, CATALOG: 422, TENANT: 404, OWN: 500}
KEY_REUSED = 409
TIMES = "%Y-%m-%d %H:%M:%S"
# A signature older or younger than this is refused, in seconds.
SIGNATURE_LIFE = 300
TEXTS = (
    "external_customer_id",
    "customer_name",
    "tel_num",
    "email",
    "address_text",
    "order_description",
    "order_status",
    "order_type",
)
OF_POSITION = ("product_name", "unit", "position_type", "product_code")
DEFAULTS: dict[str, Any] = {
    "end_date": "",
    "order_type": "",
    "order_status": "Draft",
    "order_description": "",
    "order_positions": [],
    "address_text": "",
    "tel_num": "",
    "email": "",
    "create_account": True,
}


class Wrong(Exception):  # noqa: N818  an answer of the service, not an error of ours
    """A command that is refused, with its code."""

    def __init__(self, code: int, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


@dataclass(kw_only=True, eq=False)
class Service(Remote):
    """One tenant's service. Options are attributes and may be changed while it runs.

    tenant, zone     its name, and the zone of its times
    token            the Bearer token that it asks for; empty: none
    honours_keys     a repeated Idempotency-Key is answered as it was before
    address_policy   of an account without one address: refuse (`one`), or take the order without (`optional`)
    error_status     refusals with an HTTP status of their own, or all with 200
    first_number     of order_num, where orders are not numbered as they are counted
    catalog          positions by their ids
    callback_secret  by which callbacks must be signed; empty: any is taken
    """

    tenant: str = "sandbox"
    zone: str = "Europe/Kyiv"
    token: str = field(default="", repr=False)
    honours_keys: bool = False
    address_policy: AddressPolicy = "one"
    error_status: ErrorStatus = "http"
    first_number: int = 1
    catalog: dict[int, dict[str, Any]] = field(default_factory=dict)
    callback_secret: str = field(default="", repr=False)

    accounts: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    orders: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    callbacks: list[dict[str, Any]] = field(default_factory=list, init=False)
    _asked: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)
    _answers: dict[str, list[Any]] = field(default_factory=dict, init=False, repr=False)
    _positions: int = field(default=0, init=False, repr=False)

    CREATE: ClassVar[str] = "/CreateOrder"
    CALLBACK: ClassVar[str] = "/callback"

    def __post_init__(self) -> None:
        self.name = "service"
        self.open_journal()

    def routes(self) -> Routes:
        return {("POST", self.CREATE): self._create, ("POST", self.CALLBACK): self._told}

    # --- what tests see and do ------------------------------------------------------------------

    def add_account(
        self, customer_name: str, external_customer_id: str = "", addresses: tuple[str, ...] = ("",)
    ) -> int:
        """An account that is there before any order."""
        with self.lock:
            number = len(self.accounts) + 1
            kept = {"customer_name": customer_name, "external_customer_id": external_customer_id}
            self._put_account(number, kept | {"addresses": list(addresses)})
            return number

    def find(self, word: str) -> list[dict[str, Any]]:
        """The orders in whose description this word stands; more than one means that it was doubled."""
        with self.lock:
            asked = zip(self.orders.values(), self._asked, strict=True)
            return [dict(order) for order, request in asked if word in words_of(request)]

    def doubled(self) -> list[str]:
        """Descriptions that more than one order has."""
        with self.lock:
            said = [order["order_description"] for order in self.orders.values()]
            return sorted({one for one in said if one and said.count(one) > 1})

    def state(self) -> dict[str, Any]:
        with self.lock:
            return super().state() | {
                "orders": list(self.orders.values()),
                "accounts": list(self.accounts.values()),
                "doubled": self.doubled(),
                "callbacks": list(self.callbacks),
            }

    def kill_tokens(self) -> None:
        """Its token is a setting, which does not die."""

    def refusal(self, text: str) -> Answer:
        return self._refused(Wrong(VALIDATION, text))

    def ids_in(self, body: Any) -> set[str]:
        return words_of(body) if isinstance(body, dict) else set()

    def replay(self, event: list[Any]) -> None:
        match event:
            case ["account", number, account]:
                self._put_account(number, account)
            case ["order", order, request]:
                self._put_order(order, request)
            case ["answer", key, answer]:
                self._put_answer(key, answer)
            case ["callback", callback]:
                self._put_callback(callback)

    # --- what is kept ---------------------------------------------------------------------------

    def _put_account(self, number: int, account: dict[str, Any]) -> None:
        self.accounts[number] = {"account_id": number, **account}
        self.keep("account", number, account)

    def _put_order(self, order: dict[str, Any], request: dict[str, Any]) -> None:
        self.orders[order["order_id"]] = order
        self._asked.append(request)
        self._positions += len(order["order_positions"])
        self.keep("order", order, request)

    def _put_answer(self, key: str, answer: list[Any]) -> None:
        self._answers[key] = answer
        self.keep("answer", key, answer)

    def _put_callback(self, callback: dict[str, Any]) -> None:
        self.callbacks.append(callback)
        self.keep("callback", callback)

    # --- the command ----------------------------------------------------------------------------

    async def _create(self, call: Call) -> Answer:
        if self.token and call.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(as_json(401, {"error": "unauthorized"}))
        key = call.headers.get("Idempotency-Key", "") if self.honours_keys else ""
        digest = hashlib.sha256(call.raw).hexdigest()
        with self.lock:
            try:
                if key in self._answers:
                    return self._repeated(key, digest)
                asked = read(call.raw)
                answer = self._answered(asked)
            except Wrong as wrong:
                return self._refused(wrong)
            if key:
                self._put_answer(key, [digest, answer])
        return as_json(200, answer)

    def _repeated(self, key: str, digest: str) -> Answer:
        before, answer = self._answers[key]
        if before != digest:
            text = "This Idempotency-Key was used before, for another request."
            raise Wrong(VALIDATION, text, KEY_REUSED)
        return as_json(200, answer)

    def _answered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Create the order, or nothing at all; the whole answer."""
        now = datetime.fromtimestamp(self.clock(), UTC).astimezone(ZoneInfo(self.zone))
        self._check_tenant(asked)
        check(asked)
        enriched = DEFAULTS | asked | {"tenant": self.tenant}
        enriched["start_date"] = asked.get("start_date") or now.strftime(TIMES)
        if enriched["end_date"] and enriched["end_date"] < enriched["start_date"]:
            raise Wrong(VALIDATION, "end_date is before start_date")
        number = len(self.orders) + 1
        positions = self._positions_of(enriched["order_positions"], number)
        account, is_new = self._account_of(enriched)
        address = 1 if is_new else self._address_of(account, asked)
        if is_new:
            self._put_account(account["account_id"], without(account, "account_id"))
        total = sum((dec(p["price"]) * dec(p["quantity"]) for p in positions), Decimal(0))
        named = ("start_date", "end_date", "order_type", "order_status", "order_description")
        order = {
            **{name: enriched[name] for name in (*named, "address_text")},
            "order_total": plain(total),
            "order_positions": positions,
            "order_num": self.first_number + number - 1,
            "order_id": number,
            "customer_name": account["customer_name"],
            "account_id": account["account_id"],
            "account_address_id": address,
        }
        self._put_order(order, asked)
        response = {"tenant": asked["tenant"], "order": order, "TZ": self.zone}
        return {
            "processing_result": result("Order is created.", "ok", 0),
            "processing_date": now.strftime(TIMES),
            "CreateOrder": {
                "response": response | {"create_account": enriched["create_account"]},
                "request": asked,
                "extra_logic": "",
                "enriched_request": enriched,
            },
        }

    def _check_tenant(self, asked: dict[str, Any]) -> None:
        named = asked.get("tenant")
        if not isinstance(named, str) or not named:
            raise Wrong(VALIDATION, "tenant is required")
        if named.casefold() != self.tenant.casefold():
            raise Wrong(TENANT, f"tenant {named} is not known")

    def _account_of(self, asked: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The account, and whether it is a new one, which is not kept yet."""
        if (number := asked.get("account_id")) is not None:
            if number not in self.accounts:
                raise Wrong(ACCOUNT, f"account with account_id {number} is not found")
            return self.accounts[number], False
        given = [name for name in ("external_customer_id", "customer_name") if asked.get(name)]
        if not given:
            text = "one of account_id, external_customer_id, customer_name is required"
            raise Wrong(ACCOUNT, text)
        by, value = given[0], str(asked[given[0]])
        found = [one for one in self.accounts.values() if one[by] == value]
        if len(found) > 1:
            raise Wrong(ACCOUNT, f"several accounts have {by} {value}")
        if found:
            return found[0], False
        if not asked["create_account"]:
            raise Wrong(ACCOUNT, f"account with {by} {value} is not found")
        if len(given) == 1:
            missing = ({"external_customer_id", "customer_name"} - set(given)).pop()
            raise Wrong(ACCOUNT, f"{missing} is required for a new account")
        made = {name: str(asked[name]) for name in given} | {"addresses": [asked["address_text"]]}
        return {"account_id": len(self.accounts) + 1, **made}, True

    def _address_of(self, account: dict[str, Any], asked: dict[str, Any]) -> int | None:
        count, number = len(account["addresses"]), asked.get("account_address_id")
        if number is not None:
            if not 1 <= number <= count:
                text = f"account_address_id {number} is not one of account {account['account_id']}"
                raise Wrong(ADDRESS, text)
            return int(number)
        if count != 1 and self.address_policy == "one":
            raise Wrong(
                ADDRESS, f"account_address_id is required: the account has {count} addresses"
            )
        return 1 if count == 1 else None

    def _positions_of(self, asked: list[dict[str, Any]], order: int) -> list[dict[str, Any]]:
        made = []
        for place, one in enumerate(asked):
            number = one.get("catalog_position_id")
            if number is not None and number not in self.catalog:
                where = f"order_positions.{place}.catalog_position_id"
                raise Wrong(CATALOG, f"{where} {number} is not in the catalog")
            listed = self.catalog.get(number, {}) if number is not None else {}
            default = {
                "unit": "шт",
                "position_type": "",
                "quantity": listed.get("default_quantity", 1),
            }
            known = {name: listed[name] for name in (*OF_POSITION, "price") if name in listed}
            own = {name: one[name] for name in (*OF_POSITION, "price", "quantity") if name in one}
            position = default | known | own
            position |= {name: plain(dec(position[name])) for name in ("price", "quantity")}
            ids = {"position_id": self._positions + place + 1, "order_id": order}
            made.append(
                position | ids | ({} if number is None else {"catalog_position_id": number})
            )
        return made

    def _refused(self, wrong: Wrong) -> Answer:
        status = wrong.status or STATUSES[wrong.code]
        now = datetime.fromtimestamp(self.clock(), UTC).astimezone(ZoneInfo(self.zone))
        content = {
            "processing_result": result(wrong.text, "error", wrong.code),
            "processing_date": now.strftime(TIMES),
        }
        return as_json(200 if self.error_status == "ok" else status, content)

    # --- what it is told ------------------------------------------------------------------------

    async def _told(self, call: Call) -> Answer:
        """Keep a callback, if it is signed as it must be: t=<unix>,v1=<hex HMAC-SHA256 of "<t>.<body>">."""
        if self.callback_secret and not self._is_signed(call):
            raise Refused(as_json(401, {"error": "bad signature"}))
        with self.lock:
            signature = call.headers.get("X-Orderbridge-Signature", "")
            self._put_callback({"body": call.body, "signature": signature, "at": self.clock()})
        return Answer(204, b"")

    def _is_signed(self, call: Call) -> bool:
        said = call.headers.get("X-Orderbridge-Signature", "")
        parts = dict(part.partition("=")[::2] for part in said.split(","))
        at = parts.get("t", "")
        if not at.isdecimal() or abs(self.clock() - int(at)) > SIGNATURE_LIFE:
            return False
        signed = f"{at}.".encode() + call.raw
        real = hmac.new(self.callback_secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(real, parts.get("v1", ""))

    def controls(self) -> Mapping[str, Callable[[Any], Any]]:
        return {"account": self._account}

    def _account(self, said: dict[str, Any]) -> Any:
        """A clerk adds an account."""
        addresses = tuple(said.get("addresses", ("",)))
        number = self.add_account(
            said["customer_name"], said.get("external_customer_id", ""), addresses
        )
        return {"account_id": number}


def read(raw: bytes) -> dict[str, Any]:
    """The command's body, its numbers as they were written."""
    try:
        asked = json.loads(raw, parse_float=Decimal, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Wrong(VALIDATION, "the body is no JSON", 400) from None
    if not isinstance(asked, dict):
        raise Wrong(VALIDATION, "the body is no JSON object", 400)
    return as_plain(asked)  # type: ignore[no-any-return]  # an object stays one


def refuse(constant: str) -> Any:
    raise ValueError(constant)


def as_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_plain(inner) for inner in value]
    return plain(value) if isinstance(value, Decimal) else value


def check(asked: dict[str, Any]) -> None:
    """Raise Wrong for the first field whose form is wrong, which it names."""
    for name in TEXTS:
        value = asked.get(name, "")
        is_number = name == "external_customer_id" and is_whole(value)
        if not isinstance(value, str) and not is_number:
            raise Wrong(VALIDATION, f"{name} must be text")
    for name in ("account_id", "account_address_id"):
        if not is_whole(asked.get(name, 1)):
            raise Wrong(VALIDATION, f"{name} must be a whole number")
    if not isinstance(asked.get("create_account", True), bool):
        raise Wrong(VALIDATION, "create_account must be true or false")
    for name in ("start_date", "end_date"):
        if not is_time(asked.get(name, "")):
            raise Wrong(VALIDATION, f"{name} must be YYYY-MM-DD HH:MM:SS")
    positions = asked.get("order_positions", [])
    if not isinstance(positions, list):
        raise Wrong(VALIDATION, "order_positions must be a list")
    for place, one in enumerate(positions):
        check_position(one, f"order_positions.{place}")


def check_position(one: Any, place: str) -> None:
    if not isinstance(one, dict):
        raise Wrong(VALIDATION, f"{place} must be an object")
    if not is_whole(one.get("catalog_position_id", 1)):
        raise Wrong(VALIDATION, f"{place}.catalog_position_id must be a whole number")
    if "catalog_position_id" not in one:
        for name in ("product_name", "price"):
            if one.get(name) in (None, ""):
                raise Wrong(VALIDATION, f"{place}.{name} is required")
    for name in OF_POSITION:
        if not isinstance(one.get(name, ""), str):
            raise Wrong(VALIDATION, f"{place}.{name} must be text")
    if not is_amount(one.get("price", 0)) or one.get("price", 0) < 0:
        raise Wrong(VALIDATION, f"{place}.price must be a number, not negative")
    if not is_amount(one.get("quantity", 1)) or one.get("quantity", 1) <= 0:
        raise Wrong(VALIDATION, f"{place}.quantity must be a number above 0")


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_time(value: Any) -> bool:
    if value == "":
        return True
    try:
        return isinstance(value, str) and datetime.strptime(value, TIMES).strftime(TIMES) == value  # noqa: DTZ007  a time without a zone is what it must be
    except ValueError:
        return False


def dec(value: Any) -> Decimal:
    return Decimal(str(value))


def plain(number: Decimal) -> int | float:
    """The number as JSON has it: 30, 200.5."""
    return int(number) if number == number.to_integral_value() else float(number)


def result(text: str, status: str, code: int) -> dict[str, Any]:
    letters = string.ascii_letters + string.digits
    drawn = "".join(secrets.choice(letters) for _ in range(10))
    return {"text": text, "status": status, "ctx_id": f"{drawn[:8]}:0-{drawn[8:]}", "code": code}


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if key != name}


def words_of(request: dict[str, Any]) -> set[str]:
    """What a request may be told by: the words of its description, and whose it is."""
    said = request.get("order_description")
    words = said.replace(",", " ").split() if isinstance(said, str) else []
    return {*words, str(request.get("external_customer_id"))}
