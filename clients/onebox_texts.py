"""What OneBox's texts of a failure mean: hardly any has a code, the words say whose fault it is.

Change it when the CRM words a failure otherwise, or a text is judged wrongly. In: the text, several joined by
"; ". Out: the kind of error, None where it is none of those known: the order's fault. Never fails.
"""

import re
from typing import Final

from clients.errors import AuthFailed, Forbidden, Misconfigured, PhoneTaken, RemoteError, TokenLost

# Between a thing and what is said of it: an id, a quoted name (left out), a word that says nothing itself.
_GAP = r"(?:[\s\d:#№().,/\"'-]|\b(?:is|was|with|id|in|for|the|has|been|з|із|с|під|под)\b){0,40}"
_STAGE = r"\b(workflow|workflow ?id|status ?id|stage|stage ?id)"
_STAGE_UK = r"\b(бізнес.?процес|бизнес.?процесс|етап|этап|статус|workflow ?id|status ?id)"
_BAD_UK = r"(не знайден|не існу|не належ|невірн|неправильн|не найден|не существ|неверн)"

# What a failure's text means, the first that matches; Ukrainian, Russian, English. Kept tight: a
# match wrongly taken for the connection's fault would stop every order because of one. What is quoted
# is left out before, and what is said must be said of the thing itself: "Stage light not found" is a
# product's. Several texts are joined by "; ", over which no pattern reaches.
_PATTERNS: Final[dict[type[RemoteError], tuple[str, ...]]] = {
    PhoneTaken: (
        r"#12903\b",
        r"#4765\b",
        r"\bномер\w{0,4} телефон\w{0,4}\s[^;]{0,20}(вже зареєстрован|уже зарегистрирован)",
        r"\bphone( number)? [^;]{0,20}already (registered|taken|exists)",
    ),
    TokenLost: (
        r"token in header not found",
        r"^(the )?(invalid|expired|wrong|missing|unknown|bad) token\b",
        rf"\btoken\b{_GAP}\b(not found|invalid|expired|missing|required|revoked)",
        rf"\bтокен\w{{0,3}}{_GAP}(не знайден|недійсн|невірн|застар|закінчи|протерм)",
        rf"\bтокен\w{{0,3}}{_GAP}(не найден|недейств|неверн|устарел|ист[её]к|просроч)",
        r"\b(недійсн|невірн|протермінован|недейств|неверн|просрочен)\w{0,4} токен",
    ),
    AuthFailed: (
        (
            r"\b(невірн|неправильн|некоректн|неверн|некорректн)\w{0,4}\s((логін|логин) (або|чи|или|і|и) )?"
            r"(логін|логин|парол)"
        ),
        rf"\b(логін|логин|парол)\w{{0,3}}{_GAP}(невірн|неправильн|неверн|не підходит|не подходит)",
        r"\b(wrong|invalid|incorrect|bad) (rest ?api ?)?(login|password|credentials)\b",
        rf"\b(login|password|credentials)\b{_GAP}\b(wrong|invalid|incorrect)\b",
        r"^(помилка авторизації|ошибка авторизации|не авторизован)",
        r"^(authori[sz]ation|authentication) failed|^unauthori[sz]ed\b",
    ),
    Forbidden: (
        r"^(у вас )?(немає|недостатньо|не вистачає) прав|^(у вас )?(немає|заборонено|відмовлено в) доступ",
        r"^(у вас )?(нет|недостаточно|не хватает) прав|^(у вас )?нет доступа|^отказано в доступе",
        r"^доступ\w{0,2} (заборонен|запрещ)",
        (
            r"^(access|permission) (is )?denied|^(no|insufficient|not enough) permission"
            r"|^(403 )?forbidden\W{0,3}$"
        ),
    ),
    Misconfigured: (
        rf"{_STAGE}\b{_GAP}\b(not found|invalid|wrong|unknown|does not exist|incorrect|missing)",
        (
            r"\b(invalid|wrong|unknown|incorrect|missing|no) "
            r"(workflow|workflowid|status ?id|stage)\b\W{0,3}\d{0,10}\W{0,3}$"
        ),
        rf"{_STAGE_UK}(ами|ах|ів|ов|а|и|у|і)?{_GAP}{_BAD_UK}",
        (
            r"\b(не знайден|не існу|невірн|неправильн|не найден|не существ|неверн)\w{0,4}\s"
            r"(бізнес.?процес|бизнес.?процесс|етап|этап|статус|workflowid|statusid)\b"
        ),
    ),
}
_MEANINGS: Final = {
    kind: re.compile("|".join(patterns), re.IGNORECASE) for kind, patterns in _PATTERNS.items()
}
# What stands in quotes is somebody's text, such as a product's name, and says nothing of the connection.
_QUOTED = re.compile(
    r"«[^»]{0,300}»|“[^”]{0,300}”|„[^”“]{0,300}[”“]|\"[^\"]{0,300}\"|(?<!\w)'[^']{0,300}'(?!\w)"
)
_CODE = re.compile(r"#\d{4,5}\b")
# The field of the body that a text speaks of, as PHP's form of a refusal names it.
_FIELD = re.compile(r"^[\w.\[\]]{1,40}: ")
_OWN_FIELD = re.compile(
    r"^(client|products?|productinfo|name|comment|note|address)\b", re.IGNORECASE
)
# Longer texts are no error messages, and are not searched.
_JUDGED = 500
SHAPE_REFUSED = re.compile(
    r"перший елемент масиву процесів|первый элемент массива процессов", re.IGNORECASE
)
ADVICE: Final[dict[type[RemoteError], str]] = {
    PhoneTaken: "the buyer's phone is on another card",
    TokenLost: "the new token is refused as well; it is tried again",
    AuthFailed: "the login is refused; correct ONEBOX_LOGIN and ONEBOX_PASSWORD",
    Forbidden: "the employee lacks a permission; grant it in OneBox",
    Misconfigured: "workflow or stage is wrong; correct their ids",
}


def meaning(text: str) -> type[RemoteError] | None:
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
        return " ".join(_CODE.findall(text))
    text = _QUOTED.sub("''", text).strip()
    if field and _MEANINGS[Misconfigured].search(text):
        return text
    return _FIELD.sub("", text, count=1)
