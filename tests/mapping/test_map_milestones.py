"""Milestones join any source with any target, and say all that a table of stages said by itself."""

import itertools
import re
from pathlib import Path

import pytest
import yaml
from profiles import SOURCE, TARGET, joined, written

from mapping.hook import Said
from mapping.milestones import MILESTONES
from mapping.profile import ProfileError, load_source, load_target
from mapping.request import UpdateRequest
from mapping.statuses import ACTIONS
from mapping.yamlfile import read_yaml

SINGLE = Path(__file__).parent / "golden/single-profile.yaml"
TTN = "20450000000000"


def meaning(order_id, tracking_number=None, order=None, delivery=None, note=None):
    """The update of these parts."""
    meant = {
        "tracking_number": tracking_number,
        "order": order,
        "delivery": delivery,
        "note": note,
    }
    parts = {name: value for name, value in meant.items() if value is not None}
    return UpdateRequest(order_id, parts)


@pytest.fixture
def edited(tmp_path):
    """The shipped profiles with other milestones and stages."""

    def edit(milestones, stages):
        return joined(
            written(tmp_path, SOURCE, lambda p: p["updates"].update(milestones=milestones)),
            written(tmp_path, TARGET, lambda p: p.update(stages=stages)),
        )

    return edit


def asked(profile, stage, number=TTN, note=None):
    return profile.updates.hook.asks("1", Said((stage,), number, note))


# What a stage says


def test_the_shipped_files_know_the_five_milestones(profile):
    assert tuple(profile.source.updates.milestones) == MILESTONES
    meant = {word: stage.milestone for word, stage in profile.updates.hook.stages.items()}
    assert meant == {
        "in work": "processing",
        "shipped": "shipped",
        "done": "completed",
        "refused": "cancelled",
    }


@pytest.mark.parametrize("note", [None, "ТТН {ttn}"])
@pytest.mark.parametrize("tracking_number", [None, False, True])
def test_every_row_that_a_stage_could_have_can_be_said(edited, tracking_number, note):
    """A row had an order action, a delivery action, a number and a note: each with each other."""
    more = {"tracking_number": tracking_number, "note": note}
    more = {name: value for name, value in more.items() if value is not None}
    pairs = itertools.product((None, *ACTIONS["order"]), (None, *ACTIONS["delivery"]))
    rows = {f"word_{chr(97 + n // 7)}{chr(97 + n % 7)}": pair for n, pair in enumerate(pairs)}
    for in_the_stage in (True, False):
        profile = edited(
            {
                name: {k: v for k, v in zip(("order", "delivery"), pair, strict=True) if v}
                | ({} if in_the_stage else more)
                for name, pair in rows.items()
            },
            [{"stage": name, "milestone": name} | (more if in_the_stage else {}) for name in rows],
        )
        for name, (order, delivery) in rows.items():
            number = TTN if tracking_number else None
            sent = meaning("1", number, order, delivery, note and f"ТТН {TTN}")
            result = asked(profile, name)
            said = any((order, delivery, number, note))
            assert result.request == (sent if said else None)
            assert result.nothing_to_do == (None if said else "nothing_said")


def test_several_stages_may_be_one_milestone(edited):
    stages = [{"stage": name, "milestone": "shipped"} for name in ("Sent", 25)]
    profile = edited({"shipped": {"delivery": "ship", "tracking_number": True}}, stages)
    assert asked(profile, "Sent").request == asked(profile, "25").request
    assert asked(profile, "Sent").request == meaning("1", tracking_number=TTN, delivery="ship")


def test_a_stages_own_word_wins_over_its_milestones(edited):
    profile = edited(
        {"shipped": {"delivery": "ship", "tracking_number": True, "note": "В дорозі"}},
        [
            {"stage": "plain", "milestone": "shipped"},
            {"stage": "other", "milestone": "shipped", "tracking_number": False, "note": "{stage}"},
        ],
    )
    sent = meaning("1", tracking_number=TTN, delivery="ship", note="В дорозі")
    assert asked(profile, "plain").request == sent
    assert profile.updates.hook.takes_number(Said(("plain",)))
    sent = meaning("1", delivery="ship", note="other")
    assert asked(profile, "other").request == sent
    assert not profile.updates.hook.takes_number(Said(("other",)))
    assert asked(profile, "other", note="Своє").request.parts["note"] == "Своє"


