"""Orders for tests: the contract's reference order, and many cheap distinct ones.

Change it when docs/contracts/okliving.md, "Reference order", changes; invented people are in generator.py.
"""

import copy
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SHOP_ZONE = ZoneInfo("Europe/Kyiv")
FIRST_ID = 300_000_001

REFERENCE: dict[str, Any] = {
    "id": "300167757",
    "created_at": "2026-11-21 10:15:00",
    "updated_at": "2026-11-21 10:15:00",
    "status": "open",
    "delivery_status": "open",
    "currency": "UAH",
    "total": "1249.00",
    "customer": {
        "first_name": "Олена",
        "last_name": "Шевченко",
        "middle_name": "",
        "phone": "+380671234567",
        "email": "o@ukr.net",
    },
    "recipient": {
        "first_name": "Іван",
        "last_name": "Д'яченко",
        "middle_name": "",
        "phone": "0501234567",
        "email": "",
        "is_other": True,
    },
    "shipping": {
        "carrier": "novaposhta",
        "type": "warehouse",
        "city": "м. Київ",
        "city_ref": "8d5a980d-391c-11dd-90d9-001a92567626",
        "region": "Київська",
        "warehouse": "Відділення №12: вул. Хрещатик, 1",
        "warehouse_number": "12",
        "warehouse_ref": None,
        "street": None,
        "house": None,
        "flat": None,
        "zip": None,
        "cost": "70.00",
        "tracking_number": None,
    },
    "payment": {"code": "cod", "title": "Післяплата", "paid": False, "amount": "1249.00"},
    "items": [
        {
            "id": "1",
            "sku": "SKU-1",
            "name": "Чайник",
            "quantity": 1,
            "price": "1179.00",
            "total": "1179.00",
            "type": "product",
        }
    ],
    "note": "",
    "do_not_call": 0,
}


def reference_order(**changes: Any) -> dict[str, Any]:
    """The reference order of docs/contracts/okliving.md; a changed object is merged into its own.

    `reference_order(id="5", customer={"phone": "1"})` keeps the customer's other fields.
    """
    order = copy.deepcopy(REFERENCE)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(order.get(name), dict):
            order[name].update(value)
        else:
            order[name] = value
    return order


def many(
    count: int, start: int = FIRST_ID, *, newest: datetime | None = None
) -> list[dict[str, Any]]:
    """Distinct valid orders with ids from `start` on, one second apart, the last at `newest`.

    `newest` is an aware datetime (now by default) and is written in shop time.
    """
    last = (newest or datetime.now(tz=SHOP_ZONE)).astimezone(SHOP_ZONE)
    orders = []
    for number in range(count):
        at = shop_time(last - timedelta(seconds=count - 1 - number))
        orders.append(
            REFERENCE
            | {
                "id": str(start + number),
                "created_at": at,
                "updated_at": at,
                "customer": REFERENCE["customer"] | {"phone": f"+38067{_digits(number)}"},
                "recipient": REFERENCE["recipient"] | {"phone": f"+38050{_digits(number)}"},
            }
        )
    return orders


def _digits(number: int) -> str:
    # Seven digits that are no filler: 0000000 is no phone.
    return f"{(2_345_678 + number) % 10_000_000:07d}"


def shop_time(moment: datetime) -> str:
    """A moment as the shop writes it: Europe/Kyiv, no offset (docs/contracts/okliving.md)."""
    return moment.astimezone(SHOP_ZONE).strftime("%Y-%m-%d %H:%M:%S")
