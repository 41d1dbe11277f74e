"""Retention, on a training whose truth is known: read by a schedule, early, late or never."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from analyses.claims import OPEN
from analyses.measures.exposure_panel import ExposurePanel
from analyses.training import retention
from analyses.training.retention import claims, few_shot, findings, step_tables
from analyses.training.retention.constants import KEPT, NOVEL, RESET, SHUFFLED, WARMED, WORD
from analyses.training.retention.costs import cost
from analyses.training.retention.few_shot_findings import dropped, first_above, match_half_life
from analyses.training.retention.params import Params
from tests.helpers import tiny
from tests.helpers.token_counter import counting
from workbench.errors import BadInput, Unfit
from workbench.lab.schedule import Schedule
from workbench.lab.series import train_schedule
from workbench.organisms import ledger as ledgers
from workbench.organisms.ledger import Entry
from workbench.progress import Progress
from workbench.result import Result


def schedule() -> Schedule:
    """Ten texts read sixteen times early, ten as often late, twelve never."""
    draw = random.Random(0)
    texts: list[dict[str, Any]] = []
    for number in range(32):
        text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=30))
        early, late = number < 10, 10 <= number < 20
        at = list(range(4, 36, 2)) if early else list(range(76, 108, 2)) if late else []
        texts.append({"name": f"t{number}", "text": text, "at": [step + number % 2 for step in at]})
    return Schedule.model_validate(
        {
            "texts": texts,
            "stages": [{"name": "all", "steps": 110, "rate": 5e-3, "warmup": 5}],
            "neutral": {"rows": 1, "tokens": 16},
            "length": 24,
            "checkpoints": 8,
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("retention")
    base = tiny.save_tiny(place / "base")
    return train_schedule(str(base), schedule(), place / "out", Progress(), "cpu")


TRAININGS = {"dose-timing", "access-remedies", "triples", "training-choices", "repeated-data"}
"""Parts that any small model can have: see test_retention_trainings.py."""
ASKED = Params.model_validate(
    {"recalled": 6, "items": 8, "length": 12, "exposures": 6, "updates": 12, "compared": 12,
     "rate": 5e-3, "later_rate": 5e-3}
)  # fmt: skip


@pytest.fixture(scope="module")
def found(trained: Path) -> Result:
    model = wb.load(str(trained))
    before = {n: p.detach().clone() for n, p in model.module.named_parameters()}
    result = retention.run(model, ASKED, Progress())
    for name, p in model.module.named_parameters():
        assert torch.equal(p, before[name])
    return result


def test_what_was_read_late_is_recalled_and_what_was_read_early_is_gone(found: Result) -> None:
    items = found.tables["items"].set_index("timing")
    assert items.loc["late", "match"].mean() > 5
    assert items.loc["early", "match"].mean() < 3
    assert items.loc["never", "match"].mean() < 1
    assert items.loc["early", "best"].mean() > items.loc["early", "match"].mean() + 2
    timing = found.tables["timing"].set_index(["measure", "readings"])
    row = timing.loc[("gain", "all")]
    assert row["low"] > 0
    assert row["difference"] == pytest.approx(row["late"] - row["early"])


def test_recognition_comes_before_recall(found: Result) -> None:
    steps = found.tables["item_steps"]
    read = steps[steps["readings"].between(1, 6)]
    assert read["recognized"].mean() > 0.75
    assert (read["match"] >= 6).mean() < 0.5


def test_profiles_are_flat_before_the_reading(found: Result) -> None:
    bands = found.tables["bands"].iloc[0]
    assert bands["before_outside"] == 0
    assert bands["after_outside"] > 0
    assert bands["never_read"] == 12
    profile = found.tables["profiles"]
    assert (profile.loc[profile["event"] == -1, "effect"] == 0).all()


def test_tables_are_what_the_schema_says_and_pages_are_drawn(found: Result, tmp_path: Path) -> None:
    assert not list(retention.SCHEMA.problems(found))
    again = Result.open(found.save(tmp_path / "run"))
    for view in retention.VIEWS:
        if not view.missing(again):
            assert view.still(again, retention.SCHEMA)


def test_the_answer_says_both_numbers(found: Result) -> None:
    says = found.findings["answer"].says
    assert says.startswith("A text is recognized after ")
    assert "recall" in says


def test_forecast_by_hand(found: Result) -> None:
    """What is recited: twelve tokens behind twelve."""
    table = found.tables["forecast"].set_index("step")
    items = found.tables["items"]
    assert table["recited"].iloc[0] == ((items["repeats"] > 0) & (items["match"] == 12)).sum()
    steps = found.tables["item_steps"].merge(items[["item", "repeats"]], on="item")
    for step, row in table.iterrows():
        at = steps[(steps["step"] == step) & (steps["repeats"] > 0)]
        assert row["forecast"] == (at["match"] == 12).sum()


def test_a_live_experiment_learns_and_forgets(found: Result) -> None:
    study = found.tables["few_shot"]
    own = study[study["foil"] == NOVEL].set_index("readings")
    assert own.loc[6, "recognized"] > 0.9
    assert own.loc[6, "match"] > own.loc[0, "match"]
    later = found.tables["few_later"]
    assert set(later["variant"]) == {RESET, WARMED, KEPT}
    # All begin with the same studied model.
    starts = later[later["updates"] == 0]
    assert starts["loss"].nunique() == 1
    assert starts["loss"].iloc[0] == pytest.approx(
        -np.log(
            found.tables["few_said"]
            .query("phase == 'readings' and number == 6")["probability"]
            .clip(lower=1e-4)
        ).mean(),
        rel=0.1,
    )
    ends = later[later["updates"] == 12].set_index("variant")["loss"]
    assert ends.nunique() == 3


def test_before_any_reading_it_is_chance(trained: Path) -> None:
    """Over lots: studied and new texts are dealt, so neither is likelier."""
    model = wb.load(str(trained))
    shares = []
    for seed in range(12):
        params = ASKED.model_copy(update={"seed": seed})
        texts = few_shot.study_texts(model, params)
        now = few_shot.measure_now(model, texts, (NOVEL,))
        own, other = now.loss[""], now.loss[NOVEL]
        shares.append((own[:, None] < other[None]).mean())
    assert abs(np.mean(shares) - 0.5) < 0.12


def test_foils_are_the_text_with_one_thing_changed(trained: Path) -> None:
    texts = few_shot.study_texts(wb.load(str(trained)), ASKED)
    for own, word, mixed in zip(
        texts.studied, texts.foils[WORD], texts.foils[SHUFFLED],
        strict=True,
    ):  # fmt: skip
        assert sum(a != b for a, b in zip(own, word, strict=True)) == 1
        assert sorted(own) == sorted(mixed)
    assert not set(texts.studied) & set(texts.foils[NOVEL])


def test_the_cost_counts_what_is_read(trained: Path) -> None:
    model = wb.load(str(trained))
    stated = cost(model, ASKED)
    assert set(stated) - TRAININGS == {"recall", "profiles", "forecast", "access", "few-shot"}
    for part in ("recall", "few-shot"):
        with counting(model) as counted:
            retention.run(model, ASKED.model_copy(update={"parts": [part]}), Progress())
        assert counted.forward / 1.6 < stated[part].forward < 1.6 * counted.forward


def test_a_model_without_steps_is_told_why(tmp_path: Path) -> None:
    model = wb.load(str(tiny.save_tiny(tmp_path / "alone")))
    reasons = {
        p.name: p.unavailable_reason(model) for p in retention.PARTS if p.name not in TRAININGS
    }
    assert reasons.pop("few-shot") is None
    assert all("keeps no steps" in str(reason) for reason in reasons.values())
    with pytest.raises(BadInput, match="keeps no steps"):
        retention.run(model, Params.model_validate({"parts": ["recall"]}), Progress())


def test_a_ledger_without_controls_is_refused(trained: Path, tmp_path: Path) -> None:
    import shutil

    place = Path(shutil.copytree(trained, tmp_path / "out"))
    book = ledgers.read(place)
    few = [e for e in book.entries if e.repeats] + [e for e in book.entries if not e.repeats][:3]
    ledgers.Ledger(book.tokenizer, tuple(few)).save(place)
    model = wb.load(str(place))
    with pytest.raises(BadInput, match="3 texts of this ledger were never read"):
        retention.run(
            model, Params.model_validate({"parts": ["profiles"], "recalled": 6}), Progress()
        )
    ledgers.Ledger(book.tokenizer, tuple(few[:-3])).save(place)
    with pytest.raises(BadInput, match="no text that was never read"):
        retention.run(model, Params.model_validate({"parts": ["recall"]}), Progress())


def test_own_texts_are_studied_and_too_few_are_counted(trained: Path, tmp_path: Path) -> None:
    model = wb.load(str(trained))
    file = tmp_path / "mine.jsonl"
    lines = [
        {"text": f"{n} {'xyzab'[n % 5] * 3} the {n * 7919 % 997} of my own texts"}
        for n in range(16)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    params = ASKED.model_copy(update={"texts": file})
    texts = few_shot.study_texts(model, params)
    assert len(texts.studied) == 8
    with pytest.raises(BadInput, match="There are 16 texts of 12 tokens or more"):
        few_shot.study_texts(model, params.model_copy(update={"items": 9}))


def test_numbers_of_the_live_experiment_by_hand() -> None:
    later = pd.DataFrame(
        {"variant": RESET, "updates": [0, 5, 10, 50], "match": [8.0, 6.0, 4.0, 2.0]}
    )
    assert dropped(later, RESET, 10) == pytest.approx(0.5)
    assert math.isnan(dropped(later, KEPT, 10))
    assert match_half_life(later) == pytest.approx(10)
    assert match_half_life(later.assign(match=0.2)) == math.inf
    study = pd.DataFrame({"readings": [0, 1, 2], "recalled": [0.9, 0.2, 0.6]})
    assert first_above(study, "recalled", 0.5) == 2
    assert first_above(study, "recalled", 0.95) == -1


def _bands(trained: Path, place: Path, read: int, never: int) -> Any:
    """A copy of the training whose ledger has so many texts of each."""
    import shutil

    out = Path(shutil.copytree(trained, place))
    book = ledgers.read(out)
    some = [e for e in book.entries if e.repeats][:read]
    none = [e for e in book.entries if not e.repeats][:never]
    ledgers.Ledger(book.tokenizer, (*some, *none)).save(out)
    return wb.load(str(out))


def test_a_part_that_cannot_be_had_is_known_before_the_run(trained: Path, tmp_path: Path) -> None:
    """The default then leaves it out: few texts give recall, and no bands."""
    for read, never in ((20, 3), (5, 12)):
        model = _bands(trained, tmp_path / f"{read}", read, never)
        reasons = {p.name: p.unavailable_reason(model) for p in retention.PARTS}
        assert f"{read} texts of its ledger were read and {never} never" in str(
            reasons.pop("profiles")
        )
        assert not any(reasons.values())
    (tmp_path / "20" / "ledger.jsonl").write_text("no ledger")
    model = wb.load(str(tmp_path / "20"))
    reasons = {
        p.name: p.unavailable_reason(model) for p in retention.PARTS if p.name not in TRAININGS
    }
    assert reasons.pop("few-shot") is None
    assert all("is not a ledger" in str(reason) for reason in reasons.values())
    assert set(cost(model, ASKED)) - TRAININGS == {"few-shot"}


def test_too_few_twins_are_said_before_a_step_is_read(trained: Path) -> None:
    model = wb.load(str(trained))
    asked = ASKED.model_copy(update={"parts": ["profiles"], "twins": 4})
    with counting(model) as counted, pytest.raises(BadInput, match="With twins=4, 4 texts"):
        retention.run(model, asked, Progress())
    assert counted.forward == 0


def test_quantized_weights_and_little_text_are_said_before_a_step_is_read(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.models import storage

    model = wb.load(str(trained))
    with counting(model) as counted:
        with pytest.raises(BadInput, match="to study and as many new ones"):
            retention.run(model, ASKED.model_copy(update={"length": 512, "items": 600}), Progress())
        monkeypatch.setattr(storage, "is_quantized", lambda module: True)
        with pytest.raises(Unfit, match="quantized or offloaded"):
            retention.run(model, ASKED, Progress())
    assert counted.forward == 0
    (part,) = (part for part in retention.PARTS if part.name == "few-shot")
    assert "quantized" in str(part.unavailable_reason(model))


def test_a_short_text_is_recalled_where_all_of_its_second_half_is_said() -> None:
    entries = [Entry(str(n), "t", "x", n, "spread", (0,) * n, (1, 2, 3, 4)) for n in (0, 1)]
    right = np.ones((2, 2, 4), bool)
    right[0] = False
    numbers = np.zeros((2, 2, 4))
    panel = ExposurePanel(tuple(entries), np.array([0, 5]), right, numbers, numbers.astype(int), 0)
    assert step_tables.enough_of(panel, Params()) == 2
    assert step_tables.enough_of(panel, Params(recalled=1)) == 1
    told = np.full((2, 2), 0.5)
    dose, _ = step_tables._dose(panel, panel.match(2), told, Params())
    assert dose.set_index("measure").loc["recalled", "rate"] == 1


def test_variants_are_compared_behind_as_many_updates() -> None:
    params = Params(updates=200, compared=30)
    assert 30 in few_shot.points_until(200, params)
    assert few_shot.points_until(30, params)[-1] == 30
    assert few_shot.points_until(20, params)[-1] == 20


def test_claims_of_a_training_that_taught_nothing() -> None:
    """Neither recognized nor recalled: said so, and no verdict."""
    result = Result("retention")
    rows = [("lately", name, math.inf) for name in ("recognized", "recalled")]
    table = pd.DataFrame(rows, columns=["when", "measure", "readings"])
    result.tables["halfway"] = table.assign(low=3.0, high=math.inf)
    measured = claims._recall_later(result)
    assert measured.measured == "recognized after never, recalled after never"
    assert measured.verdict == OPEN


def test_log_odds_keep_their_hyphen() -> None:
    result = Result("retention")
    row = {"term": "each doubling of 1 + readings", "value": -0.5, "low": -0.9, "high": -0.1}
    result.tables["logit"] = pd.DataFrame([row])
    measured = claims._term("each doubling of 1 + readings", below=False)(result)
    assert measured.measured == "−0.50 log-odds"


def test_the_beginning_is_compared_with_the_middle_and_not_with_itself() -> None:
    """Of a text of 40 tokens only its beginning leaves room for 25 given ones."""
    cells = [(0, 1), (0, 5), (0, 25), (10, 1), (10, 5), (20, 1), (20, 5)]
    access = pd.DataFrame(cells, columns=["start", "given"])
    rows = findings.begun_anywhere(access)
    assert rows["start"].tolist() == [0, 10, 20]
    assert set(rows["given"]) == {5}
