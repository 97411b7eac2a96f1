"""The default pair and a broker at addresses where nobody answers, for tests that call none of them."""

from __future__ import annotations

PAIR = {
    "OKLIVING_URL": "http://127.0.0.1:1",
    "OKLIVING_CLIENT_ID": "id",
    "OKLIVING_CLIENT_SECRET": "secret",
    "ONEBOX_URL": "http://127.0.0.1:1",
    "ONEBOX_LOGIN": "login",
    "ONEBOX_PASSWORD": "password",
    "ONEBOX_WORKFLOW_ID": "3",
    "ONEBOX_STATUS_ID": "17",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "ORDERBRIDGE_SANDBOX": "1",
}
