"""The CRM's answers are read in every shape that they were seen in; what cannot be read is not guessed."""

import httpx
import pytest
from fake_remotes import accepted

from clients.errors import Forbidden, Garbled, Rejected


@pytest.mark.parametrize(
    "data", [[7], ["7"], [{"id": 7}], [{"orderid": "7"}], {"0": 7}, {"id": 7}, 7]
)
def test_the_id_is_read_in_whatever_shape_it_comes(onebox, box, data):
    box.script = [accepted(data)]
    assert onebox.set_order({}) == "7"


@pytest.mark.parametrize("status", [1, "1", True, 1.0])
def test_success_is_a_status_of_one_in_any_spelling(onebox, box, status):
    box.script = [httpx.Response(200, json={"status": status, "dataArray": [7]})]
    assert onebox.set_order({}) == "7"


NO_ID = [None, [], {}, [None], [0], ["0"], [""], [True], [-1], ["7\0"], [{"name": "x"}]]
NO_ID += ["Помилка", ["Процес не створено"], {"error": "Процес не створено"}, [{"id": "error"}]]


@pytest.mark.parametrize("data", NO_ID)
def test_a_success_without_an_id_is_garbled(onebox, box, data):
    box.script = [accepted(data)]
    with pytest.raises(Garbled):
        onebox.set_order({})


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"status":1,"dataArr', b"[]", b'{"a":1}'])
def test_an_answer_that_cannot_be_read_is_uncertain(onebox, box, content):
    box.script = [httpx.Response(200, content=content)]
    with pytest.raises(Garbled):
        onebox.set_order({})


@pytest.mark.parametrize(
    "failure",
    [
        {"errorArray": ["Недостатньо прав"]},
        {"errorArray": {"order": "Недостатньо прав"}},
        {"errorArray": {"order": ["Недостатньо прав"]}},
        {"errorArray": [{"message": "Недостатньо прав"}]},
        {"errorArray": [{"error": "Недостатньо прав"}, {"text": "x"}]},
        {"errorArray": "Недостатньо прав"},
        {"errors": ["Недостатньо прав"]},
        {"error": "Недостатньо прав"},
        {"error": {"text": "Недостатньо прав"}},
        {"message": "Недостатньо прав"},
        {"errorText": "Недостатньо прав"},
    ],
)
def test_the_text_is_found_wherever_it_stands(onebox, box, failure):
    box.script = [httpx.Response(200, json={"status": 0} | failure)]
    with pytest.raises(Forbidden):
        onebox.set_order({})


@pytest.mark.parametrize("failure", [{}, {"errorArray": None}, {"errorArray": [[[[[[["x"]]]]]]]}])
def test_a_failure_without_a_text_is_rejected(onebox, box, failure):
    box.script = [httpx.Response(200, json={"status": 0} | failure)]
    with pytest.raises(Rejected):
        onebox.set_order({})


@pytest.mark.parametrize("found", [7.0, None, 0, "", True, [7], "error"])
def test_a_process_whose_id_cannot_be_read_is_not_taken_for_none(onebox, box, found):
    box.script = [accepted([{"id": found, "externalid": "okl-1"}])]
    with pytest.raises(Garbled):
        onebox.find_orders(["okl-1"])


@pytest.mark.parametrize("data", [None, [], {}, "", 0])
def test_nothing_found_is_nothing(onebox, box, data):
    box.script = [accepted(data)]
    assert onebox.find_orders(["okl-1"]) == {"okl-1": []}


@pytest.mark.parametrize("asked", ["+380671234567", "0671234567", "8 (067) 123-45-67", "671234567"])
@pytest.mark.parametrize(
    "card",
    [
        {"phones": ["+38 067 123 45 67"]},
        {"phones": [{"phone": "0671234567"}]},
        {"phones": {"0": "380671234567"}},
        {"phone": "067-123-45-67, 0501112233"},
        {"phones": [380671234567]},
    ],
)
def test_a_contact_is_found_by_the_same_number_in_any_spelling(onebox, box, asked, card):
    box.script = [
        accepted([{"id": 3, "phones": ["0501112233"]}, {"id": 20} | card, {"id": 8} | card])
    ]
    assert onebox.find_contact(asked) == "8"


@pytest.mark.parametrize("phone", ["+380671234567", ""])
def test_no_contact_is_none(onebox, box, phone):
    box.script = [accepted([{"id": 3, "phones": ["0501112233"]}, {"id": 4}])]
    assert onebox.find_contact(phone) is None


@pytest.mark.parametrize(
    "failure",
    [
        {"errors": {"f" * 10_000: ["x" * 10_000] * 1_000}},
        {"errors": ["x" * 1_000_000]},
        {"errors": [f"text {number}" for number in range(100_000)]},
        {"error": {"\x1b]0;owned\x07": "\x1b[31mбуло\u202e"}},
    ],
)
def test_however_much_a_failure_says_it_is_short_and_text_alone(onebox, box, failure):
    box.script = [httpx.Response(200, json={"status": 0} | failure)]
    with pytest.raises(Rejected) as refused:
        onebox.set_order({})
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_the_id_of_a_card_is_a_number_too(onebox, box):
    cards = [{"id": one, "phones": ["+380671234567"]} for one in ("9" * 5_000, "[/nope]", "12", 7)]
    box.script = [httpx.Response(200, json={"status": 1, "dataArray": cards})]
    assert onebox.find_contact("+380671234567") == "7"
