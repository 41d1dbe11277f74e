"""What forms and pages say of the time that parts take."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr

from ui.playground import analysis_tab, estimates, forms
from ui.runs import provenance
from workbench import registry
from workbench.result import Provenance, Result

EXTRACTION = registry.get("extraction")


def test_parts_are_named_with_what_they_take(llama):
    plain = dict(estimates.part_choices(EXTRACTION))
    assert plain["Membership inference"] == "membership"
    assert "Adversarial compression (needs compress)" in plain
    timed = {name: title for title, name in estimates.part_choices(EXTRACTION, llama)}
    assert "seconds" in timed["verbatim"] or "about" in timed["verbatim"]


def test_the_whole_run_is_said_once_the_form_is_right(llama):
    values = {"text": "A text of some words. " * 40, "context": [8], "suffix": 8}
    assert "Takes" in estimates.line(EXTRACTION, llama, values)
    assert estimates.line(EXTRACTION, llama, {**values, "suffix": 0}) == ""
    assert estimates.line(EXTRACTION, None, values) == ""


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
    app = SimpleNamespace(slot=SimpleNamespace(model=None), jobs=SimpleNamespace(recent=list))
    with gr.Blocks():
        tab = analysis_tab.build(app)
    assert "extraction" in tab.forms
    assert len(tab.fits) >= 4 * len(tab.forms)


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
