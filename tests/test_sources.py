"""What a comment or document cites is there: the file, and each section that it names.

A place is written as a path and, where one section is meant, its heading in quotes, after `Source:` or within
a sentence: docs/http.md, "Keys". Several headings are joined by a comma or by "and".
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".css", ".html", ".in", ".mako", ""}
LEFT_OUT = {"var", "build", "__pycache__"}
# A line's end within a sentence, with the mark of a comment and the indentation behind it.
WRAPPED = re.compile(r"[ \t]*\n[ \t]*(?:#(?!#)[ \t]*)?(?=\S)")
PLACE = re.compile(r'\bdocs/([\w./-]+\.md)((?:(?:,| and|, and) "[^"\n]{1,80}")*)')
OUTSIDE = r"[a-z0-9.-]+\.[a-z]{2,}/"
# A class or a return's type of that name is none.
CITED = re.compile(r"(?<!class )(?<!-> )(?<![\w`])Source: (\S+)")
OLD = re.compile(
    r"\bcontract (?:okliving|onebox|recipient|createorder|ocp|celery)\b"
    r"|\bdesign, (?:[\"A-Z]|invariant)|\bof the design\b"
)


def project_files():
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in {".ci", ".env.example"} for part in parts)
        if hidden or LEFT_OUT & set(parts) or any(part.endswith(".egg-info") for part in parts):
            continue
        if path.is_file() and path.suffix in {*SUFFIXES, ".example"} and path != Path(__file__):
            yield path


def unwrapped(path):
    """The text with each sentence on one line, so that a place is whole."""
    return WRAPPED.sub(" ", path.read_text("utf-8", "replace"))


def headings(path):
    return set(re.findall(r"^#+ (.+?)\s*$", path.read_text(), re.MULTILINE))


def places(text):
    """(file, headings) of every place in docs/ that is named."""
    for name, heads in PLACE.findall(text):
        yield name, re.findall(r'"([^"]+)"', heads)


TEXTS = {str(path.relative_to(ROOT)): unwrapped(path) for path in project_files()}
CITING = sorted(name for name, text in TEXTS.items() if PLACE.search(text))


@pytest.mark.parametrize("name", CITING)
def test_every_place_that_is_cited_is_there(name):
    for file, heads in places(TEXTS[name]):
        path = ROOT / "docs" / file
        assert path.is_file(), file
        assert set(heads) <= headings(path), file


def test_every_source_is_a_place_in_the_documents_or_an_address():
    wrong = [
        (name, found)
        for name, text in TEXTS.items()
        for found in CITED.findall(text)
        if not re.match(rf"docs/[\w./-]+\.md\b|{OUTSIDE}", found)
    ]
    assert wrong == []


def test_nothing_cites_what_is_not_in_the_repository():
    wrong = [(name, found) for name, text in TEXTS.items() for found in OLD.findall(text)]
    assert wrong == []


def test_a_contract_is_cited_by_those_who_carry_it_out():
    cited = {file for name in CITING for file, _ in places(TEXTS[name])}
    carried_out = {"okliving", "onebox", "recipient", "celery"}
    assert {f"contracts/{name}.md" for name in carried_out} <= cited


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('# Source: docs/http.md, "Keys".', [("http.md", ["Keys"])]),
        ('"""So. Source: docs/http.md, "Keys"."""', [("http.md", ["Keys"])]),
        ('"""So (docs/http.md, "Keys")."""', [("http.md", ["Keys"])]),
        ('    # So, docs/http.md, "An\n    # update" and "Keys": so', [("http.md", ["An update", "Keys"])]),
        ("So. Source: docs/a.md;\ndocs/b.md.", [("a.md", []), ("b.md", [])]),
    ],
)  # fmt: skip
def test_a_place_is_read_however_its_line_is_wrapped(text, found):
    assert list(places(WRAPPED.sub(" ", text))) == found
