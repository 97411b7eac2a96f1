"""What of a text from outside is text: it loses what would steer a terminal or turn, hide or join its words.

In: any text of a remote, a buyer or a caller. Out: the same without C0 and C1 controls, marks of direction,
characters without width and what no store holds; line ends and tabs stay. Nothing fails. Called where such
texts are taken in (clients, mapping, the doors) and once more where a person sees them (command line, logs).
Source: docs/decisions/text-is-only-text.md.
"""

from __future__ import annotations

import re

# A carriage return alone goes back to the start of the line, to write over it.
_LINE_ENDS = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # C0 and C1: escape sequences begin with them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the words round
    "\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # without width
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # half a pair, and no characters
)
_DROPPED = re.compile(f"[{_HIDDEN}]")
_ESCAPED = re.compile(f"[{_HIDDEN}\u2028\u2029]")


def plain(text: str) -> str:
    """The text alone, with its line ends and tabs."""
    if text.isprintable():
        return text
    return _DROPPED.sub("", _LINE_ENDS.sub("\n", text))


def line(text: str) -> str:
    """The text alone, on one line."""
    return " ".join(plain(text).split())


def escaped(json_text: str) -> str:
    """JSON that says the same without any such character: within it they stand in strings alone."""
    if json_text.isprintable():
        return json_text
    return _ESCAPED.sub(lambda found: _escape(found[0]), json_text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
