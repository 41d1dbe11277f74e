"""Where an answer came from: on a model whose truth is known, and beside plain passes."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.prompt import provenance
from analyses.prompt.provenance import design, neutral, recited, subject, verdict
from analyses.prompt.provenance.constants import BOTH, NEITHER, PROMPT, STATE, UNTOLD, WEIGHTS
from analyses.prompt.provenance.params import Params
from analyses.prompt.provenance.parts import PARTS
from analyses.prompt.provenance.prompt_parts import take_apart
from tests.helpers import families
from tests.helpers.planted import ANSWERS, MEMORIES, SUBJECTS, planted_module, planted_tokenizer
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.errors import BadInput
from workbench.models.conversation import has_template
from workbench.progress import Progress
from workbench.result import Result
from workbench.views import bound

CONFLICT = "The capital of {0} is {1} . Question : Answer : The capital of {0} is"
CLOSED = "The capital of {0} is"


@pytest.fixture(scope="module")
def planted():
    return wb.load((planted_module(), planted_tokenizer()))


@pytest.fixture(scope="module")
def tiny():
    return wb.load((tiny_llama(), tiny_tokenizer()))


def run(model, **params):
    result = provenance.run(model, Params(**params), Progress())
    assert not list(provenance.SCHEMA.problems(result))
    return result


def told(result):
    """The sources that are named."""
    return {name for name, value in result.findings["verdict"].values.items() if value == 1}


@pytest.mark.parametrize("number", range(16))
def test_one_head_remembers_and_one_copies(planted, number):
    subject_, wrong = SUBJECTS[number], ANSWERS[(number + 5) % 16]
    truth = WEIGHTS if MEMORIES[number] > 1 else PROMPT
    params = {"parts": ["split"], "draws": 4, "length": 1, "seed": number}
    result = run(planted, prompt=CONFLICT.format(subject_, wrong), **params)
    assert told(result) == {truth}
    said = result.tables["answer"]["token"].iloc[0].strip()
    assert said == (ANSWERS[number] if truth == WEIGHTS else wrong)
    assert told(run(planted, prompt=CLOSED.format(subject_), **params)) == {WEIGHTS}


def test_what_both_say_comes_from_both(planted):
    result = run(
        planted, prompt=CONFLICT.format(SUBJECTS[0], ANSWERS[0]), parts=["split"], length=1
    )
    assert told(result) == {PROMPT, WEIGHTS}
    assert result.findings["interaction"].value < 0  # either does without the other


def test_heads_that_copy_and_remember_are_found(planted):
    copied = run(planted, prompt=CONFLICT.format(SUBJECTS[1], ANSWERS[6]), length=1,
                 parts=["heads", "sentences", "tokens"])  # fmt: skip
    groups = copied.tables["groups"].set_index("group")["heads"]
    assert "L1H1" in groups[PROMPT].split()
    said = copied.tables["groups"].set_index("group")["said"]
    assert said["none"].startswith(ANSWERS[6])
    assert said[PROMPT].startswith(ANSWERS[1])  # what it remembers
    assert copied.tables["sentences"]["without"].iloc[0].startswith(ANSWERS[1])
    assert copied.tables["tokens"].set_index("pos")["cost"].idxmax() == 5  # the answer's own place
    assert copied.findings["sentence"].value > 1
    kept = run(planted, prompt=CONFLICT.format(SUBJECTS[0], ANSWERS[5]), length=1, parts=["heads"],
               subject=SUBJECTS[0])  # fmt: skip
    table = kept.tables["heads"].set_index("label")
    assert table["effect"].idxmin() == "L1H2"


def test_cells_are_those_of_plain_passes(tiny):
    text = "The dog went home. Then it was late. Where is the cat? The cat is"
    asked = take_apart(tiny, text)
    answer = tiny.continuation_tokens(" on")
    runs = neutral.neutral_tokens(tiny, design.context_tokens(asked), 3, ["on"], 0)
    setting = design.prepare(tiny, asked, runs)
    blocking = subject.Blocking.of(tiny, asked, runs[0])
    marked = subject.marked(asked, "cat")

    cells = design.measure(tiny, setting, marked, answer, blocking, 0, Progress())
    for draw, replaced in enumerate(setting.contexts):
        ids = list(asked.ids)
        for at, new in replaced:
            ids[at : at + len(new)] = new
        assert ids[asked.question[0] :] == asked.ids[asked.question[0] :]
        with torch.no_grad():
            logits = tiny.forward(input_ids=torch.tensor([[*ids, *answer[:-1]]])).logits[0]
        logp = logits[len(ids) - 1 :].log_softmax(-1)
        plain = logp[range(len(answer)), answer].sum()
        assert cells.neutral[draw].sum() == pytest.approx(float(plain), abs=1e-4)
    added = cells.of_prompt.sum(-1) + cells.of_weights.sum(-1)
    corners = (cells.given - cells.neutral_blocked).sum(-1)
    np.testing.assert_allclose(added, corners, atol=1e-9)


def cells_of(given, blocked, neutral_, neutral_blocked, parts=(0.0,), without=None):
    def column(values):
        return np.array(values, float).reshape(-1, 1)

    return design.Cells(
        np.array([given], float), np.array([blocked], float), column(neutral_),
        column(neutral_blocked), column(parts),
        without=None if without is None else np.array([without], float),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        (cells_of(-0.1, -0.2, [-8, -8.1, -7.9], [-9, -9.1, -8.9]), PROMPT),
        (cells_of(-0.1, -6, [-0.2, -0.1, -0.3], [-6, -6.2, -5.9]), WEIGHTS),
        (cells_of(-0.1, -0.2, [-0.2, -0.3, -0.1], [-6, -6.2, -5.9]), BOTH),
        (cells_of(-9, -9, [-9, -9.1, -8.9], [-9, -9.1, -8.9]), NEITHER),
        (cells_of(-2, -2, [-1, -9, -4], [-1, -9, -4]), UNTOLD),
        # less improbable from the weights, and yet never said by them
        (cells_of(-0.1, -0.3, [-12, -12.1, -11.9], [-18, -18.1, -17.9]), PROMPT),
        # neutral text makes it forget what it says where nothing stands before the question
        (cells_of(-0.1, -0.3, [-5, -5.1, -4.9], [-9, -9.1, -8.9], without=-0.5), BOTH),
        # the context is better than neutral text and no better than none; nor is it without the
        # subject more than other texts
        (cells_of(-1, -3, [-4, -4.1, -3.9], [-9, -9.1, -8.9], without=-0.9), BOTH),
        (cells_of(-1, -6, [-4, -4.1, -3.9], [-9, -9.1, -8.9], without=-0.9), WEIGHTS),
        (cells_of(-1, -3, [-2.4, -2.5, -2.3], [-3.4, -3.5, -3.3], without=-0.9), WEIGHTS),
    ],
)
def test_the_rule(cells, word):
    assert verdict.verdict(verdict.effects(cells)) == word


def test_a_random_part_that_does_as_much_takes_the_name_away():
    found = verdict.effects(cells_of(-0.1, -6, [-0.2, -0.1, -0.3], [-6, -6.2, -5.9], parts=[7.0]))
    assert not found[1].named


def test_a_prompt_is_taken_apart(tiny):
    text = "Mr. Poe lives in Rome. Ann does not.\nQuestion: Where is Mr. Poe?\nAnswer:"
    asked = take_apart(tiny, text)
    assert [s.text for s in asked.sentences] == ["Mr. Poe lives in Rome.", "Ann does not."]
    begin = asked.spans[asked.question[0]][0]
    assert text[begin:].lstrip() == "Question: Where is Mr. Poe?\nAnswer:"
    assert asked.question[1] == len(asked.ids)
    assert len(asked.mentions("Poe")) == 2
    whole = take_apart(tiny, "Where is Rome?")
    assert whole.context == ()
    assert whole.sentences == ()


def test_long_contexts_have_forty_pieces_at_most(tiny):
    asked = take_apart(tiny, "This is so. " * 100 + "Who is there?")
    assert len(asked.sentences) <= 40
    ends = [(s.start, s.stop) for s in asked.sentences]
    assert all(a[1] <= b[0] for a, b in pairwise(ends))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"prompt": "It is so. Who is there?", "question": "Who was"}, "does not stand"),
        ({"prompt": "It is so. Who is there?", "subject": "Anna"}, "does not stand"),
        ({"prompt": "??? !!!"}, "no words"),
        ({"prompt": "Who is there?", "chat": True}, "chat"),
        ({"prompt": "word " * 4000 + "Who?"}, "positions|window"),
    ],
)
def test_bad_input_is_refused(planted, tiny, params, match):
    model = planted if "word" in params["prompt"] else tiny
    assert not has_template(model.tokenizer)
    with pytest.raises(BadInput, match=match):
        run(model, **params)


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "gpt_oss", "bloom"])
def test_other_families_get_what_they_can(family):
    model = wb.load((families.module(family), tiny_tokenizer()))
    parts = [part.name for part in PARTS if part.unavailable_reason(model) is None]
    asks = "The dog is old. The cat is new. Which is it? It is"
    result = run(model, prompt=asks, draws=3, length=2, parts=parts)
    assert ("heads" in parts) == (family != "mamba2")
    assert {"effects", "sentences", "tokens"} <= set(result.tables)
    if family in ("mamba2", "qwen3_next"):
        assert STATE in set(result.tables["effects"]["source"])
        assert "replaced by neutral text" in result.provenance.notes["taken away"]
    named = run(model, prompt=asks.replace("Which is it", "How old is Ann"), draws=3, length=2,
                parts=["split"])  # fmt: skip
    assert "Ann" in named.provenance.notes["subject"]
    for says in (finding.says for finding in result.findings.values()):
        assert "nan" not in says


def test_defaults_and_cost(tiny):
    params = Params(prompt="The dog is old. Who is old?")
    costs = provenance.cost(tiny, params)
    assert set(costs) == {part.name for part in PARTS} - {"samples", "features", "training"}
    assert all(math.isfinite(cost.forward) and cost.forward > 0 for cost in costs.values())


def test_where_the_answer_stands_in_a_corpus(tiny, tmp_path, monkeypatch):
    pytest.importorskip("pydivsufsort")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "one.txt").write_text("Once the old dog went home over the hill.\n")
    (texts / "two.txt").write_text("She said: the old dog went home.\n")
    asks = {"prompt": "Who was it? It was", "answer": "the old dog went home", "parts": ["recited"]}
    result = run(tiny, **asks, corpus=str(texts))
    spans = result.tables["spans"]
    assert set(spans["count"]) == {2}
    assert spans["text"].str.contains("the old dog went home").all()
    assert {place.split(",")[0] for place in spans["place"]} == {"one.txt", "two.txt"}
    assert "2 times" in result.findings["corpus"].says
    kept = sorted((tmp_path / "cache").rglob("*"))
    assert len(kept) > 3
    again = run(tiny, **asks, corpus=str(texts))
    assert sorted((tmp_path / "cache").rglob("*")) == kept  # the index is made once
    assert again.tables["spans"].equals(spans)
    with pytest.raises(BadInput):
        run(tiny, **asks, corpus=str(tmp_path / "nothing"))


def test_surprise_is_that_of_the_model(tiny):
    result = run(tiny, prompt="Who was it? It was", answer="the old dog", parts=["recited"])
    table = result.tables["surprise"]
    ids = [*tiny.tokens("Who was it? It was"), *tiny.continuation_tokens(" the old dog")]
    with torch.no_grad():
        logp = tiny.forward(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    plain = [-float(logp[at - 1, ids[at]]) for at in range(len(ids) - len(table), len(ids))]
    assert table["nats"].to_list() == pytest.approx(plain, abs=1e-4)
    assert (table["unigram"] > 0).all()


@pytest.mark.parametrize(
    ("greedy", "run_"),
    [([1, 1, 0, 1, 1, 1], (3, 3)), ([0, 0], (0, 0)), ([1], (0, 1)), ([1, 0, 1], (0, 1))],
)
def test_the_longest_run(greedy, run_):
    assert recited.longest_run(np.array(greedy, bool)) == run_


def test_the_question_alone_is_traced(planted):
    prompt = CONFLICT.format(SUBJECTS[0], ANSWERS[0])
    result = run(planted, prompt=prompt, parts=["trace"], length=1, subject=SUBJECTS[0])
    trace = result.arrays["trace"]
    subject_at = [n for n, word in enumerate(result.tables["trace_tokens"]["token"])
                  if SUBJECTS[0] in word]  # fmt: skip
    # The memory head of the last layer looks at the subject itself, so its state brings all back.
    back = float(trace.sel(layer=1, pos=subject_at[-1]))
    assert back > 20
    assert np.isnan(trace.values[:, : subject_at[0]]).all()  # nothing before it is disturbed
    assert 100 * result.findings["trace"].value == pytest.approx(back, rel=0.01)


def test_every_view_is_drawn(tiny, tmp_path, monkeypatch):
    pytest.importorskip("pydivsufsort")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    # No autoencoder and no steps of a training are at hand.
    every = [part.name for part in PARTS if part.name not in {"features", "training"}]
    prompt = "The dog is old. The cat is new. Where is Ann? Ann is"
    texts = tmp_path / "texts.jsonl"
    said = tiny.generate("The dog", max_new_tokens=12)
    texts.write_text("\n".join(json.dumps({"text": f"{n} {said} {n}"}) for n in range(5)))
    result = run(tiny, prompt=prompt, length=2, draws=3, parts=every, corpus=str(texts), samples=4,
                 sampled=8, least=2)  # fmt: skip
    coverage = result.tables["coverage"]
    assert len(coverage) == 3
    assert coverage["share"].between(0, 1).all()
    result.save(tmp_path / "run")
    drawn = bound(provenance.VIEWS, Result.open(tmp_path / "run"), provenance.SCHEMA)
    assert list(drawn) == [view.title for view in provenance.VIEWS]
    for title in ("Features", "Training"):
        drawn.pop(title)
    for title, view in drawn.items():
        still = " ".join(map(str, view.still()))
        assert "was not measured" not in still, title
        assert "cannot be drawn" not in still, title


def test_heads_that_another_run_found_are_switched_off_too(planted, tmp_path, monkeypatch):
    from workbench import runs

    before = Result("knowledge-conflict")
    before.provenance.model = {"weight_hash": planted.card.weight_hash, "name": "planted"}
    monkeypatch.setattr(runs, "open_run", lambda ref: before)
    with pytest.raises(BadInput, match="names no heads"):
        run(planted, prompt=CLOSED.format("Land0"), parts=["heads"], run="conflict")
    before.tables["selected_heads"] = pd.DataFrame(
        [("memory", 1, 2), ("context", 1, 1)], columns=["group", "layer", "head"]
    )
    prompt = CONFLICT.format(SUBJECTS[0], ANSWERS[5])
    result = run(planted, prompt=prompt, parts=["heads"], run="conflict", length=1)
    table = result.tables["groups"].set_index("group")["logp"]
    assert table["memory heads of conflict"] < table["none"] - 1
    assert table["context heads of conflict"] > table["none"] - 0.1
    assert any("memory heads of conflict" in f.says for f in result.findings.values())
    before.provenance.model = {"weight_hash": "other", "name": "other"}
    with pytest.raises(BadInput, match="other weights"):
        run(planted, prompt=prompt, parts=["heads"], run="conflict")


def test_a_long_prompt_is_searched_in_two_steps(planted, monkeypatch):
    for module in ("sentences", "costs"):
        monkeypatch.setattr(f"analyses.prompt.provenance.{module}.LONG", 60)
    filler = "The capital of Land9 is City9 . "
    said = f"The capital of {SUBJECTS[1]} is {ANSWERS[6]} . "
    prompt = filler * 9 + said + filler * 9 + f"Question : Answer : The capital of {SUBJECTS[1]} is"
    result = run(planted, prompt=prompt.replace(" . ", ". "), length=1, draws=2,
                 answer=ANSWERS[6], parts=["sentences", "tokens"])  # fmt: skip
    table, tokens = result.tables["sentences"], result.tables["tokens"]
    assert len(table) == 19
    assert table["cost"].isna().any()  # blocks that cost little are not looked into
    assert table["cost"].idxmax() == 9
    hidden = tokens.dropna(subset=["cost"])
    assert len(hidden) < len(tokens) / 2
    row = table.loc[9]
    assert set(range(int(row["start"]), int(row["stop"]))) <= set(hidden["pos"])
    assert ANSWERS[6] in hidden.loc[hidden["cost"].idxmax(), "token"]


def test_samples_too_short_for_a_span_are_said_to_be(tiny, tmp_path, monkeypatch):
    pytest.importorskip("pydivsufsort")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "one.txt").write_text(
        "Once the old dog went home over the hill, and then some.\n" * 3
    )
    result = run(tiny, prompt="Who was it? It was", parts=["samples"], samples=2, sampled=8,
                 least=400, corpus=str(tmp_path / "one.txt"))  # fmt: skip
    assert "No sample has 400 tokens" in result.findings["coverage"].says
