"""What a cache has to keep: in a model whose one head copies, in a small one, what is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import workbench as wb
from analyses.context import kv_memory
from analyses.context.kv_memory import findings
from analyses.context.kv_memory.fewer_numbers import overlap
from analyses.context.kv_memory.params import Params, budgets_of
from analyses.context.kv_memory.recall_texts import contexts_of, read_text
from analyses.context.kv_memory.selections import CHOICES, budgets, head_share, heads
from analyses.context.kv_memory.thinned_tables import survival_table
from tests.helpers import families, planted, tiny
from tests.helpers.token_counter import counting
from workbench import runs
from workbench.errors import BadInput, NotFound, Unfit
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

FILL = "The Question : Answer . of . The capital . " * 3
OWN = {
    "text": f"{FILL}The capital of Land3 is City5 . {FILL}",
    "ask": " The capital of Land3 is",
    "answer": "City5",
}


def ran(model: Any, **values: Any) -> Result:
    result: Result = kv_memory.run(model, Params.model_validate(values), Progress())
    assert not list(kv_memory.SCHEMA.problems(result))
    return result


@cache
def copying() -> Any:
    """A model whose head L1H1 copies the answer out of its context, and L1H2 remembers another."""
    module = planted.planted_module([0.6] * 16)
    return wb.load((module, planted.planted_tokenizer()))


@pytest.fixture(scope="module")
def copied() -> Result:
    return ran(copying(), **OWN, parts=["policies", "channels", "bits"])


@pytest.fixture(scope="module")
def small(organism: Any) -> Result:
    return ran(
        organism, contexts=3, length=250, questions=2, block=16, budgets="25, 50",
        parts=["policies", "channels", "bits", "blocks", "episodes"],
    )  # fmt: skip


def test_the_answer_is_given_where_the_copying_head_keeps_it(copied: Result) -> None:
    """And the remembered one where it does not: what every row says is known beforehand."""
    at = int(copied.tables["tokens"].query("kind == 'answer'")["pos"].iloc[0])
    layer, head = planted.CONTEXT_HEAD
    kept_from = copied.arrays["kept_from"].sel(layer=layer).isel(kv_head=head, pos=at)
    shown = copied.tables["shown"].set_index(["policy", "budget"])
    places = list(copied.tables["budgets"]["budget"])
    outcomes = set()
    for name in kept_from["policy"].values:
        for place, budget in enumerate(places):
            is_kept = int(kept_from.sel(policy=name)) <= place
            row = shown.loc[(name, budget)]
            assert row["exact"] == is_kept, (name, budget)
            assert row["says"].split()[0] == ("City5" if is_kept else "City3")
            outcomes.add(is_kept)
    assert outcomes == {True, False}
    assert shown.loc[("full cache", 1.0), "exact"]
    recall = copied.tables["recall"].set_index(["view", "policy", "budget"])["rate"]
    assert all(recall["unknown", "oracle", budget] == 1.0 for budget in places)
    # The last token looks at the answer: with the question in view a tenth is enough.
    assert recall["in view", "tova", 0.1] == 1.0
    assert recall["unknown", "tova", 0.1] == 0.0


def test_the_answer_is_where_it_was_written(copied: Result) -> None:
    rates = copied.tables["smearing"].set_index("kept")["rate"]
    assert rates["whole cache"] == rates["without as much elsewhere"] == 1.0
    assert rates["without the evidence"] == 0.0
    assert "not in the tokens behind it" in copied.findings["smearing"].says


def test_no_claim_is_made_of_one_text(copied: Result) -> None:
    assert set(copied.tables["claims"]["verdict"]) == {"cannot be told"}


def test_tables_count_what_was_asked(small: Result) -> None:
    answers = small.tables["answers"]
    assert answers["context"].nunique() == 3
    questions = len(answers[answers["policy"] == "full cache"])
    assert questions == 2 + 2 + 1  # a pass key is asked for once
    recall = small.tables["recall"].set_index(["view", "policy", "budget"])
    for (view, name, budget), row in recall.iterrows():
        rows = answers[(answers["view"] == view) & (answers["policy"] == name)
                       & (answers["budget"] == budget)]  # fmt: skip
        assert row["n"] == len(rows) == questions
        assert row["rate"] == pytest.approx(rows["exact"].mean())
        assert row["bytes"] == pytest.approx(budget, abs=0.08)
    turns = small.tables["turns"]
    assert set(turns["turn"]) == {1, 2}
    assert set(turns["policy"]) == {"h2o", "snapkv", "tova", "expected"}
    assert small.arrays["kept_from"].sizes["pos"] == len(small.tables["tokens"])
    first = small.tables["tokens"].query("kind == 'answer'")
    said = "".join(first["token"]).strip()
    assert small.tables["asked"]["question"][0].endswith(said)


def test_the_strip_shows_what_the_chosen_head_keeps(small: Result) -> None:
    n = len(small.tables["tokens"])
    assert list(budgets(small).values()) == [0.25, 0.5, 1.0]
    head = list(heads(small))[1]
    for budget in (0.25, 0.5):
        for name in ("snapkv", "random"):
            share = head_share(small, name, budget, "all heads")
            assert share.sum() == pytest.approx(-(-n * budget // 1), abs=1)
            one = head_share(small, name, budget, head)
            assert set(one) == {0.0, 1.0}
            assert one.sum() == -(-n * budget // 1)
    assert head_share(small, "snapkv", 1.0, head).all()


def test_blocks_and_episodes_are_counted(small: Result) -> None:
    lookups, raster = small.tables["lookups"], small.tables["raster"]
    one = raster[raster["question"] == raster["question"].iloc[0]]
    by_layer = one.groupby("layer")
    assert set(by_layer["fetched"].sum()) == {4}
    assert set(by_layer["answer"].sum()) == {1}
    hits = (one["fetched"] & one["answer"]).sum() / one["layer"].nunique()
    row = lookups[(lookups["context"] == one["context"].iloc[0])
                  & (lookups["question"] == one["question"].iloc[0])].iloc[0]  # fmt: skip
    assert row["hits"] == pytest.approx(hits)
    episodes = small.tables["episodes"]
    assert len(episodes) == 6
    assert (episodes["tokens"] <= 4 * 16).all()
    assert "begins" in small.tables["tokens"]


def test_a_saved_run_opens_and_every_view_is_drawn(small: Result, tmp_path: Path) -> None:
    small.save(tmp_path / "run")
    run = runs.open_run(str(tmp_path / "run"))
    views = bound(kv_memory.VIEWS, run, kv_memory.SCHEMA)
    assert list(views) == [
        "Budgets", "What is kept", "Survival", "Turns", "Channels", "Bits", "Blocks", "Episodes",
        "Past the window", "Claims",
    ]  # fmt: skip
    del views["Past the window"]  # this part was not run
    for title, view in views.items():
        still = " ".join(map(str, view.still()))
        assert "The run was stopped" not in still, title
        assert "cannot be drawn" not in still, title
    assert all(len(choose(run)) <= 1 for choose in CHOICES.values())


def test_reading_past_the_window(organism: Any) -> None:
    run = ran(organism, parts=["past-the-window"], window=128)
    table = run.tables["past"]
    assert set(table["mode"]) == {"as it is", "LM-Infinite"}
    within = table[table["windows"] < 0.9].pivot_table(
        index="windows", columns="mode", values="loss"
    )
    assert np.allclose(within["as it is"], within["LM-Infinite"], atol=1e-3)
    assert len(run.tables["past_needles"]) == 4
    assert "texts" not in run.tables
    assert "Past the window" in bound(kv_memory.VIEWS, run, kv_memory.SCHEMA)


@pytest.mark.parametrize("parts", [["policies"], ["channels"], ["bits"], ["blocks", "episodes"]])
def test_what_it_costs_is_what_is_read(organism: Any, parts: list[str]) -> None:
    params = Params(contexts=3, length=250, questions=2, block=16, parts=parts)
    stated = sum(
        each.forward for name, each in kv_memory.cost(organism, params).items() if name in parts
    )
    read = 0.0 if len(parts) == 1 else 3 * 252  # one reading serves both
    with counting(organism) as counted:
        kv_memory.run(organism, params, Progress())
    assert 0.5 <= (stated - read) / counted.forward <= 2


def test_evidence_is_found_among_the_tokens(organism: Any) -> None:
    params = Params(contexts=6, length=250, questions=3)
    for number, context in enumerate(contexts_of(organism, params)):
        text = read_text(organism, context, number)
        assert len(text.memory) <= 250 + 2
        for question, asked in zip(text.questions, context.questions, strict=True):
            words = organism.token_strings(text.memory.ids[slice(*question.answer_at)])
            assert asked.answer.strip() in "".join(words)
            sentence = "".join(organism.token_strings(text.memory.ids[slice(*question.evidence)]))
            assert context.text[slice(*asked.evidence)] in sentence


def answers(rows: list[tuple[int, str, float, bool, float]]) -> pd.DataFrame:
    """Rows of (context, policy, budget, exact, survival)."""
    columns = ["context", "policy", "budget", "exact", "survival"]
    return pd.DataFrame(rows, columns=columns).assign(question=0, view="unknown", logprob=-1.0)


def test_the_best_policy_is_chosen_on_one_half_and_measured_on_the_other() -> None:
    rows = []
    for context in range(6):
        rows += [(context, "snapkv", 0.25, context % 2 == 0, 1.0),
                 (context, "h2o", 0.25, context % 2 == 1, 1.0),
                 (context, "random", 0.25, True, 1.0)]  # fmt: skip
    best = findings.best_policy(answers(rows), 0.25, "unknown")
    assert best is not None
    names, frame = best
    assert names == ["snapkv", "h2o"]  # and controls are not chosen
    assert not frame["exact"].any()
    assert len(frame) == 6


def test_survival_is_of_questions_that_the_full_cache_answers() -> None:
    table = survival_table(answers([
        (0, "full cache", 1.0, True, 1.0), (0, "h2o", 0.25, True, 0.9),
        (0, "tova", 0.25, False, 0.1), (1, "full cache", 1.0, False, 1.0),
        (1, "h2o", 0.25, False, 0.9),
    ])).set_index("policy")  # fmt: skip
    assert table.loc["all policies", "kept"] == 1.0
    assert table.loc["all policies", "n_kept"] == 1
    assert table.loc["all policies", "evicted"] == 0.0


def test_channels_in_common() -> None:
    one = np.arange(10.0)[None, None]
    assert overlap([one, one]) == (1.0, 0.6)
    assert overlap([one, one[..., ::-1]])[0] == pytest.approx(1 / 3)
    assert np.isnan(overlap([one])[0])


def test_bad_input_is_said_before_a_model_is_loaded() -> None:
    for wrong, why in (
        ({"budgets": "150"}, "percent"),
        ({"budgets": "a quarter"}, "percent"),
        ({"budgets": "100"}, "below the whole cache"),
        ({"text": "a b c"}, "lacks ask and answer"),
        ({"text": "a b c", "ask": " b", "answer": "d"}, "does not stand in your text"),
    ):
        with pytest.raises((BadInput, ValidationError), match=why):
            Params.model_validate(wrong)
    assert budgets_of(Params(budgets="50 %, 5, 100")) == [0.05, 0.5]


def test_what_cannot_be_asked_of_a_model_is_refused(organism: Any) -> None:
    recurrent = wb.load((families.module("mamba"), tiny.tiny_tokenizer()))
    assert "no attention whose keys" in str(kv_memory.unavailable_reason(recurrent))
    assert kv_memory.unavailable_reason(organism) is None
    with pytest.raises(Unfit, match="recurrent-state"):
        kv_memory.run(recurrent, Params(), Progress())
    with pytest.raises(NotFound, match="snapkv"):
        kv_memory.run(organism, Params(policies="snap"), Progress())
    learned = next(part for part in kv_memory.PARTS if part.name == "past-the-window")
    gpt2 = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    assert learned.unavailable_reason is not None
    assert "table of positions" in str(learned.unavailable_reason(gpt2))
    with pytest.raises(BadInput, match="room for some text"):
        kv_memory.run(organism, Params(length=96, contexts=2), Progress())
