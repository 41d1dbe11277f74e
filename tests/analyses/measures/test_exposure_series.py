"""Kept steps of a training: found, put in and taken out, and what is said where they do not fit;
texts at steps against plain decoding.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from analyses.measures.exposure_access import access_along, starts_of
from analyses.measures.exposure_panel import measure_panel
from analyses.measures.exposure_series import along, own_series, series_ledger
from analyses.training.retention.parts import no_steps
from tests.helpers import tiny
from workbench.errors import BadInput
from workbench.organisms.ledger import Entry, Ledger, fingerprint
from workbench.progress import Progress


def save_series(folder: Path, steps: tuple[int, ...] = (0, 50, 100)) -> Path:
    """Checkpoints of a trainer: models of other seeds stand for other steps."""
    for step in steps:
        place = folder / f"checkpoint-{step}"
        tiny.save_tiny(place)
        weights = {n: p.detach() for n, p in tiny.tiny_llama(seed=step).named_parameters()}
        save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_series(tmp_path_factory.mktemp("series"))


@pytest.fixture
def series_folder(saved: Path, tmp_path: Path) -> Path:
    """Of each test's own: some of them damage it."""
    return Path(shutil.copytree(saved, tmp_path / "series"))


def opened(folder: Path, step: int = 100) -> Any:
    return wb.load(str(folder / f"checkpoint-{step}"))


def entry(number: int, ids: list[int], steps: tuple[int, ...]) -> Entry:
    timing = "spread" if steps else "never"
    return Entry(f"{number}", "text", "x", len(steps), timing, steps, tuple(ids))


def test_a_trainers_checkpoints_are_found_from_any_of_them(series_folder: Path) -> None:
    model = opened(series_folder)
    series = own_series(model)
    assert series is not None
    assert series.steps == (0, 50, 100)
    before = {n: p.detach().clone() for n, p in model.module.named_parameters()}
    for _, step, _ in along(model, series, Progress()):
        file = load_file(series_folder / f"checkpoint-{step}" / "model.safetensors")
        for name, p in model.module.named_parameters():
            assert torch.equal(p, file[name])
    for name, p in model.module.named_parameters():
        assert torch.equal(p, before[name])


def test_revisions_of_the_hub_are_found(series_folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--someone--tiny"
    (cache / "refs").mkdir(parents=True)
    for step, name in ((0, "a0" * 20), (50, "b1" * 20), (100, "c2" * 20)):
        shutil.copytree(series_folder / f"checkpoint-{step}", cache / "snapshots" / name)
        (cache / "refs" / f"step{step}").write_text(name)
    (cache / "refs" / "main").write_text("c2" * 20)
    series = own_series(wb.load(str(cache / "snapshots" / ("c2" * 20))))
    assert series is not None
    assert series.steps == (0, 50, 100)


def test_a_model_alone_has_no_steps(tmp_path: Path) -> None:
    tiny.save_tiny(tmp_path / "alone")
    assert own_series(wb.load(str(tmp_path / "alone"))) is None


def test_the_ledger_lies_beside_the_steps_or_in_the_last(series_folder: Path) -> None:
    model = opened(series_folder)
    series = own_series(model)
    assert series is not None
    assert series_ledger(series) is None
    book = Ledger(fingerprint(model.tokenizer), (entry(1, [1, 2, 3], (4,)),))
    book.save(series_folder / "checkpoint-100")
    assert series_ledger(series) == book


def _drop_weights(folder: Path) -> None:
    (folder / "checkpoint-50" / "model.safetensors").unlink()


def _cut_weights(folder: Path) -> None:
    file = folder / "checkpoint-50" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _other_model(folder: Path) -> None:
    weights = {n: p.detach() for n, p in tiny.tiny_gpt2().named_parameters()}
    save_file(weights, folder / "checkpoint-50" / "model.safetensors")


def _other_shape(folder: Path) -> None:
    weights = {n: p.detach() for n, p in tiny.tiny_llama(d_model=48).named_parameters()}
    save_file(weights, folder / "checkpoint-50" / "model.safetensors")


def _copied(folder: Path) -> None:
    one, other = (folder / f"checkpoint-{n}" / "model.safetensors" for n in (0, 50))
    shutil.copy(one, other)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_drop_weights, "Step 50 has no weights"),
        (_cut_weights, "weights of step 50 in .* cannot be read"),
        (_other_model, "Step 50 is of another model"),
        (_other_shape, "Step 50 is of another model .* another shape"),
        (_copied, "Steps 0 and 50 hold the same weights"),
    ],
)
def test_steps_that_do_not_fit_are_named_and_the_model_stays(
    series_folder: Path, damage: Any, says: str
) -> None:
    model = opened(series_folder)
    before = {n: p.detach().clone() for n, p in model.module.named_parameters()}
    damage(series_folder)
    series = own_series(model)
    assert series is not None
    with pytest.raises(BadInput, match=says):
        list(along(model, series, Progress()))
    for name, p in model.module.named_parameters():
        assert torch.equal(p, before[name])


