"""Where the command `orderbridge` starts, also as `python -m cli`: imports the rest of it, quickly.

A command lives for half a second, most of which it imports in. Nothing that it imports is ever garbage: the
collector does not look for it meanwhile, nor once more at the end. docs/decisions/a-quick-command-line.md
"""

from __future__ import annotations

import gc

import file_modes


def start() -> None:
    """Run the command that was asked for, and end the process."""
    file_modes.close_to_others()
    gc.disable()
    try:
        from cli.app import main
    finally:
        gc.freeze()
        gc.enable()
    try:
        main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    start()
