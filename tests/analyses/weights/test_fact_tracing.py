"""Facts traced: in a model whose one head remembers, in other families, and what is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import workbench as wb
from analyses.weights import fact_tracing
from analyses.weights.fact_tracing import best_layer, further, knockout, shared_maps
from analyses.weights.fact_tracing.constants import KINDS, LAST, NOISE, PERMUTED, SUBJECT
from analyses.weights.fact_tracing.params import relations_of
from analyses.weights.fact_tracing.traced_facts import as_tokens
from tests.helpers import families, planted
from tests.helpers.token_counter import counting
from workbench import cost, parts, runs
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

TEMPLATE = "The capital of {subject} is"


def ran(model: Any, **values: Any) -> Result:
    params = fact_tracing.Params.model_validate(values)
    result: Result = fact_tracing.run(model, params, Progress())
    assert not list(fact_tracing.SCHEMA.problems(result))
    return result


@cache
def remembering() -> Any:
    return wb.load((planted.planted_module(), planted.planted_tokenizer()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    file = planted.planted_facts(tmp_path_factory.mktemp("facts"))
    return ran(
        remembering(), facts_file=str(file), template=TEMPLATE, facts=16, window=1,
        parts=["states", "mlp", "attention", "severed", "knockout", "extraction", "heads",
               "enrichment"],
    )  # fmt: skip


def test_the_layer_and_the_head_that_remember_are_found(whole: Result) -> None:
    site = whole.tables["sites"].set_index(["corruption", "site"]).loc[NOISE, "late"]
    assert site["layer"] == site["other_layer"] == planted.MEMORY_HEAD[0]
    assert site["low"] > site["null_high"]
    assert "carries the fact" in whole.findings["late_site"].says
    # There are no MLPs to speak of, and all of the attention is in the last layer.
    assert whole.findings["early_site"].values["effect"] == pytest.approx(0.0, abs=1e-6)
    best = whole.tables["heads"].sort_values(["chosen", "rank"], ascending=[False, True]).iloc[0]
    assert best["label"] == "L1H2"
    assert best["rate"] == 1.0
    found = whole.findings["extraction"].values
    assert found["attention"] == 1.0
    assert found["MLP"] < 0.2
    assert found["attention_null"] < 0.2
    verdicts = whole.tables["claims"].set_index("claim")["verdict"]
    late = next(claim for claim in verdicts.index if claim.startswith("Attention at the last"))
    assert verdicts[late] == "replicates"


def test_what_is_not_seen_cannot_be_said(whole: Result) -> None:
    table = whole.tables["knockout"].set_index(["span", "layer"])["change"]
    assert table["subject", 1] < -0.3
    assert table["subject", 0] == pytest.approx(0.0, abs=0.05)
    assert table["relation", 1] > table["subject", 1] + 0.2
    assert table["random tokens", 1] > table["subject", 1] + 0.2


def test_one_row_and_an_array_cell_say_the_same(whole: Result) -> None:
    effects = whole.arrays["effects"]
    assert set(KINDS) <= set(effects["kind"].values.tolist())
    # The whole of a subject of one token comes back with its state at the first layer.
    facts = whole.tables["facts"]
    lost = (facts["clean"] - facts["corrupted"]).to_numpy()
    back = effects.sel(kind="state", layer=0).values[:, 3]
    np.testing.assert_allclose(back, lost, atol=1e-5)
    rows = whole.tables["by_class"].set_index(["corruption", "kind", "tokens", "layer"])
    assert rows.loc[(NOISE, "state", SUBJECT, 0), "effect"] == pytest.approx(back.mean(), abs=1e-6)
    assert rows.loc[(NOISE, "state", SUBJECT, 0), "share"] == pytest.approx(1.0, abs=1e-4)
    tokens = rows.loc[(NOISE, "state", [SUBJECT, LAST], 1), "effect"].mean()
    assert rows.loc[(NOISE, "state", PERMUTED, 1), "effect"] == pytest.approx(tokens, abs=1e-6)


def test_a_saved_run_opens_and_every_view_is_drawn(whole: Result, tmp_path: Path) -> None:
    whole.save(tmp_path / "run")
    run = runs.open_run(str(tmp_path / "run"))
    views = bound(fact_tracing.VIEWS, run, fact_tracing.SCHEMA)
    assert list(views) == [
        "Trace", "Severed", "Knockout", "Extraction", "Heads", "Enrichment", "Wordings", "Editing",
        "Claims",
    ]  # fmt: skip
    del views["Wordings"], views["Editing"]  # these parts were not run
    for title, view in views.items():
        still = " ".join(map(str, view.still()))
        assert "The run was stopped" not in still, title
        assert "cannot be drawn" not in still, title


def test_a_fact_of_ones_own_is_traced_and_no_claim_is_made_of_one() -> None:
    own = {"prompt": "The capital of Land3 is", "subject": "Land3", "answer": "City3"}
    run = ran(remembering(), **own, draws=2)
    assert run.tables["facts"]["clean"][0] > run.tables["facts"]["corrupted"][0]
    assert "effects_resampled" not in run.arrays
    assert set(run.tables["claims"]["verdict"]) == {"cannot be told"}
    with pytest.raises(BadInput, match="does not know this fact: it goes on with 'City3"):
        ran(remembering(), **own | {"answer": "City4"})
    forced = ran(remembering(), **own | {"answer": "City4"}, unknown=True, parts=["states"])
    assert forced.tables["facts"]["said"][0].startswith("City3")


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "mamba", "qwen3_next"])
def test_other_families_are_traced(family: str) -> None:
    model = families.built(family)
    asked = ["states", "attention", "extraction"]
    if "mlp_out" in model.sites:
        asked.append("mlp")
    if "z" in model.sites:
        asked.append("knockout")
    run = ran(model, unknown=True, facts=4, draws=1, parts=asked, relations="capital")
    assert len(run.tables["facts"]) == 4
    kinds = set(run.tables["by_class"]["kind"])
    assert kinds == {"state", "attention"} | ({"MLP"} if "mlp" in asked else set())
    assert ("attention" in run.provenance.notes) == ("mixer_out" in model.sites)
    why = {part.name: part.unavailable_reason(model) for part in fact_tracing.PARTS}
    assert (why["knockout"] is not None) == (family == "mamba")
    assert why["states"] is None


def test_maps_in_other_words_are_compared(tmp_path: Path) -> None:
    model = remembering()
    own = {
        name: [
            as_tokens(model, f"{start} {subject} is", subject, answer, name)
            for subject, answer in zip(planted.SUBJECTS, planted.ANSWERS, strict=True)
        ]
        for name, start in (("one", "The capital of"), ("other", "capital of"))
    }
    few = {"few": own["one"][:3]}
    params = fact_tracing.Params(window=1)
    pairs, maps = shared_maps.compare(
        model, own | few, ["state", "attention"], params, "wording", Progress()
    )
    assert set(pairs["one"]) | set(pairs["other"]) == {"one", "other"}  # three facts are too few
    assert len(pairs) == 2
    assert (pairs["r"] > 0.99).all()  # nothing but the subject and the last token counts
    assert (pairs["low"] <= pairs["r"]).all()
    assert (pairs["r"] > pairs["null_high"]).all()
    assert set(maps["name"]) == {"one", "other"}


def test_relations_are_worded_otherwise_and_in_other_languages(tmp_path: Path) -> None:
    params = fact_tracing.Params(relations="capital, currency", languages="en, fr")
    chosen = SimpleNamespace(relations=relations_of(params))
    named = further.languages_of(params, chosen)  # type: ignore[arg-type]
    assert {name: [each.name for each in of] for name, of in named.items()} == {
        "English": ["capital@en"], "French": ["capital@fr"],
    }  # fmt: skip
    worded = shared_maps.wordings_of(chosen.relations)
    assert worded["first wording"] == chosen.relations
    assert worded["paraphrase 1"][0].closed_book == chosen.relations[0].paraphrases[0]
    # Facts of one's own file have one wording, so nothing is compared.
    run = ran(
        remembering(), facts_file=planted.planted_facts(tmp_path), template=TEMPLATE, facts=8,
        draws=1, parts=["wordings"],
    )  # fmt: skip
    assert "cannot be told" in run.findings["shared_wording"].says
    assert run.tables["shared"].empty


def test_what_tracing_tells_of_edits_is_told_from_what_the_layer_tells() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [(fact, layer, rng.normal()) for fact in range(12) for layer in range(6)],
        columns=["fact", "layer", "effect"],
    )
    noise = 0.1 * rng.normal(size=len(rows))
    by_layer = best_layer.explained(rows.assign(new=rows["layer"] + noise), 0)
    assert by_layer["layer"][0] > 0.99
    assert by_layer["gain"][0] < 0.01
    by_trace = best_layer.explained(rows.assign(new=rows["effect"] + noise), 0)
    assert by_trace["gain"][0] > max(0.8, by_trace["null"][1][1])
    low, high = by_trace["correlation"][1]
    assert 0.9 < low <= by_trace["correlation"][0] <= high


def test_facts_are_edited_at_every_layer_and_two_of_them_prove_nothing() -> None:
    run = ran(
        families.built("llama"), unknown=True, facts=4, draws=1, parts=["best-layer"],
        relations="capital", edited=2, edit_step=2,
    )  # fmt: skip
    edits = run.tables["edits"]
    assert edits.groupby("fact")["layer"].nunique().tolist() == [2, 2]
    assert edits["new"].between(0, 1).all()
    assert edits["effect"].notna().all()
    claim = run.tables["claims"].iloc[-1]
    assert "best layer to edit" in claim["claim"]
    assert claim["verdict"] == "cannot be told"


def test_the_centre_of_what_is_lost() -> None:
    change = np.array([[0.0, -0.5, -0.5], [0.2, 0.0, 0.0]])
    np.testing.assert_array_equal(knockout.centre_of(change, [0, 1, 2]), [1.5, np.nan])


def test_what_cannot_be_traced_is_said(llama: Any) -> None:
    with pytest.raises((BadInput, ValidationError), match="lacks its subject and answer"):
        fact_tracing.Params(prompt="The capital of France is")
    with pytest.raises((BadInput, ValidationError), match="does not stand in the prompt"):
        fact_tracing.Params(prompt="The capital of France is", subject="Peru", answer="Lima")
    with pytest.raises((NotFound, ValidationError), match="currence"):
        fact_tracing.Params(relations="capital, currence")
    with pytest.raises(BadInput, match="No relation is named"):
        fact_tracing.Params(relations=" , ")
    with pytest.raises(BadInput, match="ends the prompt"):
        as_tokens(llama, "The capital of France", "France", "Paris", "yours")
    with pytest.raises(BadInput, match="has no token"):
        as_tokens(llama, "The capital of France is", "France", " ", "yours")
    with pytest.raises(BadInput, match="knows none of"):
        ran(llama, facts=4, relations="capital")
    own = {"prompt": "The capital of Land3 is", "subject": "Land3", "answer": "City3"}
    with pytest.raises(BadInput, match="has one wording"):
        ran(remembering(), **own, parts=["wordings"])
    with pytest.raises(BadInput, match="0 of these facts can be changed"):
        ran(remembering(), **own, parts=["best-layer"])


def test_costs_name_every_part_that_a_model_can_have(llama: Any) -> None:
    costs = fact_tracing.cost(llama, fact_tracing.Params())
    assert set(costs) == {part.name for part in fact_tracing.PARTS}
    more = fact_tracing.cost(llama, fact_tracing.Params(facts=60))
    assert more["states"].forward > 1.5 * costs["states"].forward


@pytest.mark.parametrize(
    "part", ["states", "mlp", "attention", "knockout", "extraction", "severed"]
)
def test_a_part_reads_as_many_tokens_as_it_says(part: str, tmp_path: Path) -> None:
    model = remembering()
    params = fact_tracing.Params(
        facts_file=planted.planted_facts(tmp_path), template=TEMPLATE, facts=16, parts=[part]
    )
    running = parts.running(fact_tracing.PARTS, params)
    stated = cost.total(
        each for name, each in fact_tracing.cost(model, params).items() if name in running
    )
    with counting(model) as counted:
        fact_tracing.run(model, params, Progress())
    assert 0.5 <= stated.forward / counted.forward <= 2
    assert 0.5 <= (stated.passes + 1) / (counted.passes + 1) <= 2
