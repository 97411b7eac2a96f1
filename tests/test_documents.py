"""What the documents say is held against the product: settings, commands, events, reasons, links."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml

import setting_names
from cli.answers import ABSENT, FAILED, IMPOSSIBLE, UNCHECKED, WRONG
from cli.app import app
from connection import COMMON
from connectors import registry
from ledger import history
from mapping.problems import codes

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = (ROOT / "README.md").read_text()
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PACKAGES = ("cli", "clients", "connectors", "desk", "gateway", "ledger", "mapping", "run", "tasks")
NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)


def names_read_by(source):
    """Every environment variable's name that stands as a text of its own in a file."""
    return {
        node.value
        for node in ast.walk(ast.parse((ROOT / source).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value)
    }  # fmt: skip


def names_looked_up_in(folder):
    """What a package reads from os.environ itself."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        found |= set(re.findall(r"environ(?:\.get\(|\[)\s*\"(\w+)\"", path.read_text()))
    return found


def names_asked_for_by_compose():
    return set(re.findall(r"\$\{(\w+)[:}]", (ROOT / "docker-compose.yml").read_text())) - {
        "HOSTNAME"
    }


def rows(text):
    """The tables' rows: their cells, without heads and rules."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not set(cells[0]) <= set("-: "):
            yield cells


def coded(text):
    return set(re.findall(r"`([^`]+)`", text))


def documented(text):
    return {name for cells in rows(text) for name in coded(cells[0]) if NAME.fullmatch(name)}


READ = (
    names_read_by("settings.py")
    | names_read_by("variables.py")
    | names_read_by("default_pair.py")
    | names_read_by("flower_settings.py")
    | names_read_by("dotenv_file.py")
    | names_looked_up_in("run")
    | names_looked_up_in("gateway")
    | names_asked_for_by_compose()
)

# Each may be named with the file that holds it, too.
NAMED = READ | {f"{name}_FILE" for name in READ}


def test_every_setting_that_is_read_is_known_by_its_name_and_every_known_one_is_read():
    assert {
        *READ,
        "ORDERBRIDGE_DATA",
    } | setting_names.RECORDED | setting_names.LATER == setting_names.NAMES


def test_configuration_names_every_setting_that_is_read_and_no_other():
    assert documented(CONFIGURATION) == READ


def test_readme_and_example_name_only_settings_that_exist():
    assert documented(README) <= READ
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    assert named <= NAMED
    for document in (README, OPERATIONS):
        mentioned = {name for name in coded(document) if NAME.fullmatch(name)}
        assert mentioned <= NAMED


def numbers_in_settings():
    """(name, default) of every number that settings.py reads."""
    for node in ast.walk(ast.parse((ROOT / "settings.py").read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"whole", "seconds"}:
            name, default = node.args[1], node.args[2]
            if isinstance(name, ast.Constant) and isinstance(default, ast.Constant):
                yield name.value, default.value


@pytest.mark.parametrize(("name", "default"), sorted(numbers_in_settings()))
def test_configuration_gives_the_default_of_every_number(name, default):
    (cells,) = [cells for cells in rows(CONFIGURATION) if f"`{name}`" in cells[0]]
    assert cells[2] == f"{default:g}"


def own_keys():
    """(kind, key, field) of every kind of connection."""
    for kind in registry.KINDS.values():
        for key, field in kind.keys.items():
            yield kind.name, key, field


def table_of(kind):
    return {
        name: cells
        for cells in rows(section(CONFIGURATION, f"Keys of a connection to {kind}"))
        for name in coded(cells[0])
    }


@pytest.mark.parametrize(
    ("kind", "key", "field"), [pytest.param(*own, id=f"{own[0]}-{own[1]}") for own in own_keys()]
)
def test_configuration_says_what_each_key_of_a_kind_is_and_its_default(kind, key, field):
    cells = table_of(kind)[key]
    if field.required:
        assert cells[1].startswith("**needed**")
    elif isinstance(field.load_default, bool):
        assert cells[2] == f"`{str(field.load_default).lower()}`"
    elif isinstance(field.load_default, int | float):
        assert cells[2] == f"{field.load_default:g}"
    elif isinstance(field.load_default, str) and field.load_default:
        assert cells[2] == f"`{field.load_default}`"


def test_configuration_names_no_key_that_no_kind_has():
    for kind in registry.KINDS.values():
        assert set(table_of(kind.name)) == set(kind.keys)
    common = section(CONFIGURATION, "Keys of every connection")
    assert {name for cells in rows(common) for name in coded(cells[0])} == set(COMMON)


# --- commands ---------------------------------------------------------------------------------------


def commands_in(text):
    """Every call of orderbridge in code, as its words; a table of examples ends at two spaces."""
    # What a terminal showed is no command.
    text = re.sub(r"^<!-- screen .*?^<!-- end of it -->", "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`([^`]+)`", outside)]:
        command = re.split(r"(?<=\S)   *", line)[0]
        found = re.search(r"(?:^|\.venv/bin/|exec worker )orderbridge( [^#|\n]*)?$", command)
        if found and found[1]:
            yield tuple(shlex.split(found[1]))


COMMANDS = sorted({words for path in DOCUMENTS for words in commands_in(path.read_text())})


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_in_the_documents_exists(words):
    command = typer.main.get_command(app)
    rest = list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    options = {name: param for param in command.params for name in param.opts}
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            assert word in options, f"{word} is no option of {command.name}"
            if not options[word].is_flag:
                rest.pop(0)
        else:
            assert arguments, f"{word!r} is no command"
            if arguments[0].nargs == 1:
                arguments.pop(0)


# `make run` is how people call `run`; the others get their place with the part on updates.
NOT_IN_README = {"run"}


def test_the_commands_of_people_are_all_in_the_readme():
    named = {words[0] for words in commands_in(README)}
    assert set(typer.main.get_command(app).commands) - NOT_IN_README <= named


def test_every_make_target_in_the_documents_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)) <= targets


