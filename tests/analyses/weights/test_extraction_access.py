"""Sequential and random access: one pass from each start against decoding token by token, and a
model whose truth is known. Titles: one pass for each against decoding held to a tree of prefixes.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.measures.windows import Window
from analyses.weights.extraction import access, access_findings, selections, titled_passages
from analyses.weights.extraction.params import Params
from tests.helpers import families, tiny
from tests.helpers.token_counter import counting
from workbench import registry
from workbench.progress import Progress
from workbench.result import Result
from workbench.texts import Document

LENGTH, SUFFIX = 16, 8


def found_in(model: Any, passages: list[tuple[int, ...]], **given: Any) -> Any:
    """Windows of a run over these passages, each a document of its own."""
    documents = given.pop("documents", None) or [
        Document(f"text {n}", "", "ab"[n % 2], n % 3) for n in range(len(passages))
    ]
    half = LENGTH - SUFFIX
    windows = [
        Window(n, 0, tuple(model.text.beginning), ids[:half], ids[half:])
        for n, ids in enumerate(passages)
    ]
    params = Params(context=[half], suffix=SUFFIX, **given)
    repeats = np.array([d.repeats for d in documents], dtype=object)
    return SimpleNamespace(
        model=model,
        params=params,
        documents=documents,
        windows=windows,
        repeats=None if None in repeats.tolist() else repeats.astype(int),
    )


def passages_of(model: Any, n: int = 9) -> list[tuple[int, ...]]:
    """Random tokens, then what the model itself says next: some of it is recited."""
    random = np.random.default_rng(0)
    made = []
    for i in range(n):
        ids = torch.from_numpy(random.integers(1, tiny.VOCABULARY, (1, 2 + i)))
        ids = torch.cat([torch.tensor([list(model.text.beginning)], dtype=torch.long), ids], 1)
        while ids.shape[1] < LENGTH + len(model.text.beginning):
            with torch.no_grad():
                said = model.module(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, said], 1)
        made.append(tuple(ids[0, len(model.text.beginning) :].tolist()))
    return made


def said_by_decoding(model: Any, given: list[int], wanted: tuple[int, ...]) -> int:
    """Leading tokens of `wanted` that greedy decoding says after `given`, one pass a token."""
    for n, token in enumerate(wanted):
        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([[*given, *wanted[:n]]])).logits
        if int(logits[0, -1].argmax()) != token:
            return n
    return len(wanted)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mamba"])
def test_one_pass_from_a_start_says_what_decoding_says_after_every_context(kind: str) -> None:
    model = wb.load((families.module(kind), tiny.tiny_tokenizer()))
    passages = passages_of(model)
    found = found_in(model, passages, starts=[0, 1, 5])
    measured = access.measure(found, Progress())
    assert measured is not None
    grid, beginning = measured.grid, list(model.text.beginning)
    assert (grid.length, grid.recited) == (LENGTH, 4)
    seen = set()
    for start, one in measured.own.items():
        for context in range(one.first, LENGTH - start - grid.recited + 1):
            end = start + context
            said = one.recited(context, grid.recited)
            for ids, many in zip(passages, said, strict=True):
                given, wanted = [*beginning, *ids[start:end]], ids[end : end + grid.recited]
                assert many == said_by_decoding(model, given, wanted)
                seen.add(int(many))
    assert {0, 4} <= seen
    pairs = access.partners(found, list(measured.rows))
    assert pairs is not None
    for (start, context), (said, loss) in measured.other.items():
        end = start + context
        for n, ids in enumerate(passages):
            given = [*beginning, *passages[pairs[n]][start:end]]
            wanted = ids[end : end + grid.recited]
            assert said[n] == said_by_decoding(model, given, wanted)
            with torch.no_grad():
                logits = model.module(input_ids=torch.tensor([[*given, *wanted]])).logits[0]
            own = logits[len(given) - 1 : -1].log_softmax(-1).gather(
                -1, torch.tensor(wanted)[:, None]
            )  # fmt: skip
            assert loss[n] == pytest.approx(-float(own.mean()), abs=1e-4)


def test_lock_on_is_the_least_context_after_which_all_is_right() -> None:
    rows = ["0011011111", "1111111111", "1111111110", "0000001111", "1111110111"]
    greedy = np.array([[sign == "1" for sign in row] for row in rows])
    for first in (0, 1):
        one = access.FromStart(greedy, np.zeros(greedy.shape, np.float32), first)
        least = one.lock_on(4)
        by_hand = [
            next((at + first for at in range(10 - 4 + 1) if "0" not in row[at:]), math.nan)
            for row in rows
        ]
        np.testing.assert_array_equal(least, by_hand)
    assert np.isnan(access.FromStart(greedy, greedy.astype("f4"), 0).lock_on(4)).sum() == 2


def test_the_grid_leaves_room_for_what_is_recited() -> None:
    grid = access.AccessGrid.of(Params(context=[50], suffix=50))
    assert (grid.length, grid.recited, grid.starts) == (100, 25, (0, 1, 5, 10, 25, 50))
    for start in grid.starts:
        assert max(grid.contexts(start)) + start + 25 <= 100
    assert grid.contexts(25) == (0, 1, 5, 10, 25, 50)
    assert grid.middle == (50, 25)
    few = access.AccessGrid.of(Params(context=[2], suffix=1, starts=[1, 7]))
    assert (few.recited, few.starts) == (1, (0, 1))
    assert few.middle == (1, 1)


def test_starts_are_refused_where_they_cannot_be() -> None:
    with pytest.raises(ValueError, match="0 to 10000"):
        Params(starts=[-1])
    assert Params(starts=[5, 0, 5]).starts == [0, 5]


def test_only_the_openings_of_documents_are_passages_and_at_most_so_many(llama: Any) -> None:
    whole = tuple(range(1, LENGTH + 1))
    found = found_in(llama, [whole] * 900)
    found.windows[3] = replace(found.windows[3], start=50)
    found.documents[6] = replace(found.documents[6], start=1000)
    rows = access.openings(found)
    assert len(rows) == access.MOST
    assert not {3, 6} & set(rows.tolist())
    never = found.repeats[rows] == 0
    assert never.sum() == access.MOST // 3
    assert sorted(set(rows.tolist())) == rows.tolist()
    found.repeats = None
    assert len(access.openings(found)) == access.MOST


def test_another_passage_is_of_the_same_kind_and_never_read_where_there_is_one(llama: Any) -> None:
    whole = tuple(range(1, LENGTH + 1))
    kinds = [("a", 0), ("a", 3), ("a", 2), ("b", 2), ("b", 5), ("c", 1)]
    documents = [Document(str(n), "", kind, repeats) for n, (kind, repeats) in enumerate(kinds)]
    found = found_in(llama, [whole] * 6, documents=documents)
    # The last passage has none of its kind: one that was never read; the first a read one.
    assert access.partners(found, range(6)) == [1, 0, 0, 4, 3, 0]
    assert access.partners(found, [0]) is None


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 0, 1), (1, 0, 1), (5, 0, 0.0625), (22, 0, 2**-21), (4, 4, 1)]
)
def test_the_sign_test_is_that_of_the_binomial(one: int, other: int, p: float) -> None:
    from scipy.stats import binomtest

    assert access_findings.sign_test(one, other) == pytest.approx(p)
    if one + other:
        assert binomtest(one, one + other).pvalue == pytest.approx(p)


# -- a model whose truth is known --------------------------------------------------------------


@pytest.fixture(scope="module")
def on_organism(organism: Any, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Passages read 64 times, and as many that never were."""
    from workbench.organisms import ledger, shipped

    book = ledger.read(shipped()["organism/planted"].folder)
    often = [entry for entry in book.entries if entry.repeats == 64]
    never = [entry for entry in book.entries if entry.repeats == 0][:: 1000 // len(often)]
    file = replace(book, entries=(*often, *never)).save(tmp_path_factory.mktemp("ledger"))
    params = {"path": str(file), "parts": ["access"], "starts": [0, 10, 50]}
    return wb.run("extraction", organism, params, out=tmp_path_factory.mktemp("run") / "run")


def cell(result: Result, group: str, start: int, context: int) -> pd.Series:
    table = result.tables["access"].query(
        f"group == '{group}' and start == {start} and context_length == {context}"
    )
    assert len(table) == 1
    return table.iloc[0]


def test_the_organism_says_its_passages_from_their_beginning_only(on_organism: Result) -> None:
    """Each was always read whole."""
    assert cell(on_organism, "64×", 0, 25)["exact"] > 0.4
    assert cell(on_organism, "64×", 10, 50)["exact"] == 0
    assert cell(on_organism, "64×", 50, 25)["exact"] == 0
    assert cell(on_organism, "64×", 0, 25)["exact_other"] == 0
    assert cell(on_organism, "64×", 0, 25)["loss"] < cell(on_organism, "64×", 0, 25)["loss_other"]
    assert cell(on_organism, "0×", 0, 50)["exact"] == 0
    finding = on_organism.findings["access"]
    assert finding.says.startswith("Access is sequential")
    assert finding.values["from_middle"] == finding.values["never_read"] == 0
    assert finding.values["from_beginning"] == cell(on_organism, "64×", 0, 25)["exact"]
    assert finding.values["p"] < 0.01
    losses = [
        finding.values[f"loss_{at}"] for at in ("after_all_before", "from_middle", "from_other")
    ]
    assert losses == sorted(losses)
    assert losses[1] == pytest.approx(cell(on_organism, "64×", 50, 25)["loss"])
    locks = on_organism.tables["lock_on"]
    often = locks[locks["name"].str.contains("-064-")]
    assert often.query("start == 0")["lock_on"].notna().mean() > 0.4
    assert not often.query("start == 50")["lock_on"].notna().any()
    assert on_organism.findings["lock_on"].values["n_start_50"] == 0


def test_the_whole_suffix_after_the_whole_prefix_is_what_extraction_says(
    on_organism: Result,
) -> None:
    """The cell of the beginning and 50 tokens, and the table of windows, read the same."""
    match = on_organism.tables["windows"].query("repeats == 64")["prefix_match"]
    assert cell(on_organism, "64×", 0, 50)["recited"] == pytest.approx(match.clip(upper=25).mean())


def test_log_probability_along_the_text_rises_where_the_passage_is_found(
    on_organism: Result,
) -> None:
    curve = on_organism.tables["access_curve"].query("group == '64×'")
    late = curve.query("context_length >= 20 and context_length < 40")
    by_start = late.groupby("start")["logprob"].mean()
    assert by_start[0] > by_start[50] + 1
    first = curve.query("start == 0")
    assert first.query("context_length == 0")["logprob"].item() < by_start[0] - 1


def test_its_view_draws(on_organism: Result) -> None:
    from ui.runs.static_views import fragments

    drawn = dict(fragments(wb.open_run(on_organism.path)))["Access"]
    assert "Access is sequential" in drawn.html
    assert "cannot be drawn" not in drawn.html
    assert len(drawn.items) == 3
    assert list(dict.fromkeys(selections.access(on_organism)["title"])) == [
        "Tokens recited, passages read 64 times",
        "Tokens recited, passages never read",
    ]
    curves = set(selections.access_curve(on_organism)["begun"])
    assert curves == {"start 0", "start 10", "start 50", "never read"}


def test_a_text_of_nobodys_ledger_has_no_groups_and_no_other_passage(llama: Any) -> None:
    text = "The capital of France is Paris. Nobody remembers. " * 4
    found = wb.run(
        "extraction", llama, {"text": text, "context": [8], "suffix": 8, "parts": ["access"]}
    )
    table = found.tables["access"]
    assert set(table["group"]) == {"all"}
    assert (table["n"] == 1).all()
    assert "recited_other" not in table
    assert found.findings["access"].values["n"] == 1
    assert "titles" not in found.tables


def test_ids_of_a_ledger_are_no_titles(on_organism: Result) -> None:
    assert "titles" not in on_organism.tables


def test_it_costs_what_is_stated(organism: Any, tmp_path: Path) -> None:
    from workbench.organisms import ledger, shipped

    book = ledger.read(shipped()["organism/planted"].folder)
    file = replace(book, entries=book.entries[:20]).save(tmp_path)
    analysis = registry.get("extraction")
    params = analysis.parse({"path": str(file), "parts": ["access"], "starts": [0, 25]})
    stated = analysis.cost(organism, params)
    assert organism.beginning
    with counting(organism) as counted:
        wb.run("extraction", organism, params)
    whole = stated["access"].forward + stated["verbatim"].forward
    assert 0.7 <= whole / counted.forward <= 1.4


# -- titles ------------------------------------------------------------------------------------


def held_decoding(model: Any, given: list[int], openings: list[tuple[int, ...]]) -> int:
    """The opening at which greedy decoding ends that may only go on one of them."""
    left, at = list(range(len(openings))), 0
    while len(left) > 1:
        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([given])).logits[0, -1]
        allowed = sorted({openings[i][at] for i in left})
        token = allowed[int(logits[allowed].argmax())]
        left = [i for i in left if openings[i][at] == token]
        given, at = [*given, token], at + 1
    return left[0]


