"""Models of recall: rows whose truth is known, records that are read back, and a training that
learns.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench import cli
from workbench.errors import BadInput
from workbench.organisms import DATA, shipped
from workbench.organisms.recall import delay, record, task
from workbench.organisms.recall import train as training
from workbench.organisms.recall.families import FAMILIES
from workbench.organisms.recall.rows import make_rows, tokenizer_for
from workbench.organisms.recall.train import Trained
from workbench.progress import Progress
from workbench.state_lm import lstm


@given(
    st.integers(1, 24),
    st.integers(1, 3),
    st.integers(0, 9),
    st.sampled_from([0.01, 1.0]),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=40)
def test_a_row_asks_for_each_pair_once_and_never_says_the_answer(
    pairs: int, passes: int, spare: int, power: float, seed: int
) -> None:
    length = 2 * pairs * (passes + 1) + spare
    made = task.make(
        5, pairs, length, torch.Generator().manual_seed(seed), passes=passes, power=power
    )
    assert made.ids.shape == made.labels.shape == (5, length)
    for row in range(5):
        ids, context = made.ids[row], 2 * pairs * passes
        keys, values = made.keys[row], made.values[row]
        assert len(set(keys.tolist())) == len(set(values.tolist())) == pairs
        assert keys.min() >= task.FIRST_KEY
        assert keys.max() <= task.KEYS < values.min()
        written = torch.stack([keys, values], -1).flatten().repeat(passes)
        assert ids[:context].tolist() == written.tolist()
        assert ids[made.asked[row]].tolist() == keys.tolist()
        assert made.labels[row, made.asked[row]].tolist() == values.tolist()
        assert ids[made.written[row]].tolist() == keys.tolist()
        assert int((made.labels[row] != task.NOT_ASKED).sum()) == pairs
        assert int((ids[context:] != task.FILLER).sum()) == pairs
        assert (made.asked[row] >= context).all()
        assert ((made.asked[row] - context) % 2 == 0).all()


def test_a_small_power_asks_soon_and_one_asks_anywhere() -> None:
    def first_gap(power: float) -> float:
        made = task.make(400, 4, 128, torch.Generator().manual_seed(0), power=power)
        return float((made.asked - 8).float().mean())

    assert first_gap(0.01) < 30
    assert first_gap(1.0) == pytest.approx(
        59, abs=3
    )  # the middle of slots 0 to 59, two tokens each


@given(st.integers(1, 24), st.integers(1, 2), st.integers(0, 24), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_of_a_key_that_is_rebound_the_last_value_counts(
    pairs: int, passes: int, rebound: int, seed: int
) -> None:
    rebound = min(rebound, pairs)
    length = 2 * pairs * (passes + 1) + 2 * rebound
    generator = torch.Generator().manual_seed(seed)
    made = task.make(4, pairs, length, generator, passes=passes, rebound=rebound)
    for row in range(4):
        ids = made.ids[row].tolist()
        context = ids[: length - 2 * pairs]
        last = dict(zip(context[::2], context[1::2], strict=True))
        first = dict(zip(context[: 2 * pairs : 2], context[1 : 2 * pairs : 2], strict=True))
        assert len(first) == pairs
        assert len({*first.values(), *last.values()}) == pairs + rebound
        for pair in range(pairs):
            key, value = int(made.keys[row, pair]), int(made.values[row, pair])
            assert last[key] == value == int(made.labels[row, made.asked[row, pair]])
            assert context.index(value) == int(made.written[row, pair]) + 1 or passes > 1
            assert ids[int(made.written[row, pair])] == key
            before = int(made.replaced[row, pair])
            assert before == (task.NOT_ASKED if first[key] == value else first[key])
        assert int((made.replaced[row] != task.NOT_ASKED).sum()) == rebound


@pytest.mark.parametrize(("pairs", "rebound", "length"), [(4, 5, 99), (4, 2, 19), (100, 40, 999)])
def test_what_cannot_be_rebound_is_refused(pairs: int, rebound: int, length: int) -> None:
    with pytest.raises(BadInput, match="rebound"):
        task.make(1, pairs, length, torch.Generator(), rebound=rebound)


@pytest.mark.parametrize(
    ("pairs", "length", "passes"), [(0, 16, 1), (4, 15, 1), (4, 16, 2), (128, 999, 1)]
)
def test_pairs_that_do_not_fit_are_refused(pairs: int, length: int, passes: int) -> None:
    with pytest.raises(BadInput, match="do not fit"):
        task.make(1, pairs, length, torch.Generator(), passes=passes)


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_a_delayed_question_asks_for_the_one_value_of_its_row(
    wait: int, spare: int, seed: int
) -> None:
    made = delay.make_delayed(6, wait, wait + spare, torch.Generator().manual_seed(seed))
    for row in range(6):
        ids, (start, stop) = made.ids[row], (int(made.written[row]), int(made.asked[row]))
        assert stop - start == wait
        assert ids[start] == made.values[row] == made.labels[row, stop]
        assert ids[stop] == delay.QUESTION
        assert int((ids != delay.FILLER).sum()) == 2
        assert int((made.labels[row] != task.NOT_ASKED).sum()) == 1
    with pytest.raises(BadInput, match="does not fit"):
        delay.make_delayed(1, wait, wait, torch.Generator())


def test_its_tokenizer_reads_words() -> None:
    tokenizer = task.make_tokenizer()
    assert tokenizer("k1 v0 k127 v127 .")["input_ids"] == [1, 128, 127, 255, 0]
    assert tokenizer.decode([1, 128]) == "k1 v0"
    assert len(tokenizer) == task.VOCABULARY


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_learn(name: str) -> None:
    torch.manual_seed(0)
    family = FAMILIES[name]
    model = family.make()
    batch = make_rows(family, 2, 4, 0, torch.Generator().manual_seed(0))
    logits = model(input_ids=batch.ids, use_cache=False).logits
    words = len(tokenizer_for(family))
    assert logits.shape == (*batch.ids.shape, words)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
    assert loss.item() == pytest.approx(math.log(words), abs=1.5)
    loss.backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_the_same_seed_trains_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "measure", lambda model, family, seed: {4: float(seed)})
    family = FAMILIES["attention"]
    first, again, other = (
        training.train(family, 3e-3, seed, Progress(), steps=2).model.state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_record_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = FAMILIES["attention"].make()
    one = record.Training(0, 1e-3, 5, {4: 0.95, 8: 0.5}, {4: 0})
    record.save(Trained(model, one.recall, one.reached), [one], "attention", tmp_path)
    found = record.read(tmp_path)
    assert found == record.Record("attention", 512, True, (one,))
    assert one.has_learned
    assert not replace(one, recall={4: 0.3, 8: 0.2}).has_learned
    assert replace(one, recall={4: 0.3, 8: 0.2}, reached={4: 0, 8: 50}).has_learned
    for damage in ("{", json.dumps({"format": 2}), json.dumps({"format": 1, "trainings": []})):
        (tmp_path / record.FILE).write_text(damage)
        with pytest.raises(BadInput, match="cannot be read"):
            record.read(tmp_path)
    (tmp_path / record.FILE).unlink()
    assert record.read(tmp_path) is None


def ended(command: list[str]) -> Any:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    return end.value.code


def test_the_command_trains_one_and_refuses_a_folder_that_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FAMILIES, "attention", replace(FAMILIES["attention"], steps=2))
    monkeypatch.setattr(training, "measure", lambda model, family, seed: {4: 0.25, 8: 0.125})
    place = tmp_path / "mine"
    command = ["organisms", "train", "recall-attention", "--out", str(place), "--json"]
    for _ in range(2):  # the second time it is there
        assert ended(command) == 0
        told = json.loads(capsys.readouterr().out)
        found = record.read(place)
        assert found is not None
        assert {int(pairs): share for pairs, share in told["recall"].items()} == found.recall
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert ended([*command[:4], str(tmp_path / "other")]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert ended(["organisms", "train", "recall-atention"]) == 2
    assert "recall-attention" in capsys.readouterr().err


FORGETFUL = {
    "window",
    "delta-8",
    "mom-learned",
    "mom-learned-by-key",
    "forgetting-delta",
    "forgetting-additive",
}
"""Those that do not recall nine of ten of 4 pairs in rows of 64 tokens, most of them filler."""
SHIPPED = [name for name in FAMILIES if f"organism/recall-{name}" in shipped()]


def test_every_family_ships() -> None:
    assert set(SHIPPED) == set(FAMILIES)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_recalls_what_its_record_says(name: str) -> None:
    check(name, rows=24, off=0.15)


@pytest.mark.verify
@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_recalls_exactly_what_its_record_says(name: str) -> None:
    check(name, rows=training.ROWS, off=0.005)


def check(name: str, *, rows: int, off: float) -> None:
    organism = shipped()[f"organism/recall-{name}"]
    assert organism.bytes < 1_500_000
    found = record.read(organism.folder)
    assert found is not None
    family = FAMILIES[name]
    assert (found.state_bytes, found.grows, found.active_bytes, found.task) == (
        *(family.state_bytes, family.grows, family.active_bytes, family.task),
    )
    model = wb.load(organism.name)
    again = training.measure(
        model.module, FAMILIES[name], seed=found.trainings[0].seed + 1, rows=rows
    )
    assert again == pytest.approx(found.recall, abs=off)


def test_all_that_ship_are_small_together() -> None:
    assert sum(file.stat().st_size for file in (DATA / "recall").rglob("*.*")) < 8_000_000


def test_what_ships_has_learned() -> None:
    for name in SHIPPED:
        found = record.read(shipped()[f"organism/recall-{name}"].folder)
        assert found is not None
        assert found.trainings[0].has_learned
        assert found.recall[4] > (0.4 if name in FORGETFUL else 0.9), name


def recall_of(name: str, pairs: int) -> float:
    found = record.read(shipped()[f"organism/recall-{name}"].folder)
    assert found is not None
    return found.recall[pairs]


@pytest.mark.parametrize(("family", "pairs"), [("mamba", 32), ("delta", 32), ("delta", 16)])
def test_recall_of_many_pairs_rises_with_the_state(family: str, pairs: int) -> None:
    small, middle, large = (recall_of(f"{family}-{size}", pairs) for size in (8, 16, 32))
    assert small + 0.1 < middle < large - 0.1


def test_a_start_as_linear_attention_is_given_more_pairs_sooner() -> None:
    own, mimetic = (
        record.read(shipped()[f"organism/recall-{name}"].folder)
        for name in ("mamba-16", "mamba-16-mimetic")
    )
    assert own is not None
    assert mimetic is not None
    for pairs in training.SIZES[1:]:
        assert mimetic.trainings[0].reached[pairs] < 0.7 * own.trainings[0].reached[pairs]
    assert mimetic.recall[32] > own.recall[32] + 0.1


def test_with_attention_nothing_is_forgotten_and_with_a_window_most_is() -> None:
    for pairs in training.SIZES:
        assert recall_of("attention", pairs) > 0.95
        assert recall_of("hybrid", pairs) > 0.8
    assert recall_of("window", 32) < 0.2


def answers(model: wb.InstrumentedModel, rows: task.Rows) -> torch.Tensor:
    """The likeliest token where each pair is asked for, (row, pair)."""
    with torch.no_grad():
        logits = model.module(input_ids=rows.ids, use_cache=False).logits
    best: torch.Tensor = logits.argmax(-1).gather(1, rows.asked)
    return best


@pytest.mark.parametrize("pairs", [8, 16])
def test_a_silent_memory_takes_its_keys_with_it_and_no_others(pairs: int) -> None:
    """The truth of the planted router: the keys of a memory are known, and its state alone holds
    them.
    """
    model = wb.load("organism/recall-mom-planted")
    rows = task.make(64, pairs, 64, torch.Generator().manual_seed(1))
    memory_of = rows.keys % 4
    before = answers(model, rows) == rows.values
    for memory in range(4):
        with wb.change_state(model, wb.WipeState(), heads=[memory]):
            after = answers(model, rows) == rows.values
        own = memory_of == memory
        assert before[own].float().mean() > 0.8
        assert after[own].float().mean() <= 0.05
        assert abs(float(after[~own].float().mean() - before[~own].float().mean())) < 0.05
    weights = wb.capture(model, "k5 v1 . k8", sites="router_weights")["router_weights"].values[0, 0]
    assert weights.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_a_learned_router_needs_the_route_of_the_key_that_is_written() -> None:
    assert recall_of("mom-learned-by-key", 32) > recall_of("mom-learned", 32) + 0.2
    model = wb.load("organism/recall-mom-learned-by-key")
    trace = wb.capture(model, "k5 v1 . k8 v9 k5 . k8", sites="router_weights")
    weights = trace["router_weights"].values[0, 0]
    for key, value, question in ((0, 1, 5), (3, 4, 7)):
        assert weights[value] == pytest.approx(weights[key], abs=1e-6)
        assert weights[question] == pytest.approx(weights[key], abs=1e-6)


def test_what_erases_answers_with_the_last_value_and_what_adds_up_less_often() -> None:
    rows = task.make(64, 16, 80, torch.Generator().manual_seed(1), rebound=8)
    rebound = rows.replaced != task.NOT_ASKED
    live, stale = {}, {}
    for rule in ("delta", "additive"):
        got = answers(wb.load(f"organism/recall-forgetting-{rule}"), rows)
        live[rule] = float((got == rows.values)[rebound].float().mean())
        stale[rule] = float((got == rows.replaced)[rebound].float().mean())
    assert live["delta"] > live["additive"] + 0.2
    assert stale["delta"] < 0.02 < stale["additive"]


def test_the_gates_of_the_lstm_open_at_the_value_and_hold_it() -> None:
    model = wb.load("organism/recall-delay-lstm")
    rows = delay.make_delayed(64, 24, 40, torch.Generator().manual_seed(1))
    gates: list[torch.Tensor] = []
    handle = model.module.model.layers[0].mixer.gates.register_forward_hook(
        lambda module, args, output: gates.append(output)
    )
    answers_of_delay(model, rows)
    handle.remove()
    (each,) = gates  # (row, pos, gate, number)
    change = each[:, :, lstm.INPUT] * each[:, :, lstm.CANDIDATE].abs()
    at_value = change[torch.arange(64), rows.written].mean()
    waiting = torch.stack([change[r, w + 2 : w + 24].mean() for r, w in enumerate(rows.written)])
    assert at_value > 2 * waiting.mean()


def answers_of_delay(model: wb.InstrumentedModel, rows: delay.DelayedRows) -> torch.Tensor:
    """Whether the likeliest token at the question is the value, (row)."""
    with torch.no_grad():
        logits = model.module(input_ids=rows.ids, use_cache=False).logits
    right: torch.Tensor = logits[torch.arange(len(logits)), rows.asked].argmax(-1) == rows.values
    return right


@pytest.mark.parametrize("name", ["lstm", "s4d"])
def test_what_is_recalled_after_a_delay_was_in_the_value_alone(name: str) -> None:
    model = wb.load(f"organism/recall-delay-{name}")
    rows = delay.make_delayed(64, 16, 24, torch.Generator().manual_seed(1))
    assert answers_of_delay(model, rows).float().mean() > 0.9
    without = rows.ids.clone()
    without[torch.arange(64), rows.written] = delay.FILLER
    assert answers_of_delay(model, replace(rows, ids=without)).float().mean() < 0.3