@pytest.mark.parametrize("milestones", [{}, {"returned": None}, {"returned": {}}])
def test_a_milestone_without_a_word_sends_nothing_back(edited, milestones):
    profile = edited(milestones, [{"stage": "Back", "milestone": "returned"}])
    assert asked(profile, "Back").nothing_to_do == "nothing_said"
    assert asked(profile, "Elsewhere").nothing_to_do == "unknown_stage"
    assert profile.updates.hook.has_row(Said(("back",)))


def test_an_order_is_at_its_end_when_completed_or_cancelled(edited, profile):
    assert profile.updates.hook.through == {"done", "refused"}
    stages = [{"stage": name, "milestone": name} for name in MILESTONES]
    assert edited({}, stages).updates.hook.through == {"completed", "cancelled"}


# Mistakes


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("shiped", "shipped is meant"),
        ("canceled", "cancelled is meant"),
        ("Shipped", "shipped is meant"),
        ("handed over", "one of processing"),
        ("x" * 33, "one of processing"),
        (5, "one of processing"),
    ],
)
def test_what_is_no_milestone_is_refused_on_either_side(tmp_path, word, told):
    with pytest.raises(ProfileError, match=rf"okliving\.yaml: updates\.milestones\..*{told}"):
        load_source(written(tmp_path, SOURCE, lambda p: p["updates"].update(milestones={word: {}})))
    stages = [{"stage": "a", "milestone": word}]
    with pytest.raises(ProfileError, match=rf"onebox\.yaml: stages\.0\.milestone: .*{told}"):
        load_target(written(tmp_path, TARGET, lambda p: p.update(stages=stages)))


def test_a_milestone_that_the_source_does_not_know_names_both_files_and_the_stage(edited):
    stages = [{"stage": "Half", "milestone": "shipped_partially"}]
    with pytest.raises(ProfileError) as refused:
        edited({}, stages)
    for said in ("onebox.yaml: stages", "'Half'", "'shipped_partially'", "okliving.yaml"):
        assert said in str(refused.value)
    profile = edited({"shipped_partially": {"delivery": "ship_partially"}}, stages)
    assert asked(profile, "Half").request.parts["delivery"] == "ship_partially"
    assert asked(edited({"shipped_partially": {}}, stages), "Half").nothing_to_do == "nothing_said"


# Each source with each target


def test_two_sources_have_one_target(tmp_path, reference, golden):
    def edit(profile):
        profile["name"] = "Друга"
        profile["order"]["id"] = "code"
        profile["updates"]["milestones"]["completed"] = {"delivery": "ship", "note": "Готово"}

    parameters = {"workflow_id": "3", "status_id": "17"}
    first = joined(parameters=parameters)
    second = joined(written(tmp_path, SOURCE, edit), prefix="second-", parameters=parameters)
    assert first.map(reference).target == golden
    body = second.map(reference | {"code": "A 7", "id": 5}).target
    assert (body["externalid"], body["name"]) == ("second-A 7", "Замовлення №A 7 (Друга)")
    assert body["products"][-1]["productinfo"]["externalid"] == "second-shipping"
    assert body["clientphone"] == golden["clientphone"]

    fields = {"externalid": "second-A 7", "statusname": "Done"}
    assert first.hook_update(fields).nothing_to_do == "not_ours"
    sent = meaning("A 7", delivery="ship", note="Готово")
    assert second.hook_update(fields).request == sent
    assert second.hook_update(fields | {"externalid": "okl-1"}).nothing_to_do == "not_ours"


def test_one_source_has_two_targets(tmp_path, reference, golden):
    small = tmp_path / "small.yaml"
    small.write_text(
        "name: small\n"
        "target: {key: {from: external_id}, who: {from: recipient.full}}\n"
        "hook: {external_id: [key], stage: [at]}\n"
        "stages: [{stage: gone, milestone: shipped}]\n",
        encoding="utf-8",
    )
    other = joined(target=small)
    mapped = other.map(reference)
    assert mapped.target == {"key": "okl-300167757", "who": golden["clientname"]}
    assert [problem.code for problem in mapped.fixed] == ["phone_fixed"]
    result = other.hook_update({"key": "okl-1", "at": "Gone", "ttn": TTN})
    assert result.request == meaning("1", tracking_number=TTN, delivery="ship")
    result = joined().hook_update({"externalid": "okl-1", "status": "gone"})
    assert result.nothing_to_do == "unknown_stage"


