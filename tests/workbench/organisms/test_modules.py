"""Organisms of memory modules: their facts, a training that goes on after a stop, what ships."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache

import workbench as wb
from workbench.cli import app
from workbench.errors import BadInput, Cancelled
from workbench.organisms import shipped
from workbench.organisms.modules import fact_world, families, module_record, training
from workbench.organisms.modules.build import train_into
from workbench.progress import Progress


def test_facts_are_drawn_by_lot_and_every_word_is_a_token() -> None:
    facts = fact_world.facts_of(0)
    assert len({fact.prompt for fact in facts}) == len(facts)
    assert sum(fact.read for fact in facts) == 4 * fact_world.PEOPLE
    assert facts == fact_world.facts_of(0) != fact_world.facts_of(1)
    lines = training.lines_of(facts)
    assert lines.shape == (len(facts), training.LINE)
    assert int((lines == 0).sum()) == 0  # no word is unknown
    answers = fact_world.make_tokenizer()([fact.answer for fact in facts])["input_ids"]
    assert lines[:, training.ANSWER_AT].tolist() == [ids[0] for ids in answers]


@pytest.mark.parametrize("name", ["facts-in-slots", "facts-in-mlp"])
def test_what_ships_recalls_its_facts_and_no_others(name: str) -> None:
    place = families.home(name)
    assert place is not None
    size = sum(file.stat().st_size for file in place.iterdir())
    assert size < 2 * 10**6
    record = module_record.read(place)
    assert record is not None
    model = wb.load(f"organism/{name}").module
    facts = record.facts()
    for read, share in ((True, record.recall), (False, record.guessed)):
        lines = training.lines_of([fact for fact in facts if fact.read is read])
        assert abs(training.recall_of(model, lines) - share) < 0.01
    assert record.recall > 0.99
    assert record.guessed < 0.05


def test_definitions_are_found_and_half_a_text_is_refused() -> None:
    model = wb.load("organism/definitions-in-memory")
    record = module_record.read_home(model.module)
    assert record is not None
    assert record.task == "definitions"
    assert record.recall > 0.95
    ids = torch.randint(1, 200, (1, 12))
    cache = DynamicCache(config=model.module.config)
    with torch.no_grad():
        model.module(input_ids=ids[:, :6], past_key_values=cache, use_cache=True)
        with pytest.raises(ValueError, match="at once"):
            model.module(input_ids=ids[:, 6:], past_key_values=cache, use_cache=True)


def test_both_have_as_many_parameters() -> None:
    both = [families.FAMILIES[name] for name in ("facts-in-slots", "facts-in-mlp")]
    counts = [sum(p.numel() for p in f.make().parameters()) for f in both]
    assert abs(counts[0] - counts[1]) < 0.01 * counts[0]


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(training, "EVERY", 3)
    short = replace(families.FAMILIES["facts-in-slots"], steps=6)
    monkeypatch.setitem(families.FAMILIES, "facts-in-slots", short)

    class Stop(Progress):
        def __call__(self, fraction: float, says: str = "") -> None:
            if fraction >= 4 / 6:
                raise Cancelled

    with pytest.raises(Cancelled):
        train_into("facts-in-slots", 0, tmp_path / "a", Stop())
    train_into("facts-in-slots", 0, tmp_path / "a", Progress())
    train_into("facts-in-slots", 0, tmp_path / "b", Progress())
    weights = [
        wb.load(tmp_path / each).module.model.layers[1].mlp.values.weight for each in ("a", "b")
    ]
    assert torch.equal(*weights)
    with pytest.raises(BadInput, match="another training"):
        train_into("facts-in-slots", 1, tmp_path / "a", Progress())


def test_they_are_listed_and_trained_by_a_command(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from typer.testing import CliRunner

    assert {"organism/facts-in-slots", "organism/facts-in-mlp"} <= set(shipped())
    short = replace(families.FAMILIES["facts-in-mlp"], steps=2)
    monkeypatch.setitem(families.FAMILIES, "facts-in-mlp", short)
    run = CliRunner().invoke
    made = run(app, ["organisms", "train", "facts-in-mlp", "--out", str(tmp_path / "x"), "--json"])
    assert made.exit_code == 0, made.output
    assert '"facts_recalled"' in made.output
    assert "facts recalled" in run(app, ["organisms"]).output.replace("\n", " ")


def test_a_damaged_record_is_said(tmp_path: Path) -> None:
    unknown = module_record.ModuleRecord("no such family", 0, 1, "", 1.0, 0.0)
    for text in ("{}", json.dumps({"format": 1, **asdict(unknown)})):
        (tmp_path / module_record.FILE).write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match="cannot be read"):
            module_record.read(tmp_path)
