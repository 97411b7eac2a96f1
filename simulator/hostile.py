"""The texts of an attacker: what a remote or a buyer might send to cost time, or to be more than text.

In: nothing, or how long a text may be. Out: texts, with a name each where they do different things. Nothing
fails. Used by the tests and by `make attack`; a new trick is added here, and every test of hostile texts
tries it.
"""

from __future__ import annotations

from collections.abc import Iterator

# What would be more than text where it is shown: the part that must not get there, by what it would do.
MARKUP = {
    "an error of rich": "[/nope]",
    "a clickable link": "[link=https://evil.example]click[/link]",
    "colours": "[bold red on white]held[/]",
    "an emoji": ":pile_of_poo:",
    "markup of a page": "<script>alert(1)</script>",
    "a template": "{{ 7 * 7 }} {0.__class__} %s %(x)s ${HOME}",
}
CONTROLS = {
    "the title of a terminal": "\x1b]0;owned\x07",
    "colours of a terminal": "\x1b[31;1m",
    "a link of a terminal": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "the screen cleared": "\x1b[2J\x1b[H",
    "a C1 sequence": "\x9b31m\x9d0;owned\x9c",
    "a line overwritten": "good\rbad",
    "backspaces": "bad\x08\x08\x08good",
    "a bell and a NUL": "\x07\x00",
    "delete": "\x7f",
    "a text turned round": "\u202egnp.exe\u202c",
    "isolates": "\u2066admin\u2069",
    "marks of direction": "\u200e\u200f\u061c",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "line and paragraph separators": "one\u2028two\u2029three\x85four",
    "tags": "\U000e0041\U000e0042",
    "interlinear marks": "\ufff9a\ufffab\ufffb",
}
# A line of a log, of JSON or of a header of its own.
LINES = {
    "a line of the log": 'x\n{"event": "order_created", "order_id": "1"}',
    "a header": "x\r\nSet-Cookie: a=b",
}
SHOWN = MARKUP | CONTROLS | LINES

# Patterns take long over what nearly matches: runs of what they name, and what grows as it is normalised.
_RUNS = (
    *("a", "я", "5", "0", " ", ".", "-", "+", "@", "'", '"', "(", "[", "<", "\\", "_", "\u0301"),
    *("㌖", "ﷺ", "a.", "a@", "0О", "5 ", "5-", "();", "()", "<>", "; ", "\u0301\u0327", "a\u0301"),
    *(
        "<a",
        "(a",
        "a'",
        "token=",
        "Bearer ",
        "номер телефону ",
        "етап ",
        "stage ",
        "статус з ",
        "1,",
        "1 000",
    ),
    *(
        "ФОП ",
        "доб. 1",
        "+38 (0",
        "и\u0306",
        "#1290",
        "«",
        "«a",
        'token="',
        '\\"',
        "[",
        "[]",
        '{"a":',
    ),
)
_STARTS = ("", "a", "0", '"', "token: ", "Назва: ")
_ENDS = ("", "!", "@", ">", "\x00")


def long_texts(longest: int) -> Iterator[str]:
    """Texts of so many characters that patterns may take long over."""
    for run in _RUNS:
        for start, end in ((start, end) for start in _STARTS for end in _ENDS):
            middle = longest - len(start) - len(end)
            yield start + (run * (middle // len(run) + 1))[:middle] + end
