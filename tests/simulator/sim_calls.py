"""What these tests share: valid order/set bodies, and waiting for a condition."""

import functools
import time

import httpx

# Reading the certificate store for each call would be most of the time these tests take.
post = functools.partial(httpx.post, verify=False)
get = functools.partial(httpx.get, verify=False)


def process(externalid="okl-1", **changes):
    return {
        "externalid": externalid,
        "workflowid": "7",
        "statusid": "71",
        "name": "Замовлення №1 (OK Living)",
        "clientname": "Іван Д'яченко",
        "clientphone": "+380501234567",
        "products": [line()],
        "deletenotupdatedproducts": True,
    } | changes


def line(externalid="SKU-1", **changes):
    info = {"name": "Чайник", "externalid": externalid, "findbyArray": ["externalid"]}
    return {"name": "Чайник", "count": 1, "price": "1179.00", "productinfo": info} | changes


def until(condition, seconds=10.0):
    """Wait for a condition; answers whether it came true in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()
