"""OneBox, the CRM, API v2: its calls and what its answers mean (docs/contracts/onebox.md).

Change it when the CRM's wire or its error texts change; what a process holds is the mapping's.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx
import redis
from cryptography.fernet import Fernet

from clients.base import Answer, HttpTransport
from clients.deadline import Deadline
from clients.errors import (
    AuthFailed,
    Forbidden,
    Garbled,
    Misconfigured,
    PhoneTaken,
    Rejected,
    RemoteError,
    TokenLost,
)
from clients.statuses import status_error
from clients.tokens import SharedToken

# Seconds: the life is undocumented, working clients keep a token this long (docs/contracts/onebox.md,
# "Transport").
TOKEN_LIFE: Final = 3000.0
RENEW_AHEAD: Final = 300.0


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Between a thing and what is said of it: an id, a quoted name (left out), a word that says nothing itself.
_GAP = r"(?:[\s\d:#№().,/\"'-]|\b(?:is|was|with|id|in|for|the|has|been|з|із|с|під|под)\b){0,40}"
_STAGE = r"\b(workflow|workflow ?id|status ?id|stage|stage ?id)"
_STAGE_UK = r"\b(бізнес.?процес|бизнес.?процесс|етап|этап|статус|workflow ?id|status ?id)"
_BAD_UK = r"(не знайден|не існу|не належ|невірн|неправильн|не найден|не существ|неверн)"

# What a failure's text means, the first that matches; Ukrainian, Russian, English. Kept tight: a
# match wrongly taken for the connection's fault would stop every order because of one. What is quoted
# is left out before, and what is said must be said of the thing itself: "Stage light not found" is a
# product's. Several texts are joined by "; ", over which no pattern reaches.
_MEANINGS: Final[dict[type[RemoteError], re.Pattern[str]]] = {
    PhoneTaken: _any_of(
        r"#12903\b",
        r"#4765\b",
        r"\bномер\w{0,4} телефон\w{0,4}\s[^;]{0,20}(вже зареєстрован|уже зарегистрирован)",
        r"\bphone( number)? [^;]{0,20}already (registered|taken|exists)",
    ),
    TokenLost: _any_of(
        r"token in header not found",
        r"^(the )?(invalid|expired|wrong|missing|unknown|bad) token\b",
        rf"\btoken\b{_GAP}\b(not found|invalid|expired|missing|required|revoked)",
        rf"\bтокен\w{{0,3}}{_GAP}(не знайден|недійсн|невірн|застар|закінчи|протерм)",
        rf"\bтокен\w{{0,3}}{_GAP}(не найден|недейств|неверн|устарел|ист[её]к|просроч)",
        r"\b(недійсн|невірн|протермінован|недейств|неверн|просрочен)\w{0,4} токен",
    ),
    AuthFailed: _any_of(
        r"\b(невірн|неправильн|некоректн|неверн|некорректн)\w{0,4}\s((логін|логин) (або|чи|или|і|и) )?"
        r"(логін|логин|парол)",
        rf"\b(логін|логин|парол)\w{{0,3}}{_GAP}(невірн|неправильн|неверн|не підходит|не подходит)",
        r"\b(wrong|invalid|incorrect|bad) (rest ?api ?)?(login|password|credentials)\b",
        rf"\b(login|password|credentials)\b{_GAP}\b(wrong|invalid|incorrect)\b",
        r"^(помилка авторизації|ошибка авторизации|не авторизован)",
        r"^(authori[sz]ation|authentication) failed|^unauthori[sz]ed\b",
    ),
    Forbidden: _any_of(
        r"^(у вас )?(немає|недостатньо|не вистачає) прав|^(у вас )?(немає|заборонено|відмовлено в) доступ",
        r"^(у вас )?(нет|недостаточно|не хватает) прав|^(у вас )?нет доступа|^отказано в доступе",
        r"^доступ\w{0,2} (заборонен|запрещ)",
        r"^(access|permission) (is )?denied|^(no|insufficient|not enough) permission"
        r"|^(403 )?forbidden\W{0,3}$",
    ),
    Misconfigured: _any_of(
        rf"{_STAGE}\b{_GAP}\b(not found|invalid|wrong|unknown|does not exist|incorrect|missing)",
        r"\b(invalid|wrong|unknown|incorrect|missing|no) "
        r"(workflow|workflowid|status ?id|stage)\b\W{0,3}\d{0,10}\W{0,3}$",
        rf"{_STAGE_UK}(ами|ах|ів|ов|а|и|у|і)?{_GAP}{_BAD_UK}",
        r"\b(не знайден|не існу|невірн|неправильн|не найден|не существ|неверн)\w{0,4}\s"
        r"(бізнес.?процес|бизнес.?процесс|етап|этап|статус|workflowid|statusid)\b",
    ),
}
# What stands in quotes is somebody's text, such as a product's name, and says nothing of the connection.
_QUOTED = re.compile(
    r"«[^»]{0,300}»|“[^”]{0,300}”|„[^”“]{0,300}[”“]|\"[^\"]{0,300}\"|(?<!\w)'[^']{0,300}'(?!\w)"
)
# The field of the body that a text speaks of, as PHP's form of a refusal names it.
_FIELD = re.compile(r"^[\w.\[\]]{1,40}: ")
_OWN_FIELD = re.compile(
    r"^(client|products?|productinfo|name|comment|note|address)\b", re.IGNORECASE
)
# Longer texts are no error messages, and are not searched.
_JUDGED = 500
_SHAPE_REFUSED = re.compile(
    r"перший елемент масиву процесів|первый элемент массива процессов", re.IGNORECASE
)
_ADVICE: Final[dict[type[RemoteError], str]] = {
    PhoneTaken: "the buyer's phone is on another card",
    TokenLost: "the new token is refused as well; it is tried again",
    AuthFailed: "the login is refused; correct ONEBOX_LOGIN and ONEBOX_PASSWORD",
    Forbidden: "the employee lacks a permission; grant it in OneBox",
    Misconfigured: "workflow or stage is wrong; correct their ids",
}

PasswordForm = Literal["raw", "md5", "auto"]
BodyShape = Literal["object", "array"]


class OneBox:
    """The CRM's API; safe to share between threads, one per process.

    `timeout` seconds bound one method with its repeats after a dead token or a refused body shape;
    waiting for a login and logging in can add as much again, which the lease of twice the time-out
    allows for (docs/architecture.md, "Waits, leases and probes").
    All methods raise Transient, ConnectionFault, Uncertain errors and StoreUnavailable
    (`clients.errors`); after an Uncertain one of `set_order` the order must be looked up.
    """

    def __init__(  # noqa: PLR0913  all injected, all but three by keyword
        self,
        base_url: str,
        login: str,
        password: str,
        *,
        redis: "redis.Redis",
        cipher: Fernet,
        name: str = "onebox",
        timeout: float = 30.0,
        password_form: PasswordForm = "auto",  # noqa: S107  the name of a form, no password
        body_shape: BodyShape = "object",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._login = login
        self._passwords = _password_forms(password, password_form)
        self._http = HttpTransport(
            base_url,
            secrets=(password, *self._passwords),
            transport=transport,
        )
        self._shape = body_shape
        self._timeout = timeout
        self._tokens = SharedToken(
            redis,
            name,
            cipher,
            self._log_in,
            renew_ahead=RENEW_AHEAD,
            login_timeout=timeout / 2,
            clock=clock,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def login(self) -> None:
        """Log in now: the connection test."""
        self._tokens.renew()

    def set_order(self, process: dict[str, Any]) -> str:
        """Create or update one process; its OneBox id (docs/contracts/onebox.md, "order/set").

        Raises also PhoneTaken and Rejected. A refused body shape is switched once and remembered.
        """
        deadline = Deadline(self._timeout)
        shape = self._shape
        answer = self._call("order/set", _body(process, shape), deadline)
        if _SHAPE_REFUSED.search(_failure_text(answer)):
            shape = "array" if shape == "object" else "object"
            answer = self._call("order/set", _body(process, shape), deadline)
            if _SHAPE_REFUSED.search(_failure_text(answer)):
                raise self._error(Misconfigured, "both body shapes are refused", answer)
            self._shape = shape
        data = self._data(answer)
        order_id = next(filter(None, map(_order_id, (data, *_items(data)))), None)
        if order_id is None:
            raise self._error(Garbled, "accepted, but without the id of the process", answer)
        return order_id

    def find_orders(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of the processes with exactly these external ids, ascending, for each one asked. Raises Garbled
        for one that is there with an id that cannot be read: as not found, it would be sent again.
        """
        found: dict[str, list[str]] = {external_id: [] for external_id in external_ids}
        for row in self.get_orders(external_ids, ("id", "externalid", "statusid")):
            order_id = _order_id(row)
            if order_id is None:
                raise Garbled(f"{self._http.host}: a process was found, but its id cannot be read")
            found[str(row["externalid"])].append(order_id)
        return {external_id: sorted(set(ids), key=_by_number) for external_id, ids in found.items()}

    def get_orders(
        self, external_ids: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The processes with exactly these external ids, with these fields and both ids.

        The CRM's own filter can be loose (docs/contracts/onebox.md, "order/get").
        """
        if not external_ids:
            return []
        wanted = set(external_ids)
        asked = list(dict.fromkeys(("id", "externalid", *fields)))
        rows = self._rows(
            "order/get", {"filter": {"externalid": list(external_ids)}, "fields": asked}
        )
        return [row for row in rows if str(row.get("externalid")) in wanted]

    def workflows(self) -> list[dict[str, Any]]:
        """The business processes of the box."""
        return self._rows("workflow/get", {})

    def find_contact(self, phone: str) -> str | None:
        """The id of the card with this phone, the oldest where several have it."""
        number = _normalised(phone)
        if not number:
            return None
        spellings = list(dict.fromkeys((f"+{number}", number, phone)))
        rows = self._rows(
            "contact/get", {"filter": {"phones": spellings}, "fields": ["id", "phones", "phone"]}
        )
        ids = [
            card for row in rows if number in _phones(row) and (card := _id(row, "id", "userid"))
        ]
        return min(ids, key=_by_number, default=None)

    def _rows(self, entity: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
        data = self._data(self._call(entity, payload, Deadline(self._timeout)))
        return [item for item in _items(data) if isinstance(item, dict)]

    def _call(self, entity: str, payload: object, deadline: Deadline) -> Answer:
        path = f"/api/v2/{entity}/"
        return self._tokens.call(
            lambda token: self._http.post_json(path, payload, {"token": token}, deadline),
            _is_dead,
        )

    def _data(self, answer: Answer) -> object:
        """The `dataArray` of a success; otherwise raises what the answer means."""
        if answer.ok and _status(answer) == 1:
            return answer.json.get("dataArray")
        if answer.status == 429 or answer.status >= 500:
            raise status_error(answer, self._http.host)
        text = _failure_text(answer)
        kind = _meaning(text)
        if answer.status == 401 or (answer.status == 403 and not text and not answer.body.strip()):
            kind = TokenLost
        if kind is not None:
            raise self._error(kind, _ADVICE[kind], answer)
        if not answer.ok and (_status(answer) is None or answer.status == 403):
            raise status_error(answer, self._http.host)
        if _status(answer) is None:
            raise self._error(Garbled, "the answer cannot be read", answer)
        raise self._error(Rejected, "OneBox refused the call", answer)

    def _error(self, kind: type[RemoteError], text: str, answer: Answer) -> RemoteError:
        said = answer.masked(_failure_text(answer))
        message = f"{text}: {said}" if said else text
        # The text alone, where there is one: beside it stands what differs from answer to answer.
        return kind(message, status=answer.status, excerpt=said or answer.excerpt)

    def _log_in(self) -> tuple[str, float]:
        deadline = Deadline(self._timeout / 2)
        refused: RemoteError | None = None
        for password in self._passwords:
            payload = {"login": self._login, "restapipassword": password}
            answer = self._http.post_json("/api/v2/token/get/", payload, {}, deadline)
            if answer.ok and _status(answer) == 1:
                # The form that was taken is the only one tried from now on.
                self._passwords = (password,)
                return self._token_of(answer), TOKEN_LIFE
            refused = self._login_error(answer)
            if not isinstance(refused, AuthFailed):
                break
        raise refused or AuthFailed("no password is set; set ONEBOX_PASSWORD")

    def _login_error(self, answer: Answer) -> RemoteError:
        if answer.status in {400, 401, 403} or (answer.ok and _status(answer) is not None):
            return self._error(AuthFailed, _ADVICE[AuthFailed], answer)
        if answer.ok:
            return self._error(Garbled, "the login's answer cannot be read", answer)
        return status_error(answer, self._http.host)

    def _token_of(self, answer: Answer) -> str:
        data = answer.json.get("dataArray")
        token = data.get("token") if isinstance(data, dict) else None
        token = token or answer.json.get("token")
        if not isinstance(token, str) or not token:
            raise Misconfigured("the login's answer holds no token; check the URL")
        return token


def _password_forms(password: str, form: PasswordForm) -> tuple[str, ...]:
    """The passwords to try in turn (docs/contracts/onebox.md, "Transport")."""
    hashed = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    if form == "raw" or re.fullmatch(r"[0-9a-fA-F]{32}", password):
        return (password,)
    return (hashed,) if form == "md5" else (password, hashed)


def _body(process: dict[str, Any], shape: BodyShape) -> object:
    return {"0": process} if shape == "object" else [process]


def _is_dead(answer: Answer) -> bool:
    """Whether the answer asks for another token (docs/contracts/onebox.md, "Transport")."""
    if answer.status in {401, 403}:
        return True
    if answer.status != 400 and not answer.ok:
        return False
    return _status(answer) != 1 and _meaning(_failure_text(answer)) is TokenLost


def _status(answer: Answer) -> int | None:
    """int(status) of the answer, None when it has none."""
    value = answer.json.get("status") if isinstance(answer.json, dict) else None
    try:
        return int(value)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError, OverflowError):
        return None


def _meaning(text: str) -> type[RemoteError] | None:
    """What the texts of a failure mean together: the first kind that one of them has."""
    # What is quoted may hold what the texts are joined by.
    whole = _QUOTED.sub(lambda found: found.group().replace("; ", ", "), text[: 10 * _JUDGED])
    judged = [_frame(one) for one in whole.split("; ")[:20]]
    return next(
        (kind for kind, pattern in _MEANINGS.items() if any(map(pattern.search, judged))), None
    )


def _frame(text: str) -> str:
    """What the remote itself says: without what it quotes, and without a field that it only names. A text
    about a field of the order's own says nothing of the connection, but for the buyer's phone.
    """
    text = text[:_JUDGED]
    field = _FIELD.match(text)
    if field and _OWN_FIELD.match(text):
        return " ".join(re.findall(r"#\d{4,5}\b", text))
    text = _QUOTED.sub("''", text).strip()
    if field and _MEANINGS[Misconfigured].search(text):
        return text
    return _FIELD.sub("", text, count=1)


def _failure_text(answer: Answer) -> str:
    """Every text of a failure, wherever this version of OneBox puts it; empty for a success."""
    if not isinstance(answer.json, dict) or (answer.ok and _status(answer) == 1):
        return ""
    keys = ("errorArray", "errors", "error", "errorText", "message")
    return "; ".join(dict.fromkeys(text for key in keys for text in _texts(answer.json.get(key))))


def _texts(value: object, depth: int = 5) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, list) and depth:
        for item in value:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        named = [value[key] for key in ("message", "error", "text") if value.get(key)]
        if named:
            yield from _texts(named, depth - 1)
            return
        for field, item in value.items():
            yield from (f"{field}: {text}" for text in _texts(item, depth - 1))


def _items(data: object) -> Iterable[object]:
    """The members of a list, or of what PHP makes of a list with gaps."""
    if isinstance(data, list):
        return data
    return data.values() if isinstance(data, dict) else ()


def _id(item: object, *keys: str) -> str | None:
    """An id as text, of an item that is the id itself or holds it."""
    if isinstance(item, Mapping):
        names = keys or ("id", "orderid")
        return next((found for key in names if (found := _id(item.get(key)))), None)
    if isinstance(item, bool) or not isinstance(item, int | str):
        return None
    text = str(item).strip()
    return text if text not in {"", "0"} else None


def _order_id(item: object) -> str | None:
    """The id of a process: a number. A text where an id is expected says something else, an error perhaps."""
    text = _id(item) or ""
    return text if re.fullmatch(r"0*[1-9]\d{0,18}", text, re.ASCII) else None


def _by_number(text: str) -> tuple[int, str]:
    return (int(text) if text.isdecimal() else 0, text)


def _normalised(phone: str) -> str:
    """Digits with the country: the Ukrainian one where none is given."""
    digits = re.sub(r"\D", "", phone).removeprefix("00")
    if len(digits) == 9:
        return "380" + digits
    if len(digits) == 10 and digits.startswith("0"):
        return "38" + digits
    if len(digits) == 11 and digits.startswith("80"):
        return "3" + digits
    return digits


def _phones(row: dict[str, Any]) -> set[str]:
    """Every number on a card: `phones` is a list of texts or objects, `phone` a text."""
    numbers: set[str] = set()
    waiting: list[object] = [value for key, value in row.items() if "phone" in key.lower()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(_items(value))
        elif isinstance(value, str | int):
            numbers.update(filter(None, map(_normalised, re.split(r"[,;]", str(value)))))
    return numbers
