"""Invents plausible Ukrainian orders for the sandbox: most clean, some sloppy, a few unclear.

Change it to make the sandbox's orders more like real ones. All people and numbers are invented.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from simulator.samples import shop_time

WOMEN = ("Олена", "Оксана", "Ірина", "Наталія", "Марія", "Юлія", "Тетяна", "Світлана", "Анна")
MEN = ("Іван", "Андрій", "Олександр", "Сергій", "Дмитро", "Богдан", "Тарас", "Юрій", "Микола")
LAST_NAMES = (
    "Шевченко",
    "Бондаренко",
    "Коваленко",
    "Д'яченко",
    "Ткаченко",
    "Мельник",
    "Кравчук",
    "Гончар",
    "Лук'яненко",
    "Нечуй",
    "Петренко",
    "Приходько",
)
LATIN = {"Шевченко": "shevchenko", "Мельник": "melnyk", "Петренко": "petrenko"}
CITIES = (
    ("м. Київ", "Київська", "8d5a980d-391c-11dd-90d9-001a92567626", "01001"),
    ("м. Львів", "Львівська", "db5c88f5-391c-11dd-90d9-001a92567626", "79000"),
    ("м. Одеса", "Одеська", "db5c88d0-391c-11dd-90d9-001a92567626", "65000"),
    ("м. Дніпро", "Дніпропетровська", "db5c88f0-391c-11dd-90d9-001a92567626", "49000"),
    ("м. Харків", "Харківська", "db5c88e0-391c-11dd-90d9-001a92567626", "61000"),
    ("м. Вінниця", "Вінницька", "db5c88de-391c-11dd-90d9-001a92567626", "21000"),
    ("м. Полтава", "Полтавська", "db5c8892-391c-11dd-90d9-001a92567626", "36000"),
    ("с. Сокільники", "Львівська", None, "81130"),
)
STREETS = ("вул. Хрещатик", "вул. Шевченка", "просп. Свободи", "вул. Лесі Українки", "вул. Садова")
PRODUCTS = (
    ("OKL-1001", "Чайник електричний 1,7 л", "1179.00"),
    ("OKL-1002", "Набір каструль 6 предметів", "2490.00"),
    ("OKL-1003", "Постільна білизна, бязь, двоспальна", "1350.00"),
    ("OKL-1004", "Плед флісовий 150×200", "449.50"),
    ("OKL-1005", "Лампа настільна LED", "799.00"),
    ("OKL-1006", "Рушник махровий 70×140", "289.00"),
    ("OKL-1007", "Контейнер для зберігання 20 л", "215.00"),
    ("OKL-1008", 'Сковорода "Гранд" 28 см', "1049.00"),
    ("OKL-1009", "Подушка ортопедична", "899.00"),
    ("OKL-1010", "Вішалка для одягу, 10 шт.", "178.90"),
)
OPERATORS = ("50", "63", "66", "67", "68", "73", "93", "95", "96", "97", "98", "99")
PAYMENTS = (("cod", "Післяплата", False), ("liqpay", "LiqPay", True), ("iban", "На рахунок", False))
NOTES = ("", "", "", "", "Передзвоніть після 18:00", "Подарункова упаковка, будь ласка")


class Generator:
    """Invented orders; the same seed invents the same ones. Called by the shop alone."""

    first_number = 300_167_001

    def __init__(self, seed: int | None = None) -> None:
        self.dice = random.Random(seed)

    def past(self, count: int, now: datetime) -> Iterator[dict[str, Any]]:
        """`count` orders spread over the last seven days before `now`, oldest first."""
        week = timedelta(days=7)
        moments = sorted(now - week * self.dice.random() for _ in range(count))
        for number, moment in enumerate(moments, start=self.first_number):
            yield self.order(number, moment)

    def order(self, number: int, at: datetime) -> dict[str, Any]:
        """One order made at `at`: 1 in 12 needs a person, 1 in 6 is sloppy but clear."""
        order = self.good(number, at)
        fate = self.dice.random()
        if fate < 1 / 12:
            self._make_unclear(order)
        elif fate < 1 / 12 + 1 / 6:
            self._make_sloppy(order)
        return order

    def good(self, number: int, at: datetime) -> dict[str, Any]:
        """One order that nobody has to look at."""
        items = self._items()
        shipping = self._shipping()
        total = sum((Decimal(item["total"]) for item in items), Decimal(shipping["cost"]))
        code, title, paid = self.dice.choice(PAYMENTS)
        customer = self._person(email=True)
        other = self.dice.random() < 0.3
        recipient = self._person(email=False) if other else customer | {"email": ""}
        return {
            "id": str(number),
            "created_at": shop_time(at),
            "updated_at": shop_time(at),
            "status": "open",
            "delivery_status": "open",
            "currency": "UAH",
            "total": str(total),
            "customer": customer,
            "recipient": recipient | {"is_other": other},
            "shipping": shipping,
            "payment": {"code": code, "title": title, "paid": paid, "amount": str(total)},
            "items": items,
            "note": self.dice.choice(NOTES),
            "do_not_call": int(self.dice.random() < 0.2),
        }

    def _person(self, *, email: bool) -> dict[str, Any]:
        last = self.dice.choice(LAST_NAMES)
        box = f"{LATIN.get(last, 'client')}{self.dice.randrange(1000)}@example.com"
        return {
            "first_name": self.dice.choice(WOMEN + MEN),
            "last_name": last,
            "middle_name": "",
            "phone": f"+380{self.dice.choice(OPERATORS)}{self.dice.randrange(10_000_000):07d}",
            "email": box if email else "",
        }

    def _shipping(self) -> dict[str, Any]:
        city, region, ref, code = self.dice.choice(CITIES)
        kind = self.dice.choices(("warehouse", "postomat", "address"), (6, 2, 2))[0]
        number = str(self.dice.randrange(1, 120))
        street, house = self.dice.choice(STREETS), str(self.dice.randrange(1, 150))
        place = {"warehouse": f"Відділення №{number}: {street}, {house}"}
        place["postomat"] = f"Поштомат №{number}: {street}, {house}"
        to_door = kind == "address"
        return {
            "carrier": "novaposhta" if to_door or self.dice.random() < 0.9 else "ukrposhta",
            "type": kind,
            "city": city,
            "city_ref": ref,
            "region": region,
            "warehouse": place.get(kind),
            "warehouse_number": None if to_door else number,
            "warehouse_ref": None,
            "street": street if to_door else None,
            "house": house if to_door else None,
            "flat": str(self.dice.randrange(1, 90)) if to_door else None,
            "zip": code if to_door else None,
            "cost": self.dice.choice(("70.00", "85.00", "0.00")),
            "tracking_number": None,
        }

    def _items(self) -> list[dict[str, Any]]:
        chosen = self.dice.sample(PRODUCTS, self.dice.choices((1, 2, 3), (6, 3, 1))[0])
        items = []
        for line, (sku, name, price) in enumerate(chosen, start=1):
            count = self.dice.choices((1, 2, 4), (7, 2, 1))[0]
            items.append(
                {
                    "id": str(line),
                    "sku": sku,
                    "name": name,
                    "quantity": count,
                    "price": price,
                    "total": str(Decimal(price) * count),
                    "type": "product",
                }
            )
        return items

    def _make_unclear(self, order: dict[str, Any]) -> None:
        """What no rule may guess: no phone, a one-word name, sums that do not agree."""
        match self.dice.randrange(3):
            case 0:
                order["customer"]["phone"] = ""
                order["recipient"]["phone"] = ""
            case 1:
                order["recipient"] |= {"first_name": "Оля", "last_name": "", "is_other": True}
            case _:
                order["total"] = str(Decimal(order["total"]) + 137)

    def _make_sloppy(self, order: dict[str, Any]) -> None:
        """What is written badly but can be read in one way only."""
        match self.dice.randrange(6):
            case 0:
                whole, _, cents = order["total"].partition(".")
                order["total"] = f"{int(whole):,}".replace(",", " ") + f",{cents or '00'}"
            case 1:
                order["id"] = int(order["id"])
                for item in order["items"]:
                    item["id"] = int(item["id"])
                    item["quantity"] = f"{item['quantity']}.0"
            case 2:
                for person in (order["customer"], order["recipient"]):
                    person["phone"] = "0" + person["phone"].removeprefix("+380")
            case 3:
                recipient = order["recipient"]
                for name in ("first_name", "last_name"):
                    recipient[name] = recipient[name].upper()
            case 4:
                del order["recipient"]
            case _:
                order["customer"]["email"] = False
                order["payment"]["paid"] = str(int(order["payment"]["paid"]))
