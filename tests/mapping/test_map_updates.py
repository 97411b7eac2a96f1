"""An update is read the same at each door, its body is the source text's, and a hook becomes one."""

import json
import re
from datetime import timedelta

import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from hypothesis import given
from hypothesis import strategies as st
from profiles import SOURCE, TARGET, joined, written

from mapping.profile import ProfileError
from mapping.request import UpdateRequest, digest
from mapping.statuses import ACTIONS, MACHINES
from mapping.updates import AT_LEAST_ONE, UpdateSchema, from_flat, read_update
from mapping.updates import body as body_of

# To the letter as in the source text.
EXAMPLE = (
    '{"args":{"order":{"id":"300167757","tracking_number":"123456789012345",'
    '"statuses":{"delivery":"ship","order":"process"},"note":"note"}}}'
)
TTN = "20450000000000"


def read(**fields):
    request, errors = read_update({"order_id": "1", **fields})
    assert (request is None) == bool(errors)
    return request or errors


def body(request):
    return body_of(request.order_id, request.parts)


# The body


def test_the_source_texts_example_is_reproduced_to_the_letter():
    request, errors = from_flat(
        {
            "note": "note",
            "order": "process",
            "delivery": "ship",
            "tracking_number": "123456789012345",
            "order_id": "300167757",
        }
    )
    assert not errors
    text = json.dumps({"args": {"order": body(request)}}, separators=(",", ":"))
    assert text == EXAMPLE


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"tracking_number": TTN}, {"tracking_number": TTN}),
        ({"statuses": {"order": "cancel"}}, {"statuses": {"order": "cancel"}}),
        ({"statuses": {"delivery": "ship"}}, {"statuses": {"delivery": "ship"}}),
        ({"note": "Дякуємо!\nДо зустрічі"}, {"note": "Дякуємо!\nДо зустрічі"}),
    ],
)
def test_what_is_not_meant_is_left_out(fields, sent):
    assert body(read(**fields)) == {"id": "1", **sent}


# The one validation


@pytest.mark.parametrize(
    ("given_id", "read_id"),
    [
        (300167757, "300167757"),
        (300167757.0, "300167757"),
        (" 300167757\n", "300167757"),
        ("acme-№ 5", "acme-№ 5"),
        ("x" * 64, "x" * 64),
        (0, "0"),
    ],
)
def test_an_order_id_is_text_or_a_whole_number(given_id, read_id):
    assert read(order_id=given_id, note="x").order_id == read_id


@pytest.mark.parametrize(
    "bad",
    [
        *("", " ", "x" * 65, "a\x00b", "a\nb", "a\u200bb", "\ud800", None, True, 1.5, -1, 2**53),
        *(float("nan"), float("inf"), [], {}, b"1"),
    ],
)
def test_what_is_no_order_id_is_an_error_of_that_field(bad):
    assert read(order_id=bad, note="x").keys() == {"order_id"}


@pytest.mark.parametrize(
    ("number", "doubted"),
    [
        ("20450000000000", False),
        ("0500000000000", False),
        ("123456789012345", False),
        ("RB123456789UA", True),
        ("1234-5", True),
        ("9" * 64, True),
    ],
)
def test_an_unusual_tracking_number_is_doubted_and_never_blocked(number, doubted):
    request = read(tracking_number=f" {number}\n")
    assert request.parts["tracking_number"] == number
    assert [p.code for p in request.warnings] == ["update_ttn_unusual"] * doubted


@pytest.mark.parametrize(
    "bad", ["", " ", "9" * 65, "2045 0000", "ТТН", "1\x002", 20450000000000, None]
)
def test_what_is_no_tracking_number_is_an_error_of_that_field(bad):
    assert read(tracking_number=bad).keys() == {"tracking_number"}


@pytest.mark.parametrize("size", [1, 1_999, 2_000])
def test_a_note_is_trimmed_and_keeps_its_lines(size):
    assert read(note=f" \r\n{'я' * size}\n ").parts["note"] == "я" * size
    assert read(note="a\r\nb\tc\rd").parts["note"] == "a\nb\tc\nd"


