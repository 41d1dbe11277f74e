"""A finished run's prompt asked again, beside plain passes over the prompts that are meant."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from analyses.prompt import provenance
from analyses.prompt.provenance import active_features, live_prompt
from analyses.prompt.provenance.end_reading import EndReading
from analyses.prompt.provenance.params import Params
from analyses.prompt.provenance.prompt_parts import take_apart
from hooks.hidden_keys import hidden_keys
from tests.helpers import families
from tests.helpers.planted import ANSWERS, SUBJECTS, planted_module, planted_tokenizer
from tests.helpers.tiny import tiny_llama, tiny_tokenizer
from workbench.errors import BadInput, WorkbenchError
from workbench.result import Result
from workbench.views import bound

CONFLICT = f"The capital of {SUBJECTS[1]} is {ANSWERS[6]} . Question : Answer : The capital of"
CONFLICT += f" {SUBJECTS[1]} is"
STORY = "The dog went home. Then it was late. Where is the cat? The cat is"


def asked_of(model, params):
    return wb.run("provenance", model, params.model_dump(exclude_unset=True))


@pytest.fixture(scope="module")
def planted():
    return wb.load((planted_module(), planted_tokenizer()))


@pytest.fixture(scope="module")
def tiny():
    return wb.load((tiny_llama(), tiny_tokenizer()))


@pytest.fixture(scope="module")
def copied(planted):
    params = Params(prompt=CONFLICT, length=1, parts=["split", "sentences", "heads"])
    return asked_of(planted, params)


def test_what_was_copied_is_remembered_without_its_sentence_or_head(planted, copied):
    test = live_prompt.test_of(planted, copied)
    assert test.answer == ANSWERS[6]
    names = {piece.label.split(":")[0].split(",")[0]: piece.name for piece in test.pieces}
    assert test.ask().says.startswith(ANSWERS[6])
    assert test.ask(["sentence 0"]).says.startswith(ANSWERS[1])
    assert test.ask([names["Heads that look at the context"]]).says.startswith(ANSWERS[1])
    assert test.ask(further="L1H1").says.startswith(ANSWERS[1])
    other = f"The capital of {SUBJECTS[1]} is {ANSWERS[9]} ."
    assert test.ask(instead=other, of="sentence 0").says.startswith(ANSWERS[9])
    assert test.ask().says.startswith(ANSWERS[6])  # nothing of it stays


def plain(model, ids, answer, hidden=None):
    """Log-probability of an answer by one pass over everything."""
    whole = torch.tensor([[*ids, *answer[:-1]]])
    with torch.no_grad():
        if hidden is None:
            logits = model.forward(input_ids=whole).logits[0]
        else:
            mask = torch.zeros(1, whole.shape[1], whole.shape[1], dtype=torch.bool)
            for start, stop in hidden:
                mask[:, stop:, start:stop] = True
            with hidden_keys(model, mask):
                logits = model.forward(input_ids=whole).logits[0]
    rows = logits[len(ids) - 1 :].log_softmax(-1)
    return float(rows[range(len(answer)), answer].sum())


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "mamba2"])
def test_it_reads_as_a_plain_pass_would(family):
    model = wb.load((families.module(family), tiny_tokenizer()))
    params = Params(prompt=STORY, answer=" on the mat", subject="cat", parts=["split"])
    run = asked_of(model, params)
    test, asked = live_prompt.test_of(model, run), take_apart(model, STORY)
    answer = list(model.continuation_tokens(" on the mat"))
    assert test.ask().logp == pytest.approx(plain(model, asked.ids, answer), abs=1e-3)
    first = asked.sentences[0]
    short = [*asked.ids[: first.start], *asked.ids[first.stop :]]
    assert test.ask(["sentence 0"]).logp == pytest.approx(plain(model, short, answer), abs=1e-3)
    if family != "mamba2":
        (name,) = [piece.name for piece in test.pieces if not piece.text]
        spans = asked.in_question(asked.mentions("cat"))
        assert test.ask([name]).logp == pytest.approx(
            plain(model, asked.ids, answer, spans), abs=1e-3
        )


def test_several_changes_at_once_are_all_made(tiny):
    run = asked_of(tiny, Params(prompt=STORY, answer=" on", subject="cat", parts=["split"]))
    test, answer = live_prompt.test_of(tiny, run), list(tiny.continuation_tokens(" on"))
    both = test.ask(["sentence 0"], further="L0H1", instead="It was dark.", of="sentence 1")
    asked = take_apart(tiny, STORY)
    first, second = asked.sentences[:2]
    ids = [
        *asked.ids[: first.start],
        *asked.ids[first.stop : second.start],
        *tiny.continuation_tokens(" It was dark."),
        *asked.ids[second.stop :],
    ]
    with wb.ablate(tiny, [(0, 1)], positions=[-1]):
        expected = plain(tiny, ids, answer)
    assert both.logp == pytest.approx(expected, abs=1e-3)
    assert len(both.likely) == 5


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"off": ["sentence 9"]}, "no piece"),
        ({"further": "L9H0"}, "no head"),
        ({"further": "nonsense"}, "neither a head nor a feature"),
        ({"instead": "words", "of": "sentence 9"}, "no piece"),
    ],
)
def test_what_is_not_there_is_said(planted, copied, how, match):
    with pytest.raises(WorkbenchError, match=match):
        live_prompt.test_of(planted, copied).ask(**how)


def test_a_run_of_another_model_is_refused(tiny, copied):
    with pytest.raises(BadInput, match="made with"):
        live_prompt.test_of(tiny, copied)


def test_features_are_taken_out_at_the_end(organism, tmp_path):
    model = organism
    params = Params(prompt="In the beginning God created the heaven and the", parts=["features"])
    run = asked_of(model, params)
    assert not list(provenance.SCHEMA.problems(run))
    table = run.tables["features"].dropna(subset=["effect"])
    assert set(table["why"]) == {"guessed", "drawn"}
    row = table.iloc[0]
    test = live_prompt.test_of(model, run)
    features = wb.open_features(row["autoencoder"], model)
    asked = take_apart(model, params.prompt)
    with features.ablate([int(row["feature"])], positions=[-1]):
        expected = plain(model, asked.ids, test.answer_ids[:1])
    clean = plain(model, asked.ids, test.answer_ids[:1])
    if len(test.answer_ids) == 1:
        assert row["effect"] == pytest.approx(expected - clean, abs=1e-3)
    again = test.ask(further=f"{row['autoencoder']}:{row['feature']}")
    assert again.logp - test.ask().logp == pytest.approx(row["effect"], abs=1e-3)
    run.save(tmp_path / "run")
    drawn = bound(provenance.VIEWS, Result.open(tmp_path / "run"), provenance.SCHEMA)
    assert "was not measured" not in " ".join(map(str, drawn["Features"].still()))


def test_models_without_autoencoders_say_so(planted):
    assert active_features.autoencoders_of(planted) == []
    (part,) = [part for part in provenance.PARTS if part.name == "features"]
    assert "no autoencoder" in part.unavailable_reason(planted)


def test_a_prompt_of_one_token_is_read_whole(tiny):
    run = asked_of(tiny, Params(prompt="The", answer=" dog", parts=["split", "heads"], draws=2))
    ids, answer = list(tiny.tokens("The")), list(tiny.continuation_tokens(" dog"))
    run_ids = ids[-1:] if len(ids) == 1 else ids
    none = run.tables["groups"].set_index("group").loc["none", "logp"]
    assert none == pytest.approx(plain(tiny, run_ids, answer), abs=1e-3)
    reading = EndReading.of(tiny, ids[:1])
    off = reading.logp_without(answer, [[], [(0, 0), (1, 2)]])
    with wb.ablate(tiny, [(0, 0), (1, 2)]):
        assert off[1] == pytest.approx(plain(tiny, ids[:1], answer), abs=1e-3)
    assert off[0] == pytest.approx(plain(tiny, ids[:1], answer), abs=1e-3)
