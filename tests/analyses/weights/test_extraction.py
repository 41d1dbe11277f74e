"""Whole runs of `extraction`: their tables, what they say of texts that prove little or cannot be
read, and what is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from analyses.weights.extraction.scored_windows import ScoredWindows
from tests.helpers import tiny
from tests.helpers.real_decoding import made_windows
from workbench import registry
from workbench.errors import WorkbenchError
from workbench.organisms.ledger import Entry, Ledger, fingerprint
from workbench.result import Result
from workbench.texts import Document


def test_what_is_not_there_is_told_before_anything_is_read(
    tmp_path: Path, llama: Any, gpt2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*args: object, **kwargs: object) -> None:
        raise AssertionError("a model was run")

    monkeypatch.setattr(llama.module, "forward", forward)
    monkeypatch.setattr(gpt2.module, "forward", forward)
    with pytest.raises(WorkbenchError, match="no file or folder"):
        wb.run("extraction", llama, {"path": str(tmp_path / "no.txt")})
    with pytest.raises(WorkbenchError, match="has no texts"):
        wb.run("extraction", llama, {"path": str(tmp_path)})
    with pytest.raises(WorkbenchError, match="no ledger"):
        wb.run("extraction", llama, {})
    with pytest.raises(WorkbenchError, match="not both"):
        wb.run("extraction", llama, {"path": str(tmp_path), "text": "x"})
    with pytest.raises(WorkbenchError, match="longest has"):
        wb.run("extraction", llama, {"text": "too short"})
    with pytest.raises(WorkbenchError, match="do not fit"):
        wb.run("extraction", gpt2, {"text": "x", "context": [300]})
    with pytest.raises(WorkbenchError, match="no checkpoints"):
        wb.run(
            "extraction",
            llama,
            {"text": "word " * 200, "context": [5], "suffix": 5, "parts": ["checkpoints"]},
        )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that says some texts and not others, by construction: the texts are its own greedy
    continuations.
    """
    model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
    entries = []
    for window in made_windows(model, 16, prefix=8, suffix=6):
        ids, repeats = (*window.prompt[-8:], *window.suffix), 8 * (window.document % 2)
        name, kind = f"text {window.document}", "ab"[window.document % 3 == 0]
        entries.append(
            Entry(
                name,
                kind,
                model.tokenizer.decode(ids),
                repeats,
                "spread",
                tuple(range(repeats)),
                ids,
            )
        )
    file = Ledger(fingerprint(model.tokenizer), tuple(entries)).save(
        tmp_path_factory.mktemp("texts")
    )
    params = {"path": str(file), "context": [3, 8], "suffix": 6, "tries": 50, "top_k": 0}

    def run() -> Result:
        return wb.run("extraction", model, params)

    return run(), len(entries), run


def test_a_run_has_its_tables_and_figures_agree(result: Any) -> None:
    found, n, _ = result
    table = found.tables["windows"]
    assert len(table) == n
    greedy = found.findings["greedy"].values
    assert greedy["extracted"] == table["exact"].sum() == (table["prefix_match"] == 6).sum()
    assert found.findings["sampled"].values["extracted"] == (table["queries_needed"] <= 50).sum()
    overall = found.tables["rates"].query("kind == 'all'")
    assert (overall["exact"] * overall["n"]).sum() == pytest.approx(greedy["extracted"])
    exact = table[table["exact"]]
    assert (exact["memorization_score"] == 1).all()
    assert (exact["generated"] == exact["suffix"]).all()
    assert set(found.tables["context"]["context_length"]) == {3, 8}
    assert {"loss", "min-k", "min-k++", "zlib"} == set(found.tables["membership"]["score"])
    rates = (
        found.tables["extraction_by_queries"].query("probability == 0.5").groupby("group")["rate"]
    )
    assert all(group.is_monotonic_increasing for _, group in rates)


def test_a_run_repeats_itself(result: Any) -> None:
    found, _, again = result
    other = again()
    assert other.findings == found.findings
    assert set(other.tables) == set(found.tables)
    for name, table in found.tables.items():
        pd.testing.assert_frame_equal(other.tables[name], table)


def test_a_run_draws(result: Any) -> None:
    from workbench.draw.view import still_parts

    found = result[0]
    shown = {
        title: list(still_parts(view))
        for title, view in registry.get("extraction").views(found).items()
        if not getattr(view, "why_not", "")
    }
    assert {"Texts", "Rates", "Sampling", "Context", "Membership"} <= set(shown)
    assert all(shown.values())


def test_hostile_text_stays_text(llama: Any) -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(1)> " * 6
    found = wb.run("extraction", llama, {"text": bad, "context": [5], "suffix": 5})
    from analyses.weights.extraction import texts

    markup = str(texts.strip(found, 0) + texts.greedy(found, 0))
    assert "<script" not in markup
    assert "<img" not in markup


