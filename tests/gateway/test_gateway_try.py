def test_it(keyed, rung):
    c = keyed.client
    a = c.post("/api/v1/updates", json={"order_id": 5, "tracking_number": "1234567890123"})
    print(a.status_code, a.json, a.headers)
    for p in (
        "/api/v1/updates/1",
        "/api/v1/orders/5",
        "/api/v1/orders/6",
        "/api/docs",
        "/api/openapi.json",
        "/metrics",
        "/nowhere",
        "/api/v1/updates",
    ):
        a = c.get(p)
        print(p, a.status_code, a.text)
    assert 0
