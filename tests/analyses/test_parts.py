"""Every part of every analysis runs alone, and costs what it says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest

import workbench as wb
from analyses.measures.closed_book import closed_book
from tests.helpers import autoencoders, planted
from tests.helpers.token_counter import counting
from ui.runs.static_views import fragments
from workbench import account, commands, cost, registry
from workbench.errors import BadInput, NotFound
from workbench.organisms import corpus
from workbench.organisms.recall.families import FAMILIES
from workbench.organisms.recall.task import make_tokenizer

SMALL = {
    "knowledge-conflict": {
        "template": "The capital of {subject} is",
        "k_grid": [1, 2],
    },
    "extraction": {
        "context": [20, 50],
        "max_windows": 12,
        "decode": 12,
        "reference": "organism/planted-control",
        "compress": ["a b c"],
        "compress_steps": 4,
    },
    "paragraph-memorization": {
        "prefix": 25,
        "suffix": 25,
        "passages": 2,
        "draws": 1,
        "traced": 1,
        "edits": 1,
        "rate": 0.03,
        "steps": 2,
        "max_windows": 60,
    },
    "function-tokens": {
        "tokens": 4000,
        "context": 64,
        "untrained": 1000,
        "facts": 6,
        "prompts": ["The safe opens with"],
    },
    "inside": {},
    "recall-capacity": {
        "pairs": [4, 8],
        "gaps": [0, 8],
        "rows": 4,
        "draws": 1,
        "dimensions": [32, 64],
        "items": 200,
        "memories": 3,
        "trainings": 2,
    },
}
"""Parameters of a small run, by analysis; those that parts need are set."""
OTHER_MODELS = {"reference", "checkpoints", "untrained", "training", "state_size"}
"""Parts that read with another model."""
OF_WEIGHTS = {"paragraph-memorization"}
"""What takes gradients of weights, which count twice."""
FEWER = {"NEUTRAL": 8, "KEEP_NEUTRAL": 2, "KEEP_MEMORIZED": 3, "OTHERS": 12, "RARITY": 30}
"""Passages beside those that are asked for, of paragraph memorization: what is measured, and what
is stated for it.
"""
OF_SMALL_MODELS = {
    "head_sets.HEADS": (1, 2),
    "head_sets.CONTEXTS": (2, 8),
    "head_sets.EXAMPLES": (2, 4, 60),
    "head_sets.STEPS": 60,
    "chain_order.LAYERS": (1,),
    "chain_order.STEPS": 4,
    "chain_order.EVERY": 2,
    "small_fits.ITEMS": (16, 32),
    "small_fits.RECITE_STEPS": 60,
    "small_fits.STRINGS": 64,
    "small_fits.LABEL_STEPS": 60,
    "small_fits.SENTENCE_STEPS": 80,
    "small_fits.EVERY": 20,
}
"""Sizes of the small models that recall capacity trains."""
OURS = [a for a in registry.all_analyses()[0] if a.package == registry.OURS]
PARTS = [(a.name, part.name) for a in OURS for part in a.parts if a.name in SMALL]


@pytest.fixture(autouse=True)
def _on_an_organism(monkeypatch):
    """What a small model and a random autoencoder cannot do is passed over."""
    monkeypatch.setattr("hooks.features.load.LEAST", -1e9)
    monkeypatch.setattr("analyses.features.function_tokens.training.LOSSES", 4)
    monkeypatch.setattr("analyses.features.function_tokens.training.READ", 16)
    for module in ("costs", "experiment"):
        for name, count in FEWER.items():
            monkeypatch.setattr(f"analyses.weights.paragraph_memorization.{module}.{name}", count)
    for name, value in OF_SMALL_MODELS.items():
        monkeypatch.setattr(f"analyses.state.recall_capacity.{name}", value)
    few = corpus.documents("train")[:300]
    every = corpus.documents
    monkeypatch.setattr(corpus, "documents", lambda name: few if name == "train" else every(name))

    def all_known(model, relation, progress):
        closed_book(model, relation, progress)
        return SimpleNamespace(facts=relation.facts)

    monkeypatch.setattr("analyses.features.function_tokens.facts.closed_book", all_known)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model and small parameters for an analysis."""
    made = {}

    def of(name):
        if name not in made:
            values = dict(SMALL[name])
            if name == "knowledge-conflict":
                model = wb.load((planted.planted_module(), planted.planted_tokenizer()))
                values["facts_file"] = str(planted.planted_facts(tmp_path_factory.mktemp("facts")))
            elif name == "recall-capacity":  # has both memories, attention and a state
                module = FAMILIES["hybrid"].make().eval()
                model = wb.load((module, make_tokenizer()))
            else:
                model = wb.load("organism/planted")
            if name == "function-tokens":
                sae = autoencoders.made("jumprelu", 160, 256, hook="blocks.2.hook_resid_post")
                values["features"] = [
                    str(autoencoders.saved(sae, tmp_path_factory.mktemp("autoencoder") / "one"))
                ]
            made[name] = model, values
        return made[name]

    return of