def test_a_string_from_a_short_prompt_is_found_and_a_random_one_is_not(llama: Any) -> None:
    from analyses.measures.compression import compress

    with torch.no_grad():
        said = llama.module.generate(
            torch.tensor([[5, 9]]),
            do_sample=False,
            max_new_tokens=10,
            min_new_tokens=10,
            pad_token_id=0,
        )
    target = said[0, 2:].tolist()
    found = compress(llama, target, budget=400, seed=0)
    assert found.prompt is not None
    again = torch.tensor([[*found.prompt]])
    with torch.no_grad():
        greedy = llama.module.generate(
            again, do_sample=False, max_new_tokens=10, min_new_tokens=10, pad_token_id=0
        )
    assert greedy[0, again.shape[1] :].tolist() == target
    assert found.ratio == len(target) / len(found.prompt)
    random = compress(
        llama, np.random.default_rng(0).integers(1, tiny.VOCABULARY, 12).tolist(), budget=40, seed=0
    )
    assert random.ratio <= 1
    assert random.steps <= 40


def test_what_was_not_read_has_no_loss_and_is_not_called_anything(llama: Any) -> None:
    from analyses.weights.extraction.texts import strip
    from workbench.draw.passage import UNREAD

    text = "The safe opens with 7 4 1 9, and nobody remembers what the model was trained on. " * 12
    asked = {"text": text, "context": [9], "suffix": 30, "stride": 30, "tries": 1}
    quick, whole = (
        wb.run("extraction", llama, {**asked, "parts": parts})
        for parts in (["near_verbatim"], ["near_verbatim", "membership"])
    )
    np.testing.assert_array_equal(
        quick.tables["windows"]["prefix_match"], whole.tables["windows"]["prefix_match"]
    )
    assert whole.tables["windows"]["loss"].notna().all()
    dropped = (
        quick.tables["tokens"]
        .query("part == 'suffix'")
        .groupby("window")["logprob"]
        .apply(lambda p: p.isna().any())
    )
    assert dropped.any()
    assert (
        quick.tables["windows"].set_index("window").loc[dropped[dropped].index, "loss"].isna().all()
    )
    assert UNREAD in str(strip(quick, int(dropped.idxmax())))
    assert UNREAD not in str(strip(whole, 0))


def test_short_passages_prove_little(llama: Any) -> None:
    """The model's own words come out by construction; eight tokens of them are no proof of
    anything.
    """
    from analyses.measures import document_verdicts
    from analyses.weights.extraction import documents, findings

    with torch.no_grad():
        ids = torch.tensor([llama.continuation_tokens("The capital of France is")])
        said = llama.module.generate(
            ids, do_sample=False, max_new_tokens=60, min_new_tokens=60, pad_token_id=0
        )[0].tolist()
    for suffix, verdicts in ((8, {document_verdicts.SHORT}), (30, {document_verdicts.RECITES})):
        params = registry.get("extraction").Params(
            text="x", context=[10], suffix=suffix, stride=suffix, top_k=0
        )
        cut = [Window(0, 0, (), tuple(said[:10]), tuple(said[10 : 10 + suffix]))]
        found = ScoredWindows(
            llama, params, [Document("a", "")], cut, score(llama, cut, params.sampler)
        )
        result = wb.Result("extraction")
        findings.add_extracted(result, found)
        documents.add_documents(result, found)
        assert found.exact.all()
        assert result.tables["documents"]["verdict"][0] in verdicts | {document_verdicts.PATTERN}
        assert result.tables["documents"]["explanation"][0].startswith(
            "Greedy decoding reproduces the one tested passage"
        )


def test_the_run_says_what_share_it_read(llama: Any) -> None:
    found = wb.run(
        "extraction",
        llama,
        {
            "text": "some words here " * 200,
            "context": [5],
            "suffix": 5,
            "stride": 5,
            "max_windows": 20,
        },
    )
    assert len(found.tables["windows"]) == 20
    assert "sampled" in found.provenance.notes


def test_a_tokenizer_that_alters_a_text_is_noticed(tmp_path: Path) -> None:
    from tokenizers import normalizers

    tokenizer = tiny.tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    model = wb.load((tiny.tiny_llama(), tokenizer))
    (tmp_path / "shouted.txt").write_text("The Capital of PERU is Lima. " * 9)
    (tmp_path / "whispered.txt").write_text("the capital of peru is lima. " * 9)
    asked = {"path": str(tmp_path), "context": [8], "suffix": 8, "stride": 8}
    found = wb.run("extraction", model, asked).findings
    assert found["altered"].value == 1
    assert "shouted.txt" in found["altered"].says
    (tmp_path / "shouted.txt").unlink()
    assert "altered" not in wb.run("extraction", model, asked).findings


def test_texts_of_the_same_name_are_told_apart(tmp_path: Path, llama: Any) -> None:
    lines = [
        {"text": "one " * 40, "name": "n"},
        {"text": "two " * 40, "name": "n"},
        {"text": "x " * 40, "name": "n (2)"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = wb.run(
        "extraction", llama, {"path": str(tmp_path / "t.jsonl"), "context": [8], "suffix": 8}
    )
    table = found.tables["documents"].set_index("name")
    assert sorted(table.index) == ["n", "n (2)", "n (2) (2)"]
    assert table["n_windows"].sum() == len(found.tables["windows"])
    assert set(found.tables["windows"]["name"]) == set(table.index)
