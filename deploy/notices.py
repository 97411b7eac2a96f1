"""Writes THIRD-PARTY.md: whose work is installed with the product, in which version, under which licence.

In: the pins of requirements/run.txt and what the installed packages say of themselves. Out: the file's table;
what stands around it is kept. Fails with SystemExit for a package that names no licence. Called by
`make notices`; tests/test_notices.py holds the file against what is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "THIRD-PARTY.md"
# Between these two lines stands the table.
BEGIN, END = "<!-- made by `make notices` -->\n", "<!-- end -->\n"


def pinned() -> dict[str, str]:
    """The versions of requirements/run.txt, by the name of the package."""
    text = (ROOT / "requirements" / "run.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def licence(name: str) -> str:
    """What an installed package says; raises PackageNotFoundError."""
    said = metadata.metadata(name)
    expression = said.get("License-Expression")
    if expression:
        return expression
    classifiers = [c for c in said.get_all("Classifier", []) if c.startswith("License :: ")]
    text = (said.get("License") or "").strip()
    # The field may hold a whole licence instead of its name.
    names = [c.rpartition(" :: ")[2] for c in classifiers] or text.splitlines()[:1]
    if not names:
        sys.exit(f"{name} names no licence: look at its project, and leave it out if it has none.")
    return " or ".join(names)


def table() -> Iterator[str]:
    """A row for each package that is installed here; the others are for other systems."""
    yield "| package | version | licence |"
    yield "|---|---|---|"
    for name, version in sorted(pinned().items()):
        try:
            yield f"| {name} | {version} | {licence(name)} |"
        except metadata.PackageNotFoundError:
            continue


def main() -> None:
    before, _, rest = FILE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = "".join(f"{line}\n" for line in table())
    FILE.write_text(f"{before}{BEGIN}\n{rows}\n{END}{after}")


if __name__ == "__main__":
    main()