@pytest.mark.parametrize("bad", ["", " \n", "я" * 2_001, "a\x07b", "a\x7fb", "\ud800", 5, None, {}])
def test_what_is_no_note_is_an_error_of_that_field(bad):
    assert read(note=bad).keys() == {"note"}


@pytest.mark.parametrize(
    "bad",
    ["x" * 10_000_000, " " * 10_000_000, "a" + " " * 10_000_000 + "a", "a " * 5_000_000],
    ids=["letters", "blanks", "gap", "words"],
)
@pytest.mark.timeout(10)
def test_ten_megabytes_are_refused_at_once(bad):
    assert read(note=bad, order_id=bad, tracking_number=bad).keys() == {
        "note",
        "order_id",
        "tracking_number",
    }


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "_schema"),
        ({"replace": True}, "_schema"),
        ({"statuses": {}}, "statuses"),
        ({"statuses": []}, "statuses"),
        ({"statuses": None}, "statuses"),
        ({"statuses": {"order": "ship"}}, "statuses.order"),
        ({"statuses": {"order": None}}, "statuses.order"),
        ({"statuses": {"delivery": "Ship"}}, "statuses.delivery"),
        ({"statuses": {"payment": "pay"}}, "statuses.payment"),
        ({"note": "x", "status": "open"}, "status"),
        ({"note": "x", "replace": "true"}, "replace"),
        ({"note": "x", "replace": 1}, "replace"),
        ({"note": "x", "connection": "ok living"}, "connection"),
        ({"note": "x", "order_action": 1}, "order_action"),
    ],
)
def test_errors_are_keyed_by_field(fields, place):
    errors = read(**fields)
    assert list(errors) == [place]
    assert all(isinstance(text, str) and text for text in errors[place])


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_what_is_no_object_is_an_error_of_the_whole(raw):
    assert list(read_update(raw)[1]) == ["_schema"]


def test_defaults():
    assert read(note="x") == UpdateRequest("1", {"note": "x"})
    assert read(note="x", replace=True).options == {"replace": True}
    assert read(note="x").connection is None


WORDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=70),
    st.text(alphabet=" \n\t\r\x00a5-\u00a0\ufeff\u2028\uffff", max_size=70),
    st.dictionaries(
        st.sampled_from(["order", "delivery", "x"]),
        st.sampled_from([*ACTIONS["order"], "ship", None]),
    ),
)
NAMES = ["order_id", "tracking_number", "statuses", "note", "replace", "connection", "key", "order"]
RAW = st.dictionaries(st.sampled_from(NAMES), WORDS)


@given(RAW)
def test_reading_never_fails_and_gives_a_request_or_errors(raw):
    for door in (read_update, from_flat):
        request, errors = door(raw)
        assert (request is None) == bool(errors)
        json.dumps(errors)
        if request is not None:
            json.dumps(body(request)).encode()
            assert len(body(request)) > 1


# The OpenAPI document says exactly what is accepted