def test_an_order_is_read_once_for_every_target(reference):
    source, target = load_source(SOURCE), load_target(TARGET)
    read = source.read(reference)
    for prefix in ("okl-", "other-"):
        assert target.compose(read, prefix).external_id == f"{prefix}300167757"
    assert [problem.code for problem in read.problems] == ["phone_fixed"]
    held = source.read(reference | {"total": "x"})
    assert (held.order_id, held.order) == ("300167757", None)
    assert target.compose(held, "okl-").reasons == ["unreadable"]


# The one file of before


@pytest.mark.parametrize("load", [load_source, load_target])
def test_a_profile_of_one_file_is_refused_with_the_steps_in_their_order(load):
    with pytest.raises(ProfileError) as refused:
        load(SINGLE)
    said = str(refused.value)
    assert "single-profile.yaml" in said
    steps = [
        "name, source, order, recipient, updates (with planner, greatest_age_hours, machines)",
        "name, lookups, target.",
        "`updates.hook` and `updates.stages`",
        "`processing: {order: process}`. `shipped: {delivery: ship}`. `completed: {order: complete}`.",
        "`cancelled: {order: cancel, delivery: cancel}`.",
        "'In work' is `milestone: processing`.",
        "`external_id_prefix: 'okl-'`",
        "OKLIVING_PROFILE and ONEBOX_PROFILE",
    ]
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
    assert re.findall(r"^  (\d)\. ", said, re.MULTILINE) == [str(n) for n in range(1, 8)]


def split(folder, single, said):
    """Do what the steps say."""
    milestones = {}
    for snippet in re.findall(r"`(\w+: \{[^}]*\})`", said):
        milestones |= yaml.safe_load(snippet)
    is_one = dict(re.findall(r"('[^']*') is `milestone: (\w+)`", said))
    updates = single["updates"]
    stages = updates.pop("stages")
    for row in stages:
        row.pop("order", None)
        row.pop("delivery", None)
        if repr(row["stage"]) in is_one:
            row["milestone"] = is_one[repr(row["stage"])]
    target = {name: single.pop(name) for name in ("lookups", "target")}
    target |= {"name": "box", "stages": stages, "hook": updates.pop("hook")}
    updates["milestones"] = milestones
    prefix = single["source"].pop("external_id_prefix")
    paths = folder / "shop.yaml", folder / "box.yaml"
    for path, profile in zip(paths, (single, target), strict=True):
        path.write_text(yaml.safe_dump(profile, allow_unicode=True), encoding="utf-8")
    return joined(*paths, prefix, {"workflow_id": "3", "status_id": "17"})


def test_a_profile_split_by_its_steps_says_what_it_said(tmp_path, profile, reference, golden):
    single = read_yaml(SINGLE)
    rows = [
        {"stage": "Half", "delivery": "ship_partially"},
        {"stage": "Sent", "delivery": "ship", "note": "ТТН {ttn}"},
        {"stage": "Picked up", "order": "complete", "delivery": "ship"},
        {"stage": "Stopped", "order": "cancel"},
        {"stage": "Label", "tracking_number": True},
    ]
    single["updates"]["stages"] += rows
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(single, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ProfileError) as refused:
        load_source(path)
    again = split(tmp_path, single, str(refused.value))

    assert again.map(reference).target == golden
    assert again.content_hash(reference) == profile.content_hash(reference)
    for stage in ("In work", "Shipped", "Done", "Refused"):
        assert asked(again, stage).request == asked(profile, stage).request
    assert asked(again, "Half").request == meaning("1", delivery="ship_partially")
    assert asked(again, "Sent").request == meaning("1", delivery="ship", note=f"ТТН {TTN}")
    sent = meaning("1", order="complete", delivery="ship")
    assert asked(again, "Picked up").request == sent
    assert asked(again, "Stopped").request == meaning("1", order="cancel")
    assert asked(again, "Label").request == meaning("1", TTN)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (("source", "external_id_prefix"), "Take `source.external_id_prefix` out"),
        (("updates", "stages"), "Move `updates.stages` into the target's file, as `stages`"),
        (("updates", "hook"), "Move `updates.hook` into the target's file, as `hook`"),
        (("target", "name"), "Make the target's file"),
    ],
)
def test_what_was_left_behind_in_a_file_is_told_alone(tmp_path, path, told):
    outer, inner = path
    left = written(tmp_path, SOURCE, lambda p: p.setdefault(outer, {}).update({inner: "x"}))
    with pytest.raises(ProfileError) as refused:
        load_source(left)
    assert told in str(refused.value)
    others = {"Take `source", "Move `updates.stages`", "Move `updates.hook`"}
    assert not [other for other in others if other in str(refused.value) and other not in told]
