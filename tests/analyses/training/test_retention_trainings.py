"""The parts of retention that train a small model many times, on designs of seconds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.measures import exposure_trainings
from analyses.training import retention
from analyses.training.retention import (
    access_remedies,
    dose_timing,
    experiment,
    lab_claims,
    repeated_data,
    training_choices,
    triples,
)
from analyses.training.retention.access_remedies import PERMUTED, PLAIN, AccessDesign
from analyses.training.retention.costs import cost
from analyses.training.retention.dose_timing import DoseDesign
from analyses.training.retention.params import Params
from analyses.training.retention.repeated_data import RepeatDesign, SmallSize
from analyses.training.retention.training_choices import ChoiceDesign
from analyses.training.retention.triples import FIT, JOINED, REVERSED, TripleDesign
from workbench.errors import BadInput, Cancelled, Unfit
from workbench.organisms import corpus
from workbench.progress import Progress, Update
from workbench.result import Result

DOSE = DoseDesign(
    updates=(24, 48), doses=(1, 6), items=2, never=8, length=8,
    windows=((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)), row=8, rows=1,
    rate=1e-2, warmup=2, recalled=4,
)  # fmt: skip
ACCESS = AccessDesign(passages=3, key=2, pieces=3, piece=4, cue=1, readings=12, batch=3, row=8,
                      rate=1e-2)  # fmt: skip
TRIPLES = TripleDesign(subjects=6, objects=3, readings=(1, 4), batch=8, row=8, rate=1e-2, tuning=2)
CHOICES = ChoiceDesign(batches=(2, 8), rates=(3e-3, 1e-2), duplicates=(1, 6), items=3, never=6,
                       length=8, row=8, later=16, recalled=4)  # fmt: skip
REPEATS = RepeatDesign(sizes=(SmallSize(16, 1),), ladder=(SmallSize(8, 1, 2),), repeats=(1, 4, 12),
                       updates=12, batch=2, row=16, held=4)  # fmt: skip
pytestmark = pytest.mark.usefixtures("kept")


@pytest.fixture(scope="module")
def found(model: Any, kept: Any) -> Result:
    before = [p.detach().clone() for p in model.module.parameters()]
    designs = {
        "dose-timing": (dose_timing.add_dose_timing, DOSE),
        "access-remedies": (access_remedies.add_access_remedies, ACCESS),
        "triples": (triples.add_triples, TRIPLES),
        "training-choices": (training_choices.add_choices, CHOICES),
        "repeated-data": (repeated_data.add_repeated, REPEATS),
    }

    def small(add: Any, design: Any) -> Any:
        return lambda *given: add(*given, design)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            experiment, "_TRAININGS", {part: small(*pair) for part, pair in designs.items()}
        )
        params = Params.model_validate({"parts": list(designs), "seeds": 2})
        result = retention.run(model, params, Progress())
    for p, b in zip(model.module.parameters(), before, strict=True):
        assert torch.equal(p, b)
    return result


def test_tables_are_what_the_schema_says_and_pages_are_drawn(found: Result, tmp_path: Path) -> None:
    assert not list(retention.SCHEMA.problems(found))
    opened = Result.open(found.save(tmp_path / "run"))
    drawn = [view.title for view in retention.VIEWS if not view.missing(opened)]
    assert {"Dose and time", "Remedies", "Knowledge base", "Batch and rate", "Repeated data"} < {
        *drawn
    }
    for view in retention.VIEWS:
        if view.title in drawn:
            assert view.still(opened, retention.SCHEMA)


def test_what_is_read_often_and_late_is_likelier(found: Result) -> None:
    mean = found.tables["dose_timing"].groupby("readings")["gain"].mean()
    assert mean[6] > mean[1] + 0.3
    assert mean[1] > 0
    effects = found.tables["dose_effects"].set_index(["effect", "measure"])
    assert effects.loc[("read most often less once", "gain"), "low"] > 0
    assert "likelier" in found.findings["answer"].says


def test_readings_lie_in_their_windows() -> None:
    plan = dose_timing.read_at(DOSE, 24, random.Random(0))
    assert len(plan) == DOSE.texts
    first, last = plan[:4], plan[-4:]
    assert all(max(at) < 6 for at in first)
    assert all(min(at) >= 18 for at in last)
    assert [len(at) for at in first] == [1] * 2 + [6] * 2
    assert all(len(set(at)) == len(at) for at in plan)
    # More readings than updates: none is left out.
    more = dose_timing.read_at(DOSE, 8, random.Random(0))
    assert sum(map(len, more)) == DOSE.readings


def test_gain_is_the_fall_beyond_that_of_texts_never_read() -> None:
    n = DOSE.texts + DOSE.never
    fell = np.arange(n, dtype=float)
    plan = [[3]] * DOSE.texts
    rows = dose_timing._rows(DOSE, {"gain": fell, "match": np.zeros(n)}, plan, 0, 24)
    never = fell[DOSE.texts :].mean()
    assert rows["gain"].tolist() == [n - never for n in range(DOSE.texts)]
    assert set(rows["since"]) == {21}


def test_permuted_copies_hold_the_same_pieces_behind_the_same_key(model: Any) -> None:
    passages = access_remedies.keyed_passages(model, ACCESS, 0)
    assert len({p.key for p in passages}) == 2 * ACCESS.passages
    front = len(model.text.beginning)
    read = {}
    for order in (PLAIN, PERMUTED):
        stage = access_remedies._stage(model, ACCESS, passages, order, 0)
        rows = [tuple(row[front:]) for step in stage.steps for row in step[:-1]]
        read[order] = rows
        assert len(rows) == ACCESS.passages * ACCESS.readings
        for passage in passages[: ACCESS.passages]:
            own = [row for row in rows if row[: ACCESS.key] == passage.key]
            assert len(own) == ACCESS.readings
            for row in own:
                cut = [
                    row[at : at + ACCESS.piece] for at in range(ACCESS.key, len(row), ACCESS.piece)
                ]
                assert sorted(cut) == sorted(passage.pieces)
    assert len(set(read[PLAIN])) == ACCESS.passages
    assert len(set(read[PERMUTED])) > ACCESS.passages


def test_a_knowledge_base_says_what_its_questions_ask(model: Any) -> None:
    base = triples.knowledge_base(model, TRIPLES, 0)
    each = TRIPLES.subjects // len(TRIPLES.readings)
    assert base.readings == [1] * each + [4] * each + [0] * each
    names = [*base.subjects, *(name for of in base.objects.values() for name in of)]
    assert len(set(names)) == len(names)
    assert len({len(model.text.encode(f" {name}")) for name in names}) == 1
    draw = random.Random(0)
    for subject in range(len(base.subjects)):
        friend = base.friends[subject]
        assert friend != subject
        assert base.readings[friend] == base.readings[subject]
        for relation in triples.RELATIONS:
            told = base.text(subject, relation)
            prompt, options, right = triples._question(TRIPLES, base, FIT, subject, relation, draw)
            assert told == f"{prompt} {options[right]}."
            _, options, right = triples._question(TRIPLES, base, JOINED, subject, relation, draw)
            assert f" {options[right]}." in base.text(friend, relation)
            prompt, options, right = triples._question(
                TRIPLES, base, REVERSED, subject, relation, draw
            )
            assert options[right] == base.subjects[subject]
            assert base.object_of(subject, relation) in prompt
            for other in options:
                if other != base.subjects[subject]:
                    number = base.subjects.index(other)
                    assert base.facts[number, relation] != base.facts[subject, relation]


def test_who_names_what_was_read_most_often_by_hand() -> None:
    base = triples.KnowledgeBase(
        ["Ann", "Ben", "Cid", "Dan"], [4, 4, 1, 0], {"lives in": ["Oslo", "Rome", "Bern"]},
        {(0, "lives in"): 0, (1, "lives in"): 1, (2, "lives in"): 1, (3, "lives in"): 2}, {},
    )  # fmt: skip
    objects = ["Oslo", "Rome", "Bern"]  # read 4, 5 and 0 times

    def share(subject: int, candidates: list[str], right: int) -> float:
        question = triples.TripleQuestion(subject, "lives in", "", candidates, right)
        return triples.most_read_right(base, question)

    assert [share(n, objects, n) for n in range(3)] == [0.0, 1.0, 0.0]
    # The other way the candidates are subjects; of two that are read as often one by lot.
    assert share(0, ["Ann", "Ben", "Cid"], 0) == 0.5
    assert share(2, ["Cid", "Dan"], 0) == 1.0
    assert share(3, ["Cid", "Dan"], 1) == 0.0


def test_the_table_of_triples_holds_both_baselines(found: Result) -> None:
    table = found.tables["triples"].set_index(["test", "readings"])
    assert (table["chance"] > 1 / TRIPLES.objects - 1e-9).all()
    own = table.xs(REVERSED)["most_read"]
    assert own[4] > own[1] > own[0]
    assert own[4] > table.xs(REVERSED)["chance"][4]
    assert "Always naming what was read most often" in found.findings["triples"].says


def test_tuning_goes_on_from_what_was_learned(model: Any) -> None:
    base = triples.knowledge_base(model, TRIPLES, 0)
    found = triples._asked(model, TRIPLES, base, 0, Progress())
    stages = triples._stages(model, TRIPLES, base, 0)
    with exposure_trainings.trained(model, stages, 0, Progress()):  # both in one training
        questions = triples._questions(TRIPLES, base, triples.TUNED, 0)
        assert triples._test(model, questions).tolist() == found[triples.TUNED].tolist()
    assert {q.subject % 2 for q in questions} == {1}


def test_every_choice_reads_the_same_rows(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: dict[int, list[tuple[int, ...]]] = {}
    batch = [0]

    def note(module: Any, stages: Any, **more: Any) -> None:
        read[batch[0]] = [tuple(row) for stage in stages for step in stage.steps for row in step]
        assert max(len(step) for stage in stages for step in stage.steps) == batch[0]

    monkeypatch.setattr(training_choices, "run_stages", note)
    texts = exposure_trainings.prose_pieces(model, CHOICES.texts + CHOICES.never, 8, 0)
    for size in CHOICES.batches:
        batch[0] = size
        training_choices._trained(model, CHOICES, texts, size, 1e-3, 0, Progress())
    one, other = read.values()
    assert one == other
    assert len(one) == CHOICES.rows + CHOICES.later


def test_clean_rows_are_read_once() -> None:
    pieces = [[n % 5] for n in range(100)]
    assert repeated_data.different_rows(iter(pieces), 5) == [(n,) for n in range(5)]
    with pytest.raises(BadInput, match="no 6 different rows"):
        repeated_data.different_rows(iter(pieces), 6)
    whole = repeated_data.DESIGN
    documents = sum(1 for _ in corpus.documents("train"))
    assert whole.updates * whole.batch < documents
    assert all(whole.updates % repeats == 0 for repeats in whole.repeats)


def test_one_seed_says_nothing_of_double_descent() -> None:
    table = pd.DataFrame({
        "seed": 0, "width": [8, 16, 16, 16], "repeats": [1, 1, 4, 12],
        "loss": [5.0, 4.0, 4.6, 4.1], "copying": 0.0, "effective": 1.0, "weights": 1.0,
    })  # fmt: skip
    result = Result("retention")
    for losses, verdict in (([], "cannot be told"), ([7.0, 4.1, 4.7, 4.1], "replicates")):
        other = [table.assign(seed=1, loss=losses)] if losses else []
        result.tables["repeated_data"] = pd.concat([table, *other])
        assert lab_claims._descent(result).verdict == verdict
        repeated_data._say(result, REPEATS)
        says = result.findings["repeated_data"].says
        assert ("there was one seed" in says) == (not losses)
        assert ("differ by up to 0.100" in says) == bool(losses)  # not the ladder's, the largest


def test_a_text_in_both_trainings_counts_once() -> None:
    """Gains that hang on the text alone: the second training adds no certainty."""
    n = DOSE.texts
    gain = np.random.default_rng(0).normal(size=n)
    plan = [[3]] * n
    match = np.zeros(n + DOSE.never)
    numbers = {"gain": np.append(gain, np.zeros(DOSE.never)), "match": match}
    once = dose_timing._rows(DOSE, numbers, plan, 0, 24)
    twice = pd.concat([once, dose_timing._rows(DOSE, numbers, plan, 0, 48)], ignore_index=True)
    late = [dose_timing._effects(table, DOSE)[0] for table in (once, twice)]
    assert late[1]["difference"] == pytest.approx(late[0]["difference"])
    assert late[1]["low"] == pytest.approx(late[0]["low"])


def test_the_claim_of_the_other_way_by_its_baselines() -> None:
    result = Result("retention")
    row = {"test": REVERSED, "readings": 32, "chance": 0.125, "most_read": 0.4}
    for right, low, high, verdict in (
        (0.10, 0.05, 0.20, "replicates"), (0.27, 0.14, 0.40, "cannot be told"),
        (0.48, 0.41, 0.55, "in part"), (0.80, 0.70, 0.90, "does not replicate"),
    ):  # fmt: skip
        result.tables["triples"] = pd.DataFrame([{**row, "right": right, "low": low, "high": high}])
        assert lab_claims._reversal(result).verdict == verdict


def test_the_first_quarter_is_judged_by_its_interval() -> None:
    result = Result("retention")
    for n, recalled, verdict in ((6, 0.0, "in part"), (40, 0.0, "replicates"),
                                 (40, 0.6, "does not replicate")):  # fmt: skip
        result.tables["dose_timing"] = pd.DataFrame([
            {"updates": updates, "window": "0 to 25 %", "readings": readings, "n": n,
             "recalled": recalled, "never_read": 0.0}
            for updates in (24, 48) for readings in (1, 2, 4, 8)
        ])  # fmt: skip
        assert lab_claims._first_quarter(result).verdict == verdict


def test_batches_are_judged_by_intervals_of_texts() -> None:
    result = Result("retention")
    for half, verdict in ((0.1, "replicates"), (3.0, "cannot be told")):
        result.tables["training_choices"] = pd.DataFrame([
            {"batch": batch, "rate": rate, "readings": 6, "gain": gain, "low": gain - half,
             "high": gain + half, "later": gain * left, "later_low": gain * left - half,
             "later_high": gain * left + half, "left": left}
            for batch, gain, left in ((1, 6.0, 0.7), (16, 4.0, 1.0)) for rate in (1e-3, 3e-3)
        ])  # fmt: skip
        assert lab_claims._small_batches(result).verdict == verdict


def test_more_repeats_are_fewer_pieces_of_as_many_rows() -> None:
    pieces = [(n,) for n in range(12)]
    for repeats, different in {1: 12, 4: 3, 12: 1, 100: 1}.items():
        rows = repeated_data.repeated_rows(pieces, 12, repeats, random.Random(0))
        assert len(rows) == 12
        assert len(set(rows)) == different


def test_the_induction_score_by_a_plain_loop() -> None:
    module = repeated_data.small_model(SmallSize(16, 2), 50, 40, 0)
    n, draw = 6, torch.Generator().manual_seed(0)
    once = torch.randint(0, 50, (16, n), generator=draw)
    with torch.no_grad():
        attention = module(torch.cat([once, once], 1), output_attentions=True).attentions
    scores = [
        np.mean([
            float(layer[text, head, at, at - n + 1]) for text in range(16) for at in range(n, 2 * n)
        ])
        for layer in attention
        for head in range(layer.shape[1])
    ]  # fmt: skip
    assert repeated_data.induction_score(module, 50, n, 0) == pytest.approx(max(scores), abs=1e-5)


def test_an_effective_size_is_read_off_the_clean_line() -> None:
    table = pd.DataFrame({
        "weights": [100.0, 400.0, 400.0, 400.0], "repeats": [1, 1, 8, 16],
        "loss": [5.0, 4.0, 4.5, 9.0],
    })  # fmt: skip
    effective = repeated_data._effective(table)["effective"]
    assert effective.tolist() == pytest.approx([1.0, 1.0, 0.5, 0.25])


def test_a_run_that_was_stopped_goes_on_behind_what_is_done(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    train = dose_timing.trained

    def counted(*given: Any) -> Any:
        begun.append(given[2])
        return train(*given)

    def stop(update: Update) -> None:
        if update.fraction > 0.6:
            progress.cancel()

    monkeypatch.setattr(dose_timing, "trained", counted)
    progress, result = Progress(stop), Result("retention")
    with pytest.raises(Cancelled):
        dose_timing.add_dose_timing(result, model, 1, 77, progress, DOSE)
    assert len(begun) == 2
    kept_now = dose_timing.add_dose_timing(result, model, 1, 77, Progress(), DOSE)
    assert len(begun) == 3  # the first training is kept, the second is done anew
    kept_now.clear()
    whole = Result("retention")
    dose_timing.add_dose_timing(whole, model, 1, 77, Progress(), DOSE)
    assert len(begun) == 5
    pd.testing.assert_frame_equal(
        result.tables["dose_timing"], whole.tables["dose_timing"], check_exact=True
    )


def test_every_claim_of_these_parts_is_judged(found: Result) -> None:
    claims = found.tables["claims"].set_index("claim")
    for claim in lab_claims.CLAIMS:
        assert claims.loc[claim.text, "measured"] != "not measured"


def test_large_models_and_vocabularies_are_refused(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = cost(model, Params())
    parts = {part.name: part for part in retention.PARTS}
    assert {"dose-timing", "triples", "repeated-data"} <= set(costs)
    monkeypatch.setattr(exposure_trainings, "MOST_WEIGHTS", 10)
    monkeypatch.setattr(repeated_data, "MOST_TOKENS", 10)
    for part in ("dose-timing", "access-remedies", "triples", "training-choices"):
        assert "dozens of times" in str(parts[part].unavailable_reason(model))
    assert "384 tokens" in str(parts["repeated-data"].unavailable_reason(model))
    assert not {"dose-timing", "repeated-data"} & set(cost(model, Params()))
    with pytest.raises(Unfit):
        triples.add_triples(Result("retention"), model, 1, 0, Progress(), TRIPLES)
    with pytest.raises(Unfit, match="small vocabulary"):
        repeated_data.add_repeated(Result("retention"), model, 1, 0, Progress(), REPEATS)