def openapi():
    spec = APISpec("t", "1", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Update", schema=UpdateSchema)
    return spec.to_dict()["components"]["schemas"]


def test_the_document_names_enums_patterns_and_limits():
    document = openapi()
    update, statuses = document["Update"], document["Statuses"]
    assert update["required"] == ["order_id"]
    assert update["additionalProperties"] is statuses["additionalProperties"] is False
    assert update["properties"]["statuses"]["minProperties"] == 1
    for name, machine in MACHINES.items():
        assert statuses["properties"][name]["enum"] == list(ACTIONS[name])
        assert set(ACTIONS[name]) >= {a for row in machine.transitions.values() for a in row}
    assert all(
        field["description"] for field in update["properties"].values() if "$ref" not in field
    )
    assert "type" not in update["properties"]["order_id"]
    assert AT_LEAST_ONE == [
        {"required": ["tracking_number"]},
        {"required": ["statuses"]},
        {"required": ["note"]},
    ]


TEXTS = st.one_of(
    st.text(max_size=70),
    st.text(alphabet=" \n\t\r\x00a5-\u00a0\ufeff\u2028\uffff", max_size=70),
    st.builds(lambda pad, n: pad + "x" * n + pad, st.text(" \n", max_size=2), st.integers(60, 70)),
    st.builds(
        lambda pad, n: pad + "x" * n + pad, st.text(" \n", max_size=2), st.integers(1998, 2002)
    ),
)


@pytest.mark.parametrize("name", ["order_id", "tracking_number", "note", "connection"])
@given(text=TEXTS)
def test_a_documented_pattern_matches_exactly_what_is_accepted(name, text):
    pattern = openapi()["Update"]["properties"][name]["pattern"]
    request, _ = read_update({"order_id": "1", "statuses": {"order": "cancel"}, name: text})
    assert (request is not None) == (re.search(pattern, text) is not None)


# The flat form of Celery and the command line


def test_the_flat_form_reads_as_the_other_does():
    flat, _ = from_flat({"order_id": 1, "order": "process", "delivery": None, "note": None})
    assert flat == read(statuses={"order": "process"})


def test_the_flat_form_keeps_its_key():
    assert from_flat({"order_id": "1", "note": "x", "key": "k-1"})[0].key == "k-1"


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb", 5])
def test_a_bad_key_is_an_error_of_that_field(key):
    assert from_flat({"order_id": "1", "note": "x", "key": key})[1].keys() == {"key"}


@pytest.mark.parametrize(
    ("kwargs", "places"),
    [
        ({"order": "ship"}, {"statuses.order"}),
        ({"order": "ship", "key": 5}, {"statuses.order", "key"}),
        ({"statuses": {"order": "cancel"}, "delivery": "ship"}, {"delivery"}),
        ({"ttn": "1", "note": "x"}, {"ttn"}),
    ],
)
def test_a_bad_flat_form_says_where(kwargs, places):
    assert from_flat({"order_id": "1", **kwargs})[1].keys() == places


# Telling updates apart


def test_equal_updates_have_equal_digests_whatever_their_spelling_and_key():
    one = read_update({"order_id": 1, "note": " x", "statuses": {"order": "cancel"}})[0]
    two = from_flat({"order": "cancel", "note": "x\n", "order_id": "1", "key": "k"})[0]
    assert digest(one) == digest(two)
    assert re.fullmatch("[0-9a-f]{32}", digest(one))


@pytest.mark.parametrize(
    "other",
    [
        {"order_id": "2"},
        {"note": "y"},
        {"replace": True},
        {"connection": "second"},
        {"tracking_number": TTN},
        {"statuses": {"delivery": "cancel"}},
    ],
)
def test_different_updates_have_different_digests(other):
    first = read(note="x", statuses={"order": "cancel"})
    assert digest(first) != digest(read(**{"note": "x", "statuses": {"order": "cancel"}, **other}))


# The hook


@pytest.mark.parametrize(
    ("stage", "extra", "wanted"),
    [
        ("In work", {}, UpdateRequest("300167757", {"order": "process"})),
        (
            "Shipped",
            {"ttn": TTN},
            UpdateRequest("300167757", {"tracking_number": TTN, "delivery": "ship"}),
        ),
        ("Shipped", {"ttn": ""}, UpdateRequest("300167757", {"delivery": "ship"})),
        (
            " SHIPPED ",
            {"TTN": TTN},
            UpdateRequest("300167757", {"tracking_number": TTN, "delivery": "ship"}),
        ),
        ("Done", {"ttn": TTN}, UpdateRequest("300167757", {"order": "complete"})),
        ("Refused", {}, UpdateRequest("300167757", {"order": "cancel", "delivery": "cancel"})),
        (
            "Done",
            {"comment": "Дякуємо"},
            UpdateRequest("300167757", {"order": "complete", "note": "Дякуємо"}),
        ),
        ("", {"ttn": TTN}, UpdateRequest("300167757", {"tracking_number": TTN})),
        ("", {"ttn": "20 4500 0000 0000"}, UpdateRequest("300167757", {"tracking_number": TTN})),
        ("", {"comment": "Дякуємо"}, UpdateRequest("300167757", {"note": "Дякуємо"})),
    ],
)
def test_a_stage_becomes_its_milestones_update(profile, stage, extra, wanted):
    result = profile.hook_update({"externalid": "okl-300167757", "statusid": stage, **extra})
    assert result.request == wanted
    assert (result.nothing_to_do, result.errors) == (None, {})
    assert (result.order_id, result.external_id) == ("300167757", "okl-300167757")
    assert result.stage == (stage.strip() or None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"externalid": "okl-1", "statusid": "99", "ttn": TTN, "comment": "x"}, "unknown_stage"),
        ({"externalid": "okl-1"}, "nothing_said"),
        ({"externalid": "other-1", "order_id": "1", "statusid": "Done"}, "not_ours"),
        ({"externalid": "okl-", "statusid": "Done"}, "no_order"),
        ({"statusid": "Done"}, "no_order"),
        ({"orderid": "4711", "statusid": "Done"}, "no_order"),
        ({}, "no_order"),
    ],
)
def test_a_hook_that_asks_for_nothing_says_why(profile, fields, reason):
    result = profile.hook_update(fields)
    assert (result.request, result.nothing_to_do, result.errors) == (None, reason, {})


