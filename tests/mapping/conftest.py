"""The shipped profiles, joined, and the contract's reference order, for all tests of mapping."""

import json
from pathlib import Path

import pytest
from hypothesis import settings
from profiles import joined

# A busy machine is no failure of a law.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def profile():
    parameters = {"workflow_id": "3", "status_id": "17", "source_id": None}
    return joined(parameters=parameters)


@pytest.fixture
def reference():
    return json.loads((GOLDEN / "reference-order.json").read_text(encoding="utf-8"))


@pytest.fixture
def golden():
    return json.loads((GOLDEN / "reference-process.json").read_text(encoding="utf-8"))
