"""The share of memory modules, on an organism that keeps its facts in slots."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.prompt import provenance
from analyses.prompt.provenance.constants import SLOTS, WEIGHTS
from analyses.prompt.provenance.memory_slots import memories_of
from analyses.prompt.provenance.verdict import Effect, verdict
from hooks.memory_modules import masked, recorded
from tests.helpers import families
from tests.helpers.tiny import tiny_tokenizer

FACTS = [("Alma Ott lives in", "Alma Ott", "Paris"), ("Igor Feld plays the", "Igor Feld", "piano"),
         ("Frida Reich keeps a", "Frida Reich", "hare")]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return wb.load("organism/facts-in-slots")


@pytest.mark.parametrize(("prompt", "subject", "answer"), FACTS)
def test_a_fact_comes_from_the_slots_that_it_reads(model, prompt, subject, answer):
    asked = {"prompt": prompt, "subject": subject, "answer": answer, "parts": ["split"]}
    run = wb.run("provenance", model, {**asked, "draws": 4})
    assert not list(provenance.SCHEMA.problems(run))
    assert run.findings["verdict"].values[SLOTS] == 1
    assert "slots of its memory modules" in run.findings["verdict"].says
    row = run.tables["effects"].set_index("source").loc[SLOTS]
    assert row["null"] < 0.2 < 2 < row["effect"]


def test_its_effect_is_that_of_masking_by_hand(model):
    prompt, subject, answer = FACTS[0]
    asked = {"prompt": prompt, "subject": subject, "answer": answer, "parts": ["split"]}
    run = wb.run("provenance", model, {**asked, "draws": 2})
    cells = run.tables["cells"]
    found = cells[cells["memory"] == "slots masked"].set_index("draw")["logp"]
    seen = cells[(cells["memory"] == "seen") & (cells["context"] == "neutral")]
    (place,) = memories_of(model)
    goal = model.continuation_tokens(f" {answer}")
    assert len(goal) == 1
    from analyses.prompt.provenance import design, neutral
    from analyses.prompt.provenance.prompt_parts import take_apart
    from hooks.prompt_changes import PromptChange

    parts = take_apart(model, prompt)
    runs = neutral.neutral_tokens(model, design.context_tokens(parts), 2, [answer], 0)
    setting = design.prepare(model, parts, runs)
    for draw, context in enumerate(setting.contexts):
        ids = PromptChange(context).ids(setting.asked.ids)
        with recorded([place]) as calls:
            model.next_logits([ids])
        reads = calls[0].reads
        slots = sorted(set(reads.index[0, -1][reads.gated[0, -1].abs() > 0].tolist()))
        with torch.no_grad(), masked(place, slots):
            logits = model.next_logits([ids])[0]
        assert found[draw] == pytest.approx(float(logits.log_softmax(-1)[goal[0]]), abs=1e-3)
    assert (seen.set_index("draw")["logp"] - found).mean() == pytest.approx(
        run.findings["memory_modules"].value, abs=1e-6
    )


def test_models_without_slots_have_no_such_source():
    for name in ("llama", "mixtral"):  # experts are functions, and hold nothing
        model = wb.load((families.module(name), tiny_tokenizer()))
        assert memories_of(model) == []
    plain = {"prompt": "Where is the cat? The cat is", "answer": "on", "parts": ["split"]}
    run = wb.run("provenance", model, {**plain, "draws": 2})
    assert SLOTS not in set(run.tables["effects"]["source"])


def test_slots_hold_the_share_of_the_weights():
    def effect(source, named):
        return Effect(source, 2.0, 1.0, 3.0, np.nan, named)

    assert verdict([effect(WEIGHTS, True), effect(SLOTS, True)]) == SLOTS
    assert verdict([effect(WEIGHTS, True), effect(SLOTS, False)]) == WEIGHTS
