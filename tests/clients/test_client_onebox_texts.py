"""What the CRM's texts mean: the connection's fault only where it is said of the connection itself."""

import httpx
import pytest

from clients.errors import AuthFailed, Forbidden, Misconfigured, PhoneTaken, Rejected, TokenLost
from clients.onebox_texts import meaning


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Такий номер телефону вже зареєстровано #12903", PhoneTaken),
        ("Ошибка #4765", PhoneTaken),
        ("Номер телефона уже зарегистрирован", PhoneTaken),
        ("token in header not found", TokenLost),
        ("Invalid token", TokenLost),
        ("Токен недійсний", TokenLost),
        ("Срок действия: токен истёк", TokenLost),
        ("Невірний логін або пароль", AuthFailed),
        ("Неверный пароль", AuthFailed),
        ("Wrong login or password", AuthFailed),
        ("Недостатньо прав для створення", Forbidden),
        ("Нет доступа к процессу", Forbidden),
        ("Permission denied", Forbidden),
        ("Бізнес-процес не знайдено", Misconfigured),
        ("Бизнес-процесс 12 не существует", Misconfigured),
        ("Workflow not found", Misconfigured),
        ("Етап 55 не належить бізнес-процесу", Misconfigured),
        ("Невірний statusid", Misconfigured),
        ("Статус не найден", Misconfigured),
        ("Продукт із таким зовнішнім id вже існує", None),
        ("Невірний формат телефону", None),
        ("Сума замовлення невірна", None),
        ("Не вказано назву процесу", None),
        ("Поле email некоректне", None),
        ("Статус оплати прийнято; телефон невірний", None),
        ("statusid: етап '71' не знайдено в бізнес-процесі (stage not found)", Misconfigured),
        ("workflowid: бізнес-процес '7' не знайдено (workflow not found)", Misconfigured),
        ("403 Forbidden", Forbidden),
        ("Набір Forbidden Garden", None),
        ("Немає в наявності: Набір Forbidden Garden", None),
        ("products.name: Access denied, роман", None),
        ("Stage light not found", None),
        ("Товар Stage light not found", None),
        ("Поетапний крій не знайдено", None),
        ("Товар «Етап не знайдено» відсутній", None),
        ('Product "workflow not found" is missing', None),
        ("Товар 'Permission denied' закінчився", None),
        ("Товар «Пазл; Access denied; 100 шт» відсутній", None),
        ('Product "Set; 403 Forbidden; blue" is missing', None),
        ("Товар «Пазл» відсутній; Недостатньо прав", Forbidden),
        ("comment: Немає прав на відео", None),
        ("Книга Invalid token роман", None),
        ("Статус " + "х" * 600 + " не знайдено", None),
    ],
)
def test_what_a_text_means(onebox, box, refuses, text, kind):
    assert meaning(text) is kind
    for status in (200, 400):
        box.script = [refuses(text, status)] * 2
        with pytest.raises(kind or Rejected) as caught:
            onebox.set_order({})
        assert type(caught.value) is (kind or Rejected)
        assert text[:100] in str(caught.value)


def test_equal_refusals_read_equal_whatever_else_the_answers_hold(onebox, box):
    """A wave of them is known by its text, not by the time or the number of the request beside it."""
    said = []
    for number in range(2):
        more = {"time": 0.01 * number, "requestid": f"r{number}"}
        box.script = [
            httpx.Response(200, json={"status": 0, "errorArray": ["Склад закрито"]} | more)
        ]
        with pytest.raises(Rejected) as caught:
            onebox.set_order({})
        said.append(caught.value.excerpt)
    assert said[0] == said[1]
    assert "Склад закрито" in said[0]