def test_the_readme_begins_with_the_two_commands():
    block = re.search(r"```\n(.*?)```", README, re.DOTALL)[1]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make run", "make test"]


# --- links ------------------------------------------------------------------------------------------


def anchors(path):
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@documents
def test_every_relative_link_resolves(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@documents
def test_every_file_of_the_project_that_is_named_exists(path):
    outside = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`((?:[a-z_]+/)+[\w-]*(?:\.\w+)?)`", outside):
        if name.split("/")[0] in {*PACKAGES, "docs", "tests", "simulator", "deploy"}:
            assert (ROOT / name).exists(), name


# --- what an operator and a clerk look up -----------------------------------------------------------


def section(text, title):
    return re.search(rf"^#+ {title}$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)[1]


CALL = re.compile(r"\b_?log\.(debug|info|warning|error|critical|exception)\(\s*\"(\w+)\"")


def test_every_log_event_is_explained_with_its_level_and_every_explained_one_exists():
    logged = {}
    for path in [*ROOT.glob("*.py"), *(p for n in PACKAGES for p in (ROOT / n).rglob("*.py"))]:
        for level, event in CALL.findall(path.read_text()):
            logged.setdefault(event, set()).add({"exception": "error"}.get(level, level))
    assert logged
    told = section(OPERATIONS, "What each log event means")
    assert logged == {
        name: set(cells[1].split(", ")) for cells in rows(told) for name in coded(cells[0])
    }


def test_every_reason_that_a_clerk_may_see_is_explained():
    told = section(OPERATIONS, "Why an order is held") + section(OPERATIONS, "Reasons of updates")
    assert {name for cells in rows(told) for name in coded(cells[0])} == codes("en")


def texts_in_code():
    """Every text that stands by itself in the product's code: codes and names are among them."""
    found = set()
    for path in [*ROOT.glob("*.py"), *(p for n in PACKAGES for p in (ROOT / n).rglob("*.py"))]:
        if "migrations" not in path.parts:
            tree = ast.walk(ast.parse(path.read_text()))
            found |= {node.value for node in tree if isinstance(node, ast.Constant)}
    return found


def test_every_reason_that_is_explained_is_produced():
    assert codes("en") - texts_in_code() == set()


# Those of the project, by name.
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in [
        path.stem,
        *re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE),
    ]
}


def test_every_act_that_the_history_keeps_is_explained_and_every_explained_one_exists():
    told = section(OPERATIONS, "Who did what")
    assert {name for cells in rows(told) for name in coded(cells[0])} == set(get_args(history.What))


def test_every_exit_code_is_explained_and_every_explained_one_exists():
    (told,) = re.findall(r"Exit codes: ([^.]+)\.", README.replace("\n", " "))
    assert set(re.findall(r"\b\d\b", told)) == {
        str(code) for code in (0, FAILED, WRONG, ABSENT, IMPOSSIBLE, UNCHECKED)
    }


def commands(command, words=()):
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))
    if not hasattr(command, "commands"):
        yield words, {name for param in command.params for name in param.opts}


def test_what_the_readme_says_of_options_holds_for_every_command():
    told = re.sub(r"\s+", " ", README)
    (without,) = re.findall(r"all but ([^;]+?) take `--json`", told)
    (acting,) = re.findall(r"Commands that act \(([^)]+)\) take `--as NAME`", told)
    found = dict(commands(typer.main.get_command(app)))
    assert {words[-1] for words, opts in found.items() if "--json" not in opts} == coded(without)
    (numbered,) = re.findall(r"`(\w+)`, whose `--as` is a number, takes `--by NAME`", told)
    takes_as = {words[-1] for words, opts in found.items() if "--as" in opts}
    assert takes_as == coded(acting) | {numbered}
    assert {words[-1] for words, opts in found.items() if "--by" in opts} == {numbered}


def test_every_service_of_compose_that_is_named_exists():
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])
    told = "\n".join(path.read_text() for path in DOCUMENTS)
    called = re.findall(r"docker compose (?:exec(?: -T)?|run --rm) ([\w-]+)", told)
    listed = re.findall(r"docker compose (?:stop|restart|up --detach) ([a-z][\w -]*)", told)
    assert called
    assert listed
    assert {*called, *(name for names in listed for name in names.split())} <= services
    table = section(OPERATIONS, "Deploy with Compose")
    assert {name for cells in rows(table) for name in coded(cells[0])} == services


@documents
def test_every_test_that_is_named_exists(path):
    named = set(re.findall(r"`(test_\w+)`", path.read_text()))
    assert named <= TESTS


def test_decisions_are_one_paragraph_each():
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        title, paragraph, *more = path.read_text().strip().split("\n\n")
        assert title.startswith("# ")
        assert paragraph
        assert not more, path.name