def test_the_order_is_found_by_external_id_then_shop_id_then_process(profile):
    asked = []

    def order_of(process_id):
        asked.append(process_id)
        return {"4711": "3"}.get(process_id)

    fields = {"externalid": "okl-1", "order_id": "2", "orderid": 4711, "status": "Done"}
    assert profile.hook_update(fields, order_of).request.order_id == "1"
    del fields["externalid"]
    assert profile.hook_update(fields, order_of).request.order_id == "2"
    assert not asked
    del fields["order_id"]
    result = profile.hook_update(fields, order_of)
    assert (result.request.order_id, result.process_id) == ("3", "4711")
    fields["orderid"] = "4712"
    assert profile.hook_update(fields, order_of).nothing_to_do == "no_order"


def test_a_stage_is_known_by_its_id_or_its_name(profile):
    fields = {"externalid": "okl-1", "statusid": "25", "statusname": "Done"}
    assert profile.hook_update(fields).request.parts["order"] == "complete"


def test_what_a_hook_says_wrongly_is_an_error_of_that_field(profile):
    result = profile.hook_update({"externalid": "okl-1", "ttn": "немає", "statusid": "Shipped"})
    assert result.request is None
    assert result.nothing_to_do is None
    assert result.errors.keys() == {"tracking_number"}


@given(
    st.dictionaries(st.text(max_size=5) | st.sampled_from(["externalid", "TTN", "status"]), WORDS)
)
def test_any_hook_is_answered(profile, fields):
    result = profile.hook_update(fields, lambda process: process)
    assert (result.request is not None) + bool(result.errors) + bool(result.nothing_to_do) == 1


# What the profiles say


@pytest.fixture
def edited(tmp_path):
    def edit(**said):
        hook, stages = said.pop("hook", {}), said.pop("stages", [])
        return joined(
            written(tmp_path, SOURCE, lambda profile: profile.update(updates=said)),
            written(tmp_path, TARGET, lambda profile: profile.update(hook=hook, stages=stages)),
        )

    return edit


def test_a_profile_without_a_word_about_updates_has_the_defaults(edited, profile):
    updates = edited().updates
    assert updates.machines == MACHINES
    assert updates.planner == "check"
    assert updates.greatest_age == {
        "note": timedelta(hours=6),
        "status": timedelta(hours=48),
        "tracking_number": timedelta(hours=48),
    }
    assert updates.greatest_age == profile.updates.greatest_age
    assert updates.hook.names == profile.updates.hook.names
    assert not updates.hook.stages


def test_ages_and_planner_are_settings(edited):
    updates = edited(planner=False, greatest_age_hours={"note": 0.5}).updates
    assert updates.planner == "off"  # YAML's word for a bare off
    assert updates.greatest_age["note"] == timedelta(minutes=30)
    assert updates.greatest_age["status"] == timedelta(hours=48)