def test_models_with_numbers_in_their_names_are_no_steps(tmp_path: Path) -> None:
    for name in ("mamba-8", "mamba-16", "delta-8"):
        tiny.save_tiny(tmp_path / name)
    model = wb.load(str(tmp_path / "mamba-16"))
    assert own_series(model) is None
    assert "keeps no steps" in str(no_steps(model))


def test_two_folders_of_one_step_are_refused(series_folder: Path) -> None:
    model = opened(series_folder)
    shutil.copytree(series_folder / "checkpoint-50", series_folder / "step-50")
    with pytest.raises(BadInput, match="both step 50"):
        own_series(model)
    assert "both step 50" in str(no_steps(model))  # said where the parts are chosen, not raised


ENTRIES = [
    entry(0, [5, 9, 13, 44, 7, 80, 21, 3], (0, 49, 49, 70)),
    entry(1, [11, 6, 90, 2, 14, 33, 8, 41], ()),
]


def test_a_panel_is_plain_decoding_at_every_step(series_folder: Path) -> None:
    model = opened(series_folder)
    series = own_series(model)
    assert series is not None
    panel = measure_panel(model, series, ENTRIES, Progress())
    assert panel.readings.tolist() == [[0, 3, 4], [0, 0, 0]]
    np.testing.assert_array_equal(panel.since, [[np.nan, 0, 29], [np.nan] * 3])
    beginning = list(model.text.beginning)
    for at, step in enumerate(series.steps):
        module = tiny.tiny_llama(seed=step).eval()
        for row, text in enumerate(ENTRIES):
            ids = torch.tensor([[*beginning, *text.ids]])
            with torch.no_grad():
                logp = module(input_ids=ids).logits[0].log_softmax(-1)
            own = [
                float(logp[n - 1, ids[0, n]]) for n in range(max(1, len(beginning)), ids.shape[1])
            ]
            np.testing.assert_allclose(panel.logprob[row, at], own, atol=1e-4)
            said, match = list(ids[0, : len(beginning) + 4]), 0
            for token in text.ids[4:]:
                with torch.no_grad():
                    next_one = int(module(input_ids=torch.tensor([said])).logits[0, -1].argmax())
                if next_one != token:
                    break
                said.append(torch.tensor(token))
                match += 1
            assert panel.match(4)[row, at] == match


def test_access_is_decoding_from_inside(series_folder: Path) -> None:
    model = opened(series_folder)
    series = own_series(model)
    assert series is not None
    found = access_along(model, series, ENTRIES, 2, Progress())
    assert {start for start, _ in found} == set(starts_of(8)) == {0, 2, 4}
    beginning = list(model.text.beginning)
    for (start, given), said in found.items():
        for at, step in enumerate(series.steps):
            module = tiny.tiny_llama(seed=step).eval()
            for row, text in enumerate(ENTRIES):
                ids, match = [*beginning, *text.ids[start : start + given]], 0
                for token in text.ids[start + given : start + given + 2]:
                    with torch.no_grad():
                        best = int(module(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
                    if best != token:
                        break
                    ids.append(token)
                    match += 1
                assert said[row, at] == match


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([entry(0, [1, 2, 3, 4], (100,))], "read at step 101, and the last kept one is 100"),
        ([entry(0, [1, 2, 3, 4], (1,)), entry(1, [1, 2, 3], ())], "3 to 4 tokens"),
    ],
)
def test_a_ledger_of_another_training_is_refused(
    series_folder: Path, entries: list[Entry], says: str
) -> None:
    model = opened(series_folder)
    series = own_series(model)
    assert series is not None
    with pytest.raises(BadInput, match=says):
        measure_panel(model, series, entries, Progress())


def test_a_tied_weight_may_stand_under_either_name(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    tiny.save_tiny(tmp_path / "base")
    config = AutoConfig.from_pretrained(tmp_path / "base")
    config.tie_word_embeddings = True
    for step in (1, 2):
        place = Path(shutil.copytree(tmp_path / "base", tmp_path / f"checkpoint-{step}"))
        torch.manual_seed(step)
        module = AutoModelForCausalLM.from_config(config)
        module.save_pretrained(place)
        held = load_file(place / "model.safetensors")
        assert "lm_head.weight" not in held
        held["lm_head.weight"] = held.pop("model.embed_tokens.weight")
        if step == 1:
            save_file(held, place / "model.safetensors", metadata={"format": "pt"})
    model = opened(tmp_path, 2)
    series = own_series(model)
    assert series is not None
    seen = [model.module.lm_head.weight.detach().clone() for _ in along(model, series, Progress())]
    assert torch.equal(
        seen[0], load_file(tmp_path / "checkpoint-1" / "model.safetensors")["lm_head.weight"]
    )
    assert not torch.equal(*seen)