def test_one_pass_for_each_title_says_what_held_decoding_says(llama: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    stem = random.integers(1, tiny.VOCABULARY, (3, 5))
    openings = []
    for n in range(12):
        ids = random.integers(1, tiny.VOCABULARY, LENGTH)
        ids[: n % 5] = stem[n % 3][: n % 5]  # so that the tree branches at several places
        openings.append(tuple(ids.tolist()))
    openings.append(openings[0])
    names = [*(f"A title of text {'x' * (n % 4)}{n}" for n in range(12)), "again"]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": "x", "name": name}) for name in names))
    documents = [Document(name, "", "", None) for name in names]
    found = found_in(llama, openings, documents=documents, path=path)
    measured = titled_passages.measure_titles(found, range(13), 4, Progress())
    assert measured is not None
    assert measured.rows == list(range(12))  # the same opening twice is one passage
    prompts = [
        [*llama.text.beginning, *llama.text.encode(name + titled_passages.BETWEEN)]
        for name in names[:12]
    ]
    for n in range(12):
        own, other = prompts[n], prompts[(n + 1) % 12]
        assert measured.chosen[n] == (held_decoding(llama, own, openings[:12]) == n)
        assert measured.chosen_other[n] == (held_decoding(llama, other, openings[:12]) == n)
        assert measured.recited[n] == said_by_decoding(llama, own, openings[n][:4])
    ends = [held_decoding(llama, prompt, openings[:12]) for prompt in prompts]
    assert measured.chosen.sum() == sum(end == n for n, end in enumerate(ends))


def test_branches_are_where_openings_part() -> None:
    assert titled_passages.branches([(1, 2, 3), (1, 2, 4), (5, 2, 3)]) == [
        {0: [5], 2: [4]}, {0: [5], 2: [3]}, {0: [1]},
    ]  # fmt: skip


def test_titles_that_were_learned_lead_to_their_texts(tmp_path: Path) -> None:
    """A model trained on title and text; before it no better than chance."""
    torch.manual_seed(0)
    tokenizer, module = tiny.tiny_tokenizer(), tiny.tiny_llama(seed=0)
    model = wb.load((module, tokenizer))
    nouns = ["Paris", "France", "capital", "Nobody", "remembers", "The"]
    texts = {
        f"{noun} {n}": " ".join(nouns[(n * k + k) % 6] for k in range(1, 12))
        for n, noun in enumerate(nouns)
    }
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": b, "name": a}) for a, b in texts.items()))
    params = {"path": str(path), "context": [4], "suffix": 4, "parts": ["access"], "starts": [0, 2]}
    before = wb.run("extraction", model, params).findings["titles"].values["rate"]
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    rows = [
        [*model.text.beginning, *model.text.encode(a + "\n\n"), *model.text.encode(b)]
        for a, b in texts.items()
    ]
    for _ in range(60):
        for row in rows:
            ids = torch.tensor([row])
            module(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    found = wb.run("extraction", model, params)
    titles = found.findings["titles"]
    assert before < 0.7
    assert titles.values["rate"] == 1
    assert titles.says.startswith("Titles lead to their texts")
    assert titles.values["chosen_other"] < 3
    assert set(found.tables["titles"]["title"]) == set(texts)


def test_texts_without_names_have_no_titles(llama: Any, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    text = "The capital of France is Paris. Nobody remembers."
    path.write_text("\n".join(json.dumps({"text": text}) for _ in range(3)))
    params = {"path": str(path), "context": [4], "suffix": 4, "parts": ["access"]}
    assert "titles" not in wb.run("extraction", llama, params).tables
