"""Every kind of parameter becomes a component that can hold its default, and what it hands back
is accepted.
"""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Literal

import gradio as gr
import pytest
from pydantic import BaseModel, Field

from ui.playground import forms, uploads
from workbench.errors import BadInput


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Nested(BaseModel):
    a: int = 1


class Everything(BaseModel, frozen=True, extra="forbid"):
    text: str = Field("one line", description="A text")
    story: str = Field("two\nlines", description="A longer text")
    template: str = Field("", description="May be long", max_length=2000)
    named: str = Field("capital", description="Known names", examples=["capital", "language"])
    count: int = Field(5, ge=1, le=50, description="A few")
    many: int = Field(60, ge=8, le=10**9, description="Too wide for a slider")
    share: float = Field(0.25, ge=0, le=1, description="A share")
    rate: Annotated[float, Field(gt=0)] = 0.001
    odd: float = Field(0.123456, ge=0, le=1, description="Between the steps of a slider")
    flag: bool = Field(True, description="Yes or no")
    kind: Literal["a", "b"] = "a"
    wide: Literal["1", "2", "3", "4", "5"] = "3"
    colour: Colour = Colour.BLUE
    file: Path | None = Field(None, description="A file")
    maybe: int | None = Field(None, ge=0, description="Perhaps a number")
    maybe_kind: Literal["x", "y"] | None = None
    words: list[str] = Field(["one", "two words"], description="Some texts")
    numbers: list[int] = Field([1, 3, 5], description="Some numbers")
    choices: list[Literal["p", "q"]] = ["q"]
    both: int | str = "auto"
    table: dict[str, float] = Field({"a": 1.5}, description="Names to numbers")
    nested: Nested = Nested()


@pytest.fixture
def fields():
    with gr.Blocks():
        return {field.name: field for field in forms.build(Everything)}


def component(fields, name):
    return fields[name].component


def test_each_kind_has_its_component(fields):
    kinds = {
        "text": gr.Textbox,
        "named": gr.Dropdown,
        "count": gr.Slider,
        "many": gr.Number,
        "share": gr.Slider,
        "rate": gr.Number,
        "odd": gr.Number,
        "flag": gr.Checkbox,
        "kind": gr.Radio,
        "wide": gr.Dropdown,
        "colour": gr.Radio,
        "file": gr.Textbox,
        "maybe": gr.Number,
        "maybe_kind": gr.Dropdown,
        "words": gr.Textbox,
        "choices": gr.CheckboxGroup,
        "table": gr.Textbox,
    }
    assert {name: type(component(fields, name)) for name in kinds} == kinds


def test_bounds_labels_and_descriptions_are_shown(fields):
    count = component(fields, "count")
    assert (count.minimum, count.maximum, count.step, count.value) == (1, 50, 1, 5)
    assert (count.label, count.info) == ("Count", "A few")
    assert component(fields, "rate").info == "At least 0."
    assert (
        component(fields, "many").info
        == "Too wide for a slider. At least 8. At most 1,000,000,000."
    )
    assert component(fields, "story").lines == 2
    assert component(fields, "template").lines > 1
    assert component(fields, "text").max_lines == 1
    assert component(fields, "file").info == "A file"
    assert component(fields, "named").allow_custom_value


def test_an_untouched_form_gives_the_defaults(fields):
    values = forms.read(list(fields.values()), [field.component.value for field in fields.values()])
    assert Everything.model_validate(values) == Everything()


def test_every_field_shows_what_it_reads(fields):
    """A preset fills a form with values; read again they are the same."""
    for name, value in Everything().model_dump().items():
        field = fields[name]
        shown, first = field.show(value), component(fields, name).value
        assert shown == first or not (shown or first)
        assert getattr(Everything(**{name: field.read(shown)}), name) == getattr(Everything(), name)
    assert fields["numbers"].show([4, 5]) == "4, 5"
    assert fields["colour"].show(Colour.RED) == "red"
    assert fields["file"].show(Path("a.csv")) == "a.csv"


def test_few_fields_stand_first_and_the_others_are_one_click_away():
    with gr.Blocks() as page:
        built = forms.build(Everything)
    assert [field.name for field in built[:5]] == ["text", "story", "template", "named", "count"]
    (more,) = [block for block in page.blocks.values() if isinstance(block, gr.Accordion)]
    assert (more.label, more.open) == ("More settings (17)", False)
    assert built[4].component.parent is not built[5].component.parent


def test_uploads_become_paths(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.txt").write_text(folder)
    one = Path(uploads.as_path([str(tmp_path / "a" / "same.txt")]))
    assert (one.name, one.read_text()) == ("same.txt", "a")
    both = Path(uploads.as_path([str(tmp_path / f / "same.txt") for f in ("a", "b")]))
    assert sorted(file.read_text() for file in both.iterdir()) == ["a", "b"]


def test_what_people_type_is_read(fields):
    read = {name: field.read for name, field in fields.items()}
    assert read["words"]("a\n\n b c \n") == ["a", "b c"]
    assert read["numbers"]("1, 2;3  4") == ["1", "2", "3", "4"]
    assert read["maybe"](None) is None
    assert read["maybe_kind"]("") is None
    assert read["maybe_kind"]("y") == "y"
    assert read["count"](7.0) == 7
    assert read["table"]('{"b": 2}') == {"b": 2}
    assert read["both"]("12") == 12
    assert read["both"]("auto") == "auto"
    with pytest.raises(BadInput, match="not JSON"):
        read["table"]('{"b": ')


def test_texts_of_a_list_may_have_line_breaks():
    class Params(BaseModel):
        prompts: list[str] = Field(["Q: x\nA:", "one"], json_schema_extra={"multiline": True})
        paths: list[str] = ["C:\\new"]

    with gr.Blocks():
        fields = forms.build(Params)
    shown = [field.component.value for field in fields]
    assert json.loads(shown[0]) == ["Q: x\nA:", "one"]
    assert Params(**forms.read(fields, shown)) == Params()
    typed = "Let $\\nabla f = \\nu$.\n C:\\new\\notes.txt\n[a] list\n"
    assert fields[0].read(typed) == ["Let $\\nabla f = \\nu$.", "C:\\new\\notes.txt", "[a] list"]
    assert fields[1].read(typed) == fields[0].read(typed)


def test_every_analysis_that_there_is_has_a_form():
    from workbench import registry

    for analysis in registry.all_analyses()[0]:
        with gr.Blocks():
            fields = forms.build(analysis.Params)
        values = forms.read(fields, [field.component.value for field in fields])
        assert analysis.parse(values) == analysis.Params()
