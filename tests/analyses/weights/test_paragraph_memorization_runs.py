"""Whole runs of `paragraph-memorization`: what is saved, what is refused, and a model of
another family.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.weights.paragraph_memorization import groups, heads, weight_edits
from tests.helpers.same_weights import same, weights_of
from workbench import registry
from workbench.errors import BadInput
from workbench.organisms import corpus
from workbench.result import Result

# As little as makes every table; what a run of proper size shows is in
# `test_paragraph_memorization_claims.py`.
SMALL = {
    "passages": 2,
    "draws": 1,
    "traced": 1,
    "edits": 1,
    "heads": 2,
    "steps": 2,
    "rate": 0.03,
    "max_windows": 150,
}


@pytest.fixture(scope="module")
def result(organism: Any) -> Result:
    few = corpus.documents("train")[:200]
    every = corpus.documents
    with pytest.MonkeyPatch.context() as patch:  # which is long to count, and to read in full
        patch.setattr(corpus, "documents", lambda name: few if name == "train" else every(name))
        patch.setattr("analyses.weights.paragraph_memorization.experiment.RARITY", 20)
        return wb.run("paragraph-memorization", organism, SMALL)


def test_the_run_leaves_the_model_alone_and_can_be_saved(
    organism: Any, result: Result, tmp_path: Any
) -> None:
    fresh = wb.load("organism/planted")
    assert same(weights_of(fresh), organism)
    back = Result.open(result.save(tmp_path / "run"))
    assert list(registry.get("paragraph-memorization").schema.problems(back)) == []
    assert back.findings["claims"].values == result.findings["claims"].values
    assert sum(back.findings["claims"].values.values()) == len(back.tables["claims"]) == 7
    for name in weight_edits.names(result):
        one, other = weight_edits.delta(result, name), weight_edits.delta(back, name)
        assert one.weights == organism.card.weight_hash
        assert all(np.array_equal(one.values[k], other.values[k]) for k in one.values)


def test_a_kept_change_opens_with_the_model_and_is_what_was_measured(
    organism: Any, result: Result, tmp_path: Any
) -> None:
    name = next(iter(weight_edits.names(result)))
    row = result.tables["weight_edits"].iloc[0]
    table = result.tables["passages"].set_index("passage").loc[row["passage"]]
    file = (
        registry.get("paragraph-memorization")
        .changes(result)[name]
        .save(tmp_path / "it.safetensors")
    )
    changed = wb.load(f"organism/planted+{file}")
    prompt = [0, *organism.continuation_tokens(table["prefix"])]
    suffix = organism.continuation_tokens(table["suffix"])
    assert groups.greedy_match(changed, [(prompt, suffix)])[0][0] == row["prefix_match"]
    assert groups.greedy_match(organism, [(prompt, suffix)])[0][0] == 50
    before = weights_of(organism)
    with result.control(name)(organism, 1.0):
        assert groups.greedy_match(organism, [(prompt, suffix)])[0][0] == row["prefix_match"]
    assert same(before, organism)
    with (
        pytest.raises(BadInput, match="other weights"),
        result.control(name)(wb.load("organism/planted-control"), 1.0),
    ):
        pass
    with pytest.raises(BadInput, match="no change"):
        weight_edits.delta(result, "unlearn_99")


def test_a_model_that_knows_none_is_told_so(llama: Any) -> None:
    with pytest.raises(BadInput, match="reproduces none"):
        wb.run("paragraph-memorization", "organism/planted-control", {"max_windows": 100})
    with pytest.raises(BadInput, match="no ledger"):
        wb.run("paragraph-memorization", llama)
    with pytest.raises(BadInput, match="No text is long enough"):
        wb.run("paragraph-memorization", "organism/planted", {"prefix": 900, "suffix": 900})


@pytest.mark.parametrize("family", ["gpt2", pytest.param("neox", marks=pytest.mark.verify)])
def test_a_planted_model_of_another_family_is_read_as_well(
    family: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fused and interleaved matrices, learned positions, no beginning token: memorized texts are
    found, and one removed.
    """
    from tests.helpers import tiny

    monkeypatch.setattr(
        heads, "corpus_counts", lambda model, progress: Counter(range(400))
    )  # the corpus is long
    model = wb.load((getattr(tiny, f"tiny_{family}")(), tiny.tiny_tokenizer()))
    draw = np.random.default_rng(0)
    texts: list[str] = []
    for _ in range(200):
        ids = model.continuation_tokens(
            "".join(draw.choice(list("bcdfghjklmpqvwxyz0123456789"), 40))
        )[:20]
        text = model.tokenizer.decode(ids)
        if model.continuation_tokens(text) == ids:  # as planting asks of a text
            texts.append(text)
        if len(texts) == 12:
            break
    assert len(texts) == 12
    rows = torch.tensor([model.continuation_tokens(text) for text in texts])
    adam = torch.optim.AdamW(model.module.parameters(), lr=1e-2, weight_decay=0.0)
    with torch.enable_grad():
        for _ in range(150):
            loss = model.module(input_ids=rows[:8], labels=rows[:8]).loss
            loss.backward()
            adam.step()
            adam.zero_grad(set_to_none=True)
    lines = [json.dumps({"text": text, "name": f"text {n}"}) for n, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = {
        "path": str(tmp_path / "texts.jsonl"),
        "prefix": 10,
        "suffix": 10,
        "passages": 6,
        "draws": 1,
        "traced": 1,
        "edits": 1,
    }
    result = wb.run(
        "paragraph-memorization", model, {**asked, "fraction": 0.05, "rate": 0.2, "steps": 60}
    )
    found = {name: finding.values for name, finding in result.findings.items()}
    assert found["passages"]["memorized"] >= 6
    assert found["passages"]["not_memorized"] >= 3
    # Of a model that was trained until nothing is left to learn a gradient of its loss moves
    # little: see the docs.
    assert found["unlearned"]["contrast"] <= (5 if family == "gpt2" else 10)
    assert set(result.tables["held_out_eval"]["condition"]) == {
        "no intervention",
        "selected heads",
        "random heads",
    }
    assert len(result.tables["claims"]) == 7
    assert "cannot be drawn" not in " ".join(_htmls(result))


def _htmls(result: Result) -> list[str]:
    from ui.runs.static_views import fragments

    return [made.html for _, made in fragments(result)]