@pytest.mark.parametrize("analysis", [a for a in OURS if a.parts], ids=lambda a: a.name)
def test_parts_are_said_once(analysis):
    """The parts that can be asked for are those that are described, and their views exist."""
    names = [part.name for part in analysis.parts]
    field = analysis.Params.model_fields["parts"]
    assert list(get_args(get_args(field.annotation)[0])) == names
    assert set(field.get_default()) <= set(names)
    titles = {view.title for view in analysis.module.VIEWS}
    for number, part in enumerate(analysis.parts):
        assert part.title
        assert part.gives.endswith(".")
        assert set(part.views) <= titles
        assert set(part.needs) <= set(analysis.Params.model_fields)
        assert set(part.stands_on) <= set(names[:number])


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_a_part_runs_alone(name, part, small, tmp_path):
    model, values = small(name)
    analysis = registry.get(name)
    result = wb.run(name, model, {**values, "parts": [part]}, out=tmp_path / "run")
    ran = analysis.running(analysis.parse({**values, "parts": [part]}))
    assert part in ran
    opened = wb.open_run(result.path)
    assert {one.name for one in account.left_out(opened)} == {p.name for p in analysis.parts} - ran
    shown = dict(fragments(opened))
    assert shown
    assert not [title for title, one in shown.items() if "cannot be drawn" in one.html]
    assert not [title for title, one in shown.items() if "was not measured" in one.html]
    views = analysis.views(opened)
    for other in analysis.parts:
        for title in other.views:
            assert bool(views[title].why_not) == (other.name not in ran)


def test_memory_of_a_knowledge_conflict_grows_with_its_facts(small):
    model, values = small("knowledge-conflict")
    analysis = registry.get("knowledge-conflict")

    def stated(part, max_facts):
        params = analysis.parse({**values, "parts": [part], "max_facts": max_facts})
        return cost.estimate(analysis, model, params).bytes

    for part in ("rates", "heads", "pruning", "dial"):
        assert 0 < stated(part, 8) < stated(part, 12)
    assert stated("heads", 12) > stated("rates", 12)


def test_memory_of_function_tokens_is_that_of_logits_and_of_the_twin(small):
    model, values = small("function-tokens")
    analysis = registry.get("function-tokens")
    stated = analysis.cost(model, analysis.parse({**values, "tokens": 5000}))
    assert stated["coverage"].bytes >= 2000 * 4 * model.card.d_vocab
    assert stated["untrained"].bytes == 4 * model.card.n_params


@pytest.mark.parametrize("name", list(SMALL))
def test_a_run_reads_as_many_tokens_as_stated(name, small):
    """Within a factor of two, for the default parts that read with this model."""
    model, values = small(name)
    analysis = registry.get(name)
    default = analysis.running(analysis.parse(values))
    mine = {"parts": sorted(default - OTHER_MODELS)} if default else {}
    params = analysis.parse({**values, **mine})
    stated = analysis.cost(model, params)
    assert set(stated) == {part.name for part in analysis.parts} or {""}
    running = analysis.running(params) or {""}
    whole = cost.total(c for part, c in stated.items() if part in running)
    assert model.speed.forward > 0  # measured before anything is counted
    assert model.beginning  # probes that a model pays once
    with counting(model) as counted:
        result = wb.run(name, model, params)
    assert 0.5 <= whole.forward / counted.forward <= 2
    assert 0.5 <= (whole.passes + 1) / (counted.passes + 1) <= 2
    backward = counted.backward * (2 if name in OF_WEIGHTS else 1)
    assert 0.5 <= (whole.backward + 1) / (backward + 1) <= 2
    about = result.provenance.cost
    assert about["seconds"] == pytest.approx(model.speed.seconds(whole), rel=0.01, abs=0.06)


def test_a_part_brings_along_what_it_stands_on(small):
    analysis = registry.get("knowledge-conflict")
    _, values = small("knowledge-conflict")
    params = analysis.parse({**values, "parts": ["dial"]})
    assert analysis.running(params) == {"rates", "heads", "pruning", "dial"}


def test_what_is_left_out_says_what_it_takes(small):
    model, values = small("knowledge-conflict")
    result = wb.run("knowledge-conflict", model, {**values, "parts": ["heads"]})
    more = {one.name: one for one in account.left_out(result)}
    assert set(more) == {"pruning", "side_effects", "dial", "transfer", "evidence"}
    # What stands on pruning takes the time of pruning too.
    assert more["dial"].seconds >= more["pruning"].seconds
    assert "more" in more["transfer"].says
    assert "--set parts=dial" in commands.command_line(result, "dial")


def test_the_paper_takes_all_parts(small):
    model, _ = small("knowledge-conflict")
    analysis = registry.get("knowledge-conflict")
    paper = analysis.preset("paper", model, {"seed": 3})
    assert paper["parts"] == [part.name for part in analysis.parts]
    assert paper["max_facts"] > analysis.Params.model_fields["max_facts"].default
    assert paper["seed"] == 3
    assert analysis.preset("paper", model, {"parts": ["rates"]})["parts"] == ["rates"]
    with pytest.raises(NotFound, match="preset of knowledge-conflict"):
        analysis.preset("papers", model, {})


def test_an_unknown_part_is_refused():
    with pytest.raises(BadInput, match="parts"):
        registry.get("knowledge-conflict").parse({"parts": ["rate"]})
    with pytest.raises(BadInput, match="parts"):
        registry.get("knowledge-conflict").parse({"parts": []})
