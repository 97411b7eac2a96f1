"""The document of the API and its page: true, complete, readable without the internet."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
import schemathesis
from gateway_calls import KEY, bearer
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from desk import loading

EXAMPLES = 30
TENANTS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "tenants.yaml"


def test_document_says_what_schemas_cannot(keyed):
    document = keyed.client.get("/api/openapi.json").json
    update = document["components"]["schemas"]["Update"]

    assert update["properties"]["connection"]["enum"] == ["okliving", "createorder"]
    assert {"required": ["note"]} in update["anyOf"]
    assert set(document["paths"]) == {
        "/api/v1/updates",
        "/api/v1/updates/{update_id}",
        "/api/v1/orders/{order_id}",
        "/CreateOrder",
    }


def test_page_names_every_door_and_field_and_loads_nothing(keyed):
    answer = keyed.client.get("/api/docs")
    document = keyed.client.get("/api/openapi.json").json

    for path in document["paths"]:
        assert path in answer.text
    for schema in document["components"]["schemas"].values():
        for name in schema["properties"]:
            assert f'<th scope="row">{name}' in answer.text
    assert not re.search(r"https?://|<script|<link|<img", answer.text)


def test_style_of_the_page_is_the_one_that_its_policy_allows(keyed):
    answer = keyed.client.get("/api/docs")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("mode", GenerationMode)
def test_schemathesis_finds_nothing(gateway, mode):
    """Requests that fit the document are taken, others refused, and answers are as the document says."""
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", GATEWAY_RATE="0")
    loading.load(made.resources.settings, made.ledger, TENANTS)
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", made.app, headers=bearer(KEY))
    # Whose orders are taken the document does not tell: that is each caller's own.
    posted = schema.raw_schema["components"]["schemas"]["PostedOrder"]["properties"]
    posted["tenant"] = {"enum": ["demo", "orderingTenant885"]}
    posted["account_id"] = {"enum": [1, 2]}
    probed = Counter()

    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def probe(case):
            # The key is right, but where the key itself is what was spoilt.
            spoilt = getattr(case.meta.phase.data, "parameter", None) == "Authorization"
            # That there is such an account, such a day, is more than a document can ask for.
            asks_more = case.operation.path == "/CreateOrder"
            answer = case.call_and_validate(
                headers=None if spoilt else bearer(KEY),
                excluded_checks=[positive_data_acceptance] if asks_more else [],
            )
            probed[case.operation.label, answer.status_code] += 1

        probe()

    assert len({label for label, _ in probed}) == 4
    taken = probed["POST /api/v1/updates", 202]
    assert (taken > 0) is (mode is GenerationMode.POSITIVE)
    placed = probed["POST /CreateOrder", 200]
    assert (placed > 0) is (mode is GenerationMode.POSITIVE)
