"""The stand-in of OneBox, API v2: tokens, processes, contacts, stages as in docs/contracts/onebox.md.

Change it when that contract changes. It checks what is sent as strictly as the real box may.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Literal

from simulator.remote import Answer, Call, Refused, Remote, Routes, as_json

Shape = Literal["any", "object", "array"]
PasswordForm = Literal["any", "raw", "md5"]
DeadToken = Literal["400", "200", "401"]
ErrorForm = Literal["list", "fields", "items"]

# Texts the contract quotes (docs/contracts/onebox.md, "Transport" and "order/set" and "Errors that matter").
TOKEN_TEXT = "token in header not found"  # noqa: S105  an error text
SHAPE_TEXT = "Відсутня перший елемент масиву процесів"
PRODUCT_TEXT = "Продукт із таким зовнішнім id вже існує"
PHONE_TEXT = "Помилка #12903: номер телефону вже зареєстровано"

PHONE = re.compile(r"\+?[1-9]\d{9,14}")
UKRAINIAN_PHONE = re.compile(r"\+?380\d{9}")
_NO_DIGITS = re.compile(r"\D+")
LOOSE_EXTRA = 20
# The stages of the sales process after the first one, by name; the box numbers them.
STAGE_NAMES = (
    "Потребує уваги",
    "В роботі",
    "Комплектується",
    "Відправлено",
    "Виконано",
    "Скасовано",
)
FIRST_PROCESS = 100_001
FIRST_CONTACT = 501


@dataclass(kw_only=True, eq=False)
class Crm(Remote):
    """The box. Options are attributes and may be changed while it runs.

    password_form, dead_token, shape  which variant of docs/contracts/onebox.md, "Transport", it speaks
    error_form, error_status          how a refusal looks
    race            seconds between look-up and insert, the gap in which doubles come to be
    externalid_required               refuse processes without our key
    loose           order/get answers with other processes too
    token_life      seconds
    stage_names     of the sales process, after the first one
    """

    login: str = "bridge"
    password: str = "sandbox-password"  # noqa: S105  of the sandbox, guards nothing
    workflow_id: str = "7"
    status_id: str = "71"
    password_form: PasswordForm = "any"  # noqa: S105  a choice of forms
    dead_token: DeadToken = "400"  # noqa: S105  a choice of answers
    shape: Shape = "any"
    error_form: ErrorForm = "list"
    error_status: int = 200
    race: float = 0.01
    externalid_required: bool = True
    loose: bool = False
    token_on_top: bool = False
    token_life: float = 3600.0
    stage_names: tuple[str, ...] = STAGE_NAMES

    workflows: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    processes: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    products: dict[str, int] = field(default_factory=dict, init=False)
    tokens: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _by_externalid: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)
    _by_phone: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    TOKEN: ClassVar[str] = "/api/v2/token/get/"  # noqa: S105  a path
    ORDER_SET: ClassVar[str] = "/api/v2/order/set/"
    ORDER_GET: ClassVar[str] = "/api/v2/order/get/"
    WORKFLOW_GET: ClassVar[str] = "/api/v2/workflow/get/"
    CONTACT_GET: ClassVar[str] = "/api/v2/contact/get/"
    CONTACT_SET: ClassVar[str] = "/api/v2/contact/set/"

    def __post_init__(self) -> None:
        self.name = "crm"
        returns = {"name": "Повернення", "stages": {"91": "Заявка", "92": "Гроші повернуто"}}
        sales = {"name": "Замовлення інтернет-магазину", "stages": self._stages()}
        self.workflows = {self.workflow_id: sales}
        self.workflows.setdefault("9", returns)
        self.open_journal()

    def _stages(self) -> dict[str, str]:
        first = int(self.status_id) if self.status_id.isdecimal() else 71
        further = {str(first + step): name for step, name in enumerate(self.stage_names, start=1)}
        return {self.status_id: "Нове", **further}

    def routes(self) -> Routes:
        return {
            ("POST", self.TOKEN): self._token,
            ("POST", self.ORDER_SET): self._order_set,
            ("POST", self.ORDER_GET): self._order_get,
            ("POST", self.WORKFLOW_GET): self._workflow_get,
            ("POST", self.CONTACT_GET): self._contact_get,
            ("POST", self.CONTACT_SET): self._contact_set,
        }

    def find(self, externalid: str) -> list[dict[str, Any]]:
        """Every process of one external id; more than one means an order was doubled."""
        with self.lock:
            return [dict(self.processes[one]) for one in self._by_externalid.get(externalid, ())]

    def move(self, externalid: str, stage: str, **more: Any) -> dict[str, Any]:
        """A clerk moves a process to the stage of this name, and fills in other fields; what the box then
        says of it: the stage by its id. Raises KeyError for a stage or a process that the box lacks.
        """
        with self.lock:
            known = self.processes[self._by_externalid[externalid][0]]
            stages = self.workflows[str(known["workflowid"])]["stages"]
            ids = {name: number for number, name in stages.items()}
            self._put_process({**known, "statusid": ids[stage], **more})
            return dict(self.processes[known["id"]])

    def controls(self) -> Mapping[str, Callable[[Any], Any]]:
        return {"stage": self._stage}

    def _stage(self, said: dict[str, Any]) -> Any:
        """A clerk moves a process to a stage of this name, made where there is none, and fills in its
        tracking number; what an action of the box then sends, docs/onebox-action.md.
        """
        key, stage, number = said["externalid"], said["stage"], said.get("ttn", "")
        with self.lock:
            if not self._by_externalid.get(key):
                raise ValueError(f"The CRM has no process with the external id {key}.")
            stages = self.workflows[self.workflow_id]["stages"]
            if stage not in stages.values():
                stages[str(max(map(int, stages)) + 1)] = stage
            process = self.move(key, stage, **({"customorder_ttn": number} if number else {}))
        return {
            "externalid": key,
            "orderid": str(process["id"]),
            "statusid": str(process["statusid"]),
            "statusname": stage,
            "ttn": str(process.get("customorder_ttn") or ""),
        }

    def doubled(self) -> list[str]:
        """External ids that have more than one process."""
        with self.lock:
            return [key for key, many in self._by_externalid.items() if len(many) > 1]

    def add_contact(self, name: str, phones: list[str], *, findable: bool = True) -> str:
        """A card of a client; one that is not findable makes `findbyArray` fail (#12903)."""
        with self.lock:
            card = str(FIRST_CONTACT + len(self.contacts))
            contact = {"id": card, "name": name, "phones": phones, "findable": findable}
            self._put_contact(contact)
            return card

    def kill_tokens(self) -> None:
        self.tokens.clear()

    def refusal(self, text: str) -> Answer:
        return self._error(text)

    def ids_in(self, body: Any) -> set[str]:
        entries = body.values() if isinstance(body, dict) else body
        if not isinstance(body, dict | list):
            return set()
        return {
            str(one["externalid"])
            for one in entries
            if isinstance(one, dict) and "externalid" in one
        }

    def state(self) -> dict[str, Any]:
        with self.lock:
            return super().state() | {
                "processes": list(self.processes.values()),
                "contacts": list(self.contacts.values()),
                "doubled": self.doubled(),
            }

    def replay(self, event: list[Any]) -> None:
        match event:
            case ["process", process]:
                self._put_process(process)
            case ["contact", contact]:
                self._put_contact(contact)

    def _put_process(self, process: dict[str, Any]) -> None:
        number = process["id"]
        if number not in self.processes and process.get("externalid"):
            self._by_externalid.setdefault(process["externalid"], []).append(number)
        self.processes[number] = process
        for line in process["products"]:
            key = line.get("productinfo", {}).get("externalid")
            if key is not None:
                self.products.setdefault(str(key), len(self.products) + 1)
        self.keep("process", process)

    def _put_contact(self, contact: dict[str, Any]) -> None:
        self.contacts[contact["id"]] = contact
        for phone in contact["phones"]:
            self._by_phone.setdefault(digits(phone), contact)
        self.keep("contact", contact)

    def _error(self, *texts: str, status: int | None = None) -> Answer:
        """A refusal in the form this box uses (docs/contracts/onebox.md, "Transport")."""
        forms: dict[ErrorForm, Callable[[], Any]] = {
            "list": lambda: list(texts),
            "fields": lambda: {f"field{number}": text for number, text in enumerate(texts)},
            "items": lambda: [{"code": 1, "message": text} for text in texts],
        }
        content = {"status": 0, "errorArray": forms[self.error_form]()}
        return as_json(self.error_status if status is None else status, content)

    async def _token(self, call: Call) -> Answer:
        body = call.body
        if call.form or not isinstance(body, dict):
            return self._error("JSON не розпізнано", status=400)
        digest = hashlib.md5(self.password.encode(), usedforsecurity=False).hexdigest()
        good = {"raw": {self.password}, "md5": {digest}, "any": {self.password, digest}}
        if (
            body.get("login") != self.login
            or body.get("restapipassword") not in good[self.password_form]
        ):
            return self._error("Невірний логін або пароль (wrong login or password)")
        token = secrets.token_hex(16)
        self.tokens[token] = self.clock() + self.token_life
        if self.token_on_top:
            return as_json(200, {"status": 1, "token": token})
        return as_json(200, {"status": 1, "dataArray": {"token": token}})

    def _check_token(self, call: Call) -> None:
        if self.tokens.get(call.headers.get("token", ""), 0.0) <= self.clock():
            status = int(self.dead_token)
            raise Refused(as_json(status, {"status": 0, "errorArray": [TOKEN_TEXT]}))
        if call.form or not isinstance(call.body, dict | list):
            raise Refused(self._error("JSON не розпізнано", status=400))

    async def _order_set(self, call: Call) -> Answer:
        self._check_token(call)
        sent = self._entries(call.body)
        before = [self._lookup(one) for one in sent]
        errors = [
            text
            for one, known in zip(sent, before, strict=True)
            for text in self._faults_of(one, known)
        ]
        if errors:
            return self._error(*errors)
        # The real box looks up and inserts in two steps: what comes in between is not seen.
        await asyncio.sleep(self.race)
        with self.lock:
            numbers = [self._store(one, known) for one, known in zip(sent, before, strict=True)]
        return as_json(200, {"status": 1, "dataArray": numbers})

    def _entries(self, body: Any) -> list[dict[str, Any]]:
        """Processes or contacts of either body shape; refuses the shape this box does not take."""
        if isinstance(body, dict):
            fits, entries = self.shape != "array", list(body.values())
            fits = fits and list(body) == [str(number) for number in range(len(body))]
        else:
            fits, entries = self.shape != "object", body
        if not fits or not entries or not all(isinstance(one, dict) for one in entries):
            raise Refused(self._error(SHAPE_TEXT))
        return entries

    def _lookup(self, sent: dict[str, Any]) -> dict[str, Any] | None:
        if "orderid" in sent:
            number = sent["orderid"]
            known = self.processes.get(int(number)) if str(number).isdecimal() else None
            if known is None:
                raise Refused(self._error(f"Процес {number} не знайдено (order not found)"))
            return known
        many = self._by_externalid.get(str(sent.get("externalid", "")))
        return self.processes[many[0]] if many else None

    def _faults_of(self, sent: dict[str, Any], known: dict[str, Any] | None) -> list[str]:
        """Everything wrong with one process; empty when it may be stored."""
        errors = []
        if (
            self.externalid_required
            and "orderid" not in sent
            and not is_text(sent.get("externalid"))
        ):
            errors.append("externalid: обов'язкове поле")
        errors += self._stage_faults(sent, known)
        if (known is None or "name" in sent) and not is_text(sent.get("name")):
            errors.append("name: обов'язкове поле")
        phone = sent.get("clientphone")
        if "clientphone" in sent and not (isinstance(phone, str) and plausible_phone(phone)):
            errors.append("clientphone: невірний номер телефону")
        if "sum" in sent and number_of(sent["sum"]) is None:
            errors.append("sum: не число")
        if known is None or "products" in sent:
            errors += self._product_faults(sent.get("products"))
        if "client" in sent:
            errors += self._client_faults(sent["client"])
        return errors

    def _stage_faults(self, sent: dict[str, Any], known: dict[str, Any] | None) -> list[str]:
        current = known or {}
        workflow = str(sent.get("workflowid", current.get("workflowid", "")))
        stage = str(sent.get("statusid", current.get("statusid", "")))
        if workflow not in self.workflows:
            return [f"workflowid: бізнес-процес '{workflow}' не знайдено (workflow not found)"]
        if stage not in self.workflows[workflow]["stages"]:
            return [f"statusid: етап '{stage}' не знайдено в бізнес-процесі (stage not found)"]
        return []

    def _product_faults(self, products: Any) -> list[str]:
        if not isinstance(products, list) or not products:
            return ["products: потрібен непорожній масив"]
        return [text for line in products for text in self._line_faults(line)]

    def _line_faults(self, line: Any) -> list[str]:
        if not isinstance(line, dict):
            return ["products: рядок не є об'єктом"]
        errors = []
        if not is_text(line.get("name")):
            errors.append("products.name: обов'язкове поле")
        count, price = number_of(line.get("count")), number_of(line.get("price"))
        if count is None or count <= 0:
            errors.append("products.count: не додатне число")
        if price is None or price < 0:
            errors.append("products.price: не число")
        info = line.get("productinfo", {})
        if not isinstance(info, dict):
            return [*errors, "products.productinfo: не є об'єктом"]
        finds = info.get("findbyArray")
        found = isinstance(finds, list) and any(info.get(str(name)) for name in finds)
        if not found and str(info.get("externalid")) in self.products:
            errors.append(PRODUCT_TEXT)
        return errors

    def _client_faults(self, client: Any) -> list[str]:
        if not isinstance(client, dict):
            return ["client: не є об'єктом"]
        if "userid" in client:
            known = str(client["userid"]) in self.contacts
            return [] if known else ["client.userid: контакт не знайдено"]
        if not is_text(client.get("name")) or not isinstance(client.get("phones"), list):
            return ["client: потрібні name і phones"]
        card = self._card_by_phones(client["phones"])
        may_find = "phones" in (client.get("findbyArray") or ())
        return [PHONE_TEXT] if card is not None and not (may_find and card["findable"]) else []

    def _card_by_phones(self, phones: list[Any]) -> dict[str, Any] | None:
        cards = [card for phone in phones if (card := self._by_phone.get(digits(phone)))]
        return min(cards, key=lambda card: int(card["id"]), default=None)

    def _store(self, sent: dict[str, Any], known: dict[str, Any] | None) -> int:
        """Insert, or update what the look-up saw; it saw nothing if the insert was on its way."""
        known = self.processes[known["id"]] if known is not None else None
        number = known["id"] if known is not None else FIRST_PROCESS + len(self.processes)
        process = {**(known or {}), **sent, "id": number}
        lines = list(sent.get("products", ()))
        if known is not None and not sent.get("deletenotupdatedproducts"):
            lines = [*known["products"], *lines]
        elif known is not None and "products" not in sent:
            lines = known["products"]
        process["products"] = lines
        if "externalid" in process:
            process["externalid"] = str(process["externalid"])
        if "client" in sent:
            process["clientid"] = self._link_client(sent["client"])
        for name in ("orderid", "deletenotupdatedproducts", "client"):
            process.pop(name, None)
        self._put_process(process)
        return int(number)

    def _link_client(self, client: dict[str, Any]) -> str:
        if "userid" in client:
            return str(client["userid"])
        card = self._card_by_phones(client["phones"])
        if card is not None:
            return str(card["id"])
        name = f"{client['name']} {client.get('namelast', '')}".strip()
        return self.add_contact(name, [str(phone) for phone in client["phones"]])

    async def _order_get(self, call: Call) -> Answer:
        self._check_token(call)
        wanted = self._filter(call.body)
        with self.lock:
            numbers = [
                number
                for key in listed(wanted.get("externalid", []))
                for number in self._by_externalid.get(str(key), ())
            ]
            ids = [*listed(wanted.get("id", [])), *listed(wanted.get("orderid", []))]
            numbers += [int(one) for one in ids if str(one).isdecimal()]
            if self.loose or not (wanted.keys() & {"externalid", "id", "orderid"}):
                numbers = [*list(self.processes)[-LOOSE_EXTRA:], *numbers]
            found = [self.processes[one] for one in dict.fromkeys(numbers) if one in self.processes]
        fields = call.body.get("fields")
        if isinstance(fields, list):
            found = [{name: one.get(name) for name in fields} for one in found]
        return as_json(200, {"status": 1, "dataArray": found})

    def _filter(self, body: Any) -> dict[str, Any]:
        wanted = body.get("filter", {}) if isinstance(body, dict) else None
        if not isinstance(wanted, dict):
            raise Refused(self._error("filter: не є об'єктом"))
        return wanted

    async def _workflow_get(self, call: Call) -> Answer:
        self._check_token(call)
        flows = [
            {
                "id": number,
                "name": flow["name"],
                "statuses": [{"id": one, "name": name} for one, name in flow["stages"].items()],
            }
            for number, flow in self.workflows.items()
        ]
        return as_json(200, {"status": 1, "dataArray": flows})

    async def _contact_get(self, call: Call) -> Answer:
        """Cards by phone; uneven like the real one: numbers stand as they were typed."""
        self._check_token(call)
        wanted = {digits(phone)[-9:] for phone in listed(self._filter(call.body).get("phones", []))}
        with self.lock:
            found = [
                {"id": card["id"], "name": card["name"], "phones": card["phones"]}
                for card in self.contacts.values()
                if self.loose or wanted & {digits(phone)[-9:] for phone in card["phones"]}
            ]
        return as_json(200, {"status": 1, "dataArray": found})

    async def _contact_set(self, call: Call) -> Answer:
        self._check_token(call)
        sent = self._entries(call.body)
        errors = [text for one in sent for text in self._client_faults(one)]
        if errors:
            return self._error(*errors)
        with self.lock:
            return as_json(
                200, {"status": 1, "dataArray": [self._link_client(one) for one in sent]}
            )


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def number_of(value: Any) -> Decimal | None:
    """The number a JSON value stands for, or None; "1 249,00" is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def plausible_phone(phone: str) -> bool:
    """E.164, the plus optional; a Ukrainian number has exactly nine digits after 380."""
    if phone.removeprefix("+").startswith("380"):
        return UKRAINIAN_PHONE.fullmatch(phone) is not None
    return PHONE.fullmatch(phone) is not None


def digits(phone: Any) -> str:
    return _NO_DIGITS.sub("", str(phone))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
