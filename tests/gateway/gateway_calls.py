"""What the tests of the gateway send."""

KEY = "k" * 24
OTHER_KEY = "o" * 24
SECRET = "hook-secret-0001"
OTHER_SECRET = "hook-secret-0002"

UPDATES = "/api/v1/updates"
GOOD = {"order_id": "300167757", "tracking_number": "20450000000000"}
HOOK = f"/hooks/onebox/{SECRET}"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}
