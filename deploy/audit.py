"""Compares the pinned versions with known advisories, and never takes silence for a clean bill.

In: requirements/run.txt, and the advisories that the package registry gives to pip-audit. Out: what is known
against which version, and how many were compared. Ends with 0 when all were compared and nothing is known,
with 1 when something is, with 2 when some could not be compared. Called by `make audit`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINS = "requirements/run.txt"
CLEAN, KNOWN, UNKNOWN = range(3)


def ask() -> subprocess.CompletedProcess[str]:
    """What pip-audit says of the pins: nothing is installed for it, nothing resolved."""
    options = ["--requirement", PINS, "--disable-pip", "--require-hashes", "--format", "json"]
    return subprocess.run(  # noqa: S603  a list of ours, no shell
        [sys.executable, "-m", "pip_audit", *options, "--progress-spinner", "off"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def judge(output: str, errors: str) -> tuple[int, list[str]]:
    """The exit code, and the lines that are told."""
    try:
        told: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (errors.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return UNKNOWN, [f"No advisories could be had, so nothing is known of any version: {last}"]
    compared = [one for one in told if "skip_reason" not in one]
    lines = [
        f"{one['name']} {one['version']}: {known['id']}, mended in "
        f"{', '.join(known['fix_versions']) or 'no version yet'}"
        for one in compared
        for known in one["vulns"]
    ]
    if lines:
        lines.append(f"{len(lines)} advisories are known: take the versions that mend them.")
    if len(compared) < len(told) or not told:
        missing = sorted(one["name"] for one in told if "skip_reason" in one)
        lines.append(
            f"The registry gave advisories for {len(compared)} of {len(told)} versions. This says nothing "
            f"of the others, ask where it does: {', '.join(missing) or 'none was named'}."
        )
    code = KNOWN if any(one["vulns"] for one in compared) else UNKNOWN
    if lines:
        return code, lines
    return CLEAN, [f"{len(compared)} versions were compared; nothing is known against them."]


def main() -> None:
    done = ask()
    code, lines = judge(done.stdout, done.stderr)
    for line in lines:
        print(line)
    sys.exit(code)


if __name__ == "__main__":
    main()