def test_a_shop_may_have_edited_one_machine(edited):
    states = {"open": {"complete": "completed"}, "completed": {"complete": "same"}}
    updates = edited(machines={"order": {"start": "open", "states": states}}).updates
    assert updates.machines["order"].transitions == states
    assert updates.machines["delivery"] == MACHINES["delivery"]


def test_a_rows_template_says_what_the_customer_reads(edited):
    template = "Ваше замовлення {order_id} відправлено, ТТН {ttn}"
    profile = edited(stages=[{"stage": 25, "tracking_number": True, "note": template}])
    hook = {"externalid": "okl-1", "statusid": "25", "ttn": TTN}
    assert (
        profile.hook_update(hook).request.parts["note"]
        == f"Ваше замовлення 1 відправлено, ТТН {TTN}"
    )
    assert profile.hook_update({**hook, "comment": "Своє"}).request.parts["note"] == "Своє"
    assert profile.hook_update({**hook, "ttn": ""}).nothing_to_do == "nothing_said"


def test_what_a_hook_says_is_never_a_template(edited):
    profile = edited(stages=[{"stage": "a {order_id}", "note": "{stage}"}])
    hook = {"externalid": "okl-1", "status": "a {order_id}"}
    assert profile.hook_update(hook).request.parts["note"] == "a {order_id}"


def test_a_hooks_fields_may_have_other_names(edited):
    profile = edited(hook={"order_id": ["Номер"], "note": ["Для покупця"]})
    result = profile.hook_update({"номер": "5", "для покупця": "x", "comment": "внутрішнє"})
    assert result.request == UpdateRequest("5", {"note": "x"})


@pytest.mark.parametrize(
    ("updates", "told"),
    [
        ({"planner": "always"}, r"updates\.planner"),
        ({"planner": ["plan"]}, r"updates\.planner"),
        ({"greatest_age_hours": {"note": 0}}, r"greatest_age_hours\.note"),
        ({"greatest_age_hours": {"ttn": 1}}, r"greatest_age_hours\.ttn"),
        ({"machines": {"payment": {}}}, r"machines\.payment"),
        ({"machines": {"order": {"states": {}}}}, r"machines\.order\.start"),
        ({"machines": {"order": {"start": "a", "states": {}}}}, "order: .*'a'"),
        ({"hook": {"ttn": ["ttn"]}}, r"hook\.ttn"),
        ({"hook": {"note": []}}, r"hook\.note"),
        ({"stages": [{"stage": "a", "order": "ship"}]}, r"stages\.0\.order"),
        ({"stages": [{"order": "cancel"}]}, r"stages\.0\.stage"),
        ({"stages": [{"stage": True, "order": "cancel"}]}, r"stages\.0\.stage"),
        ({"stages": [{"stage": "a"}]}, "'a' says nothing"),
        ({"stages": [{"stage": "a", "note": "x"}, {"stage": "A", "note": "y"}]}, "two rows"),
        ({"stages": [{"stage": "a", "note": "{phone}"}]}, "'a'.*phone"),
        ({"stages": [{"stage": "a", "note": "{ttn"}]}, "'a'"),
        ({"stages": [{"stage": "a", "note": "{ttn.x}"}]}, "'a'"),
        ({"stages": [{"stage": "a", "note": "{}"}]}, "'a'"),
        ({"stages": [{"stage": "a", "note": "{ttn:{stage}}"}]}, "'a'"),
        ({"milestones": ["shipped"]}, r"updates\.milestones"),
        ({"milestones": {"shipped": {"order": "ship"}}}, r"updates\.milestones\.shipped\.order"),
        ({"milestones": {"shipped": {"ttn": True}}}, r"updates\.milestones\.shipped\.ttn"),
        ({"milestones": {"shipped": 5}}, r"updates\.milestones\.shipped"),
        ({"milestones": {"shipped": {"note": ""}}}, r"updates\.milestones\.shipped\.note"),
        ({"milestones": {"shipped": {"note": "{phone}"}}}, r"milestones\.shipped\.note.*phone"),
    ],
)
def test_a_mistake_in_the_section_is_refused_by_name(edited, updates, told):
    with pytest.raises(ProfileError, match=told):
        edited(**updates)
