"""What the tests of run/ share: waiting for a condition, never for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from run.processes import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def supervisor():
    """One whose programs all end with the test."""
    supervised = Supervisor()
    yield supervised
    supervised.stop(lambda: True)


@pytest.fixture
def until():
    def wait(condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)

    return wait
