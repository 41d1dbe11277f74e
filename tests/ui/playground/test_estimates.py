"""What forms and pages say of the time that parts take."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
from pydantic import create_model

from ui import estimates, questions
from ui.playground import analysis_tab, forms, html_parts, preset_buttons
from ui.runs import provenance
from workbench import registry
from workbench.cost import Cost
from workbench.registry import Analysis
from workbench.result import Provenance, Result

EXTRACTION, CONFLICT = registry.get("extraction"), registry.get("knowledge-conflict")


def test_parts_are_named_with_what_they_take(llama):
    plain = dict(estimates.part_choices(EXTRACTION))
    assert plain["Membership inference"] == "membership"
    assert "Adversarial compression (needs compress)" in plain
    timed = {name: title for title, name in estimates.part_choices(EXTRACTION, llama)}
    assert timed["verbatim"] == "Verbatim extraction"  # it depends on the text
    assert timed["checkpoints"] == "Extraction along training (not with this model)"
    timed = {name: title for title, name in estimates.part_choices(CONFLICT, llama)}
    assert "seconds" in timed["rates"] or "about" in timed["rates"]


def test_the_whole_run_is_said_once_the_form_is_right(llama):
    values = {"text": "A text of some words. " * 40, "context": [8], "suffix": 8}
    said = estimates.line(EXTRACTION, llama, values)
    assert f"on {llama.card.name}" in said
    assert "of memory beyond the weights" in said
    assert estimates.line(EXTRACTION, llama, {**values, "suffix": 0}) == ""
    assert estimates.UNKNOWN in estimates.line(EXTRACTION, None, values)
    assert estimates.DEPENDS in estimates.line(EXTRACTION, llama, {})


def test_a_third_partys_sum_takes_no_page_down(llama):
    def cost(model, params):
        raise ZeroDivisionError

    module = SimpleNamespace(cost=cost)
    one = Analysis("sum", "?", EXTRACTION.Params, module, "theirs")
    assert estimates.line(one, llama, {}) == estimates.in_short(one, llama, {}) == ""


def test_the_list_says_what_each_question_gives_and_takes(llama):
    groups, _ = questions.groups_for(llama)
    assert [room.title for room, _ in groups][:3] == ["One prompt", "Weights", "Context"]
    (conflict,) = (q for _, some in groups for q in some if q.name == "knowledge-conflict")
    assert "quick: " in conflict.takes or conflict.takes == "Takes a few seconds"
    (text,) = (q for room, some in groups for q in some if q.name == "extraction")
    assert text.takes == f"{estimates.DEPENDS}."
    assert conflict.gives.startswith("How often it believes")
    assert all(not q.takes for _, some in questions.groups_for(None)[0] for q in some)


def test_a_preset_fills_the_form_and_says_what_it_leaves_out():
    app = SimpleNamespace(slot=SimpleNamespace(model=None))
    with gr.Blocks() as page:
        fields = forms.build(CONFLICT.Params)
        buttons, _ = preset_buttons.build(app, CONFLICT, fields)
    assert [button.value for button in buttons] == ["Quick", "Default", "Paper"]
    quick = next(f for f in page.fns.values() if f.targets[0][0] == buttons[0]._id)
    *boxes, said = quick.fn()
    shown = dict(zip([field.name for field in fields], boxes, strict=True))
    assert shown["parts"] == ["rates", "heads", "pruning"]
    assert shown["k_grid"] == "1, 3, 5"
    assert "without: Side effects of zero ablation" in said
    assert "__type__" in str(shown["relation"])  # what a preset does not name stays as it is


def test_a_text_is_shown_as_it_will_be_cut(llama):
    values = {"text": "<b>The capital</b> of France is Paris. " * 9, "context": [8], "suffix": 4}
    cut = EXTRACTION.preview(llama, EXTRACTION.parse(values))
    ids = llama.text.encode(values["text"])
    assert cut.pieces[0].text == llama.text.decode(ids[:8])
    assert cut.pieces[1].text == llama.text.decode_continuation(ids[8:12])
    assert "windows: 8 tokens given and 4 wanted, every 50 tokens." in cut.says
    html = html_parts.preview_html(EXTRACTION, llama, values)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    short = EXTRACTION.preview(llama, EXTRACTION.parse({"text": "Too short."}))
    assert short.says.startswith("No window fits")
    assert html_parts.preview_html(EXTRACTION, llama, {}) == ""
    assert html_parts.preview_html(CONFLICT, llama, {}) == ""


def test_a_preview_counts_the_windows_that_a_run_has(llama, tmp_path):
    from analyses.measures import text_source

    asked = EXTRACTION.parse({"text": "Nobody remembers what it was. " * 30, "context": [8]})
    _, windows, _, _ = text_source.windows_of(llama, asked, 8, 50, 50, 20_000, [])
    assert EXTRACTION.preview(llama, asked).says.startswith(f"{len(windows)} windows")


def test_a_model_that_a_run_has_is_not_waited_for():
    locked = SimpleNamespace(lock=SimpleNamespace(acquire=lambda blocking: False))
    assert estimates.line(EXTRACTION, locked, {}) == ""


def test_the_form_shows_titles_and_reads_names():
    with gr.Blocks():
        fields = forms.build(EXTRACTION.Params, {"parts": estimates.part_choices(EXTRACTION)})
    parts = next(field for field in fields if field.name == "parts")
    assert isinstance(parts.component, gr.CheckboxGroup)
    assert ("Membership inference", "membership") in parts.component.choices
    values = forms.read(fields, [field.component.value for field in fields])
    assert EXTRACTION.parse(values) == EXTRACTION.Params()


def test_the_tab_can_be_laid_out():
    app = SimpleNamespace(
        slot=SimpleNamespace(model=None, name="none"), jobs=SimpleNamespace(recent=list)
    )
    with gr.Blocks():
        tab = analysis_tab.build(app)
    assert len(tab.columns) == 1 + 2 * len(registry.all_analyses()[0])
    assert [column.visible for column in tab.choose("extraction")].count(True) == 2
    assert tab.choose("<script>")[0].visible
    assert len(tab.fits) == len(tab.fit())


def test_a_page_names_what_was_not_run_with_its_command():
    rows = [
        {"name": "checkpoints", "title": "Along <training>", "seconds": 180.0, "reason": ""},
        {"name": "reference", "title": "Reference", "seconds": None, "reason": "needs reference"},
    ]
    result = Result("extraction", provenance=Provenance(cost={"left_out": rows, "seconds": 60.0}))
    html = str(provenance.left_out_html(result))
    assert "Along &lt;training&gt; (about 3 min more)" in html
    assert "parts=checkpoints" in html
    assert "parts=reference" not in html
    assert "about 60 s" in str(provenance.provenance_html(result))
    assert str(provenance.left_out_html(Result("extraction"))) == ""


def test_what_pages_ask_again_and_again_is_asked_once_for_a_while(llama, monkeypatch):
    asked = []

    def cost(model, params):
        asked.append(params)
        return Cost(seconds=100.0)

    nothing = create_model("Nothing")
    one = Analysis("counted", "?", nothing, SimpleNamespace(cost=cost), "theirs")
    monkeypatch.setitem(vars(llama), "stated_costs", {})
    for _ in range(3):
        assert estimates.at_a_glance(one, llama) == "Takes about 2 min"
    assert len(asked) == 1
    monkeypatch.setattr(estimates, "_FRESH", -1.0)
    estimates.at_a_glance(one, llama)
    assert len(asked) == 2
    monkeypatch.undo()
    estimates.line(one, llama, {})  # what is typed is not remembered
    estimates.line(one, llama, {})
    assert len(asked) == 4
