"""What an analysis says of itself besides its question: room, gain, essential fields, presets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field

from workbench import form_fields, presets, registry, rooms
from workbench.parts import PAPER, Part
from workbench.registry import Analysis
from workbench.result import Result

OURS = registry.all_analyses()[0]


def analysis(**stated):
    def run(model, params, progress):
        return Result("mine")

    class Params(BaseModel, frozen=True, extra="forbid"):
        parts: list[str] = ["small"]
        heads: int = 5
        words: str = "one"

    module = SimpleNamespace(name="mine", question="?", Params=Params, run=run, **stated)
    return Analysis("mine", "?", Params, module, "mine")


def test_ours_lie_in_the_room_of_their_folder_and_say_what_one_gets():
    assert all(a.room is not rooms.OTHER and a.gives for a in OURS)
    assert registry.get("extraction").room.name == "weights"


def test_groups_come_in_the_order_of_the_map_and_only_with_a_question():
    mine, stated = analysis(), analysis(room="state")
    found = rooms.grouped([mine, stated, *OURS])
    names = [room.name for room, _ in found]
    rooms_in_order = "prompt weights context state modules features training card"
    assert names == [*rooms_in_order.split(), ""]
    assert found[0][1][0].name == "provenance"
    assert found[-1][1] == [mine]
    assert rooms.grouped([]) == []


@pytest.mark.parametrize("room", ["<script>", "", 5, "STATE"])
def test_a_room_that_there_is_not_is_no_room(room):
    assert analysis(room=room).room is rooms.OTHER


def test_what_one_gets_falls_back_on_the_first_part():
    assert analysis().gives == ""
    assert analysis(PARTS=[Part("small", "Small", "A small thing.")]).gives == "A small thing."
    assert analysis(gives=" All. ", PARTS=[Part("small", "Small", "A.")]).gives == "All."


def test_without_a_mark_the_first_fields_are_essential_and_never_more_than_five():
    class Many(BaseModel):
        a: int = 1
        b: int = 1
        c: int = 1
        d: int = 1
        e: int = 1
        f: int = 1
        needed: str

    assert form_fields.essential(Many) == ["a", "b", "c", "d", "e", "needed"]

    class Marked(BaseModel):
        a: int = 1
        b: int = Field(1, json_schema_extra={"essential": True})
        c: int = Field(1, json_schema_extra={"essential": False})
        d: int = Field(1, json_schema_extra={"essential": True})

    assert form_fields.essential(Marked) == ["b", "d"]


def test_our_forms_begin_with_few_fields():
    for one in OURS:
        assert 1 <= len(form_fields.essential(one.Params)) <= form_fields.ESSENTIAL, one.name


def test_every_preset_of_ours_fits_and_says_what_it_changes():
    for one in OURS:
        for name in one.presets:
            one.parse(one.preset(name, None, {}))
            assert presets.says(one, name)
        assert not one.parts or set(one.presets) == {presets.QUICK, PAPER}, one.name
    says = presets.says(registry.get("extraction"), presets.QUICK)
    assert "without: Membership inference" in says
    assert "Max windows 200 instead of 20,000" in says


def test_only_the_paper_takes_all_parts():
    parts = [Part("small", "Small", "A."), Part("large", "Large", "B.")]
    one = analysis(PARTS=parts, PRESETS={"paper": {"heads": 50}, "wide": {"words": "x" * 90}})
    assert list(one.presets) == ["wide", "paper"]
    model = object()
    assert one.preset("paper", model, {}) == {"heads": 50, "parts": ["small", "large"]}
    assert one.preset("wide", model, {}) == {"words": "x" * 90}
    assert presets.says(one, "paper", model).endswith("also: Large; Heads 50 instead of 5")
    assert len(presets.says(one, "wide")) < 90
