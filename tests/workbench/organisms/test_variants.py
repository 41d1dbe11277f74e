"""The planted organism grown again in another way: with layers of gated delta rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from workbench.organisms import ledger, shipped
from workbench.organisms.packed_weights import open_packed, pack, save_packed, unpack
from workbench.organisms.train import make_model
from workbench.organisms.train_config import RECIPES
from workbench.organisms.variants import VARIANTS

SMALL = replace(
    RECIPES["planted"], mixer="gated-delta", vocabulary=300, width=32, layers=2, kv_heads=2,
    mlp=24, state=8,
)  # fmt: skip


def test_its_layers_are_gated_delta_rules_and_the_seed_makes_them() -> None:
    model, again, other = (make_model(replace(SMALL, seed=seed)) for seed in (0, 0, 1))
    assert all(hasattr(layer, "linear_attn") for layer in model.model.layers)
    assert model.model.layers[0].linear_attn.num_v_heads == 2
    assert model.lm_head.weight is model.model.embed_tokens.weight
    pairs = zip(model.parameters(), again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two, _ in pairs)
    assert not torch.equal(model.lm_head.weight, other.lm_head.weight)


def test_what_older_recipes_did_not_know_is_not_in_their_record() -> None:
    assert {"mixer", "state", "goldfish"}.isdisjoint(RECIPES["planted"].recorded())
    kept = VARIANTS["planted-delta"].recipe.recorded()
    assert (kept["mixer"], kept["state"]) == ("gated-delta", 32)
    apart = {name for name in kept if kept[name] != RECIPES["planted"].recorded().get(name)}
    assert apart == {"mixer", "state"}


def test_a_packed_model_brings_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    home = shipped()["organism/planted"].folder
    model = make_model(replace(SMALL, vocabulary=RECIPES["planted"].vocabulary))
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    del weights["lm_head.weight"]  # tied
    save_packed(weights, tmp_path / "own.safetensors", model.config)
    opened = wb.load(open_packed(tmp_path / "own.safetensors", home, "own"))
    assert type(opened.module) is type(model)
    back = unpack(pack(weights))
    for name, value in opened.module.state_dict().items():
        if name in back:
            assert np.allclose(value, back[name], atol=1e-6), name


def recited(ref: str, repeats: int) -> float:
    """Leading tokens of the last 50 that greedy decoding says after the first 50, mean."""
    model = wb.load(ref)
    book = ledger.read(shipped()["organism/planted"].folder)
    start = tuple(model.text.beginning)
    windows = [
        Window(n, 0, start, entry.ids[:50], entry.ids[50:])
        for n, entry in enumerate(book.entries)
        if entry.repeats == repeats
    ]
    return float(score(model, windows, Sampler(temperature=0)).match.mean())


def test_it_recites_what_was_read_less_often() -> None:
    """As the tables of docs/results/organisms.md have it."""
    assert recited("organism/planted-delta", 0) < 1
    assert recited("organism/planted-delta", 16) == pytest.approx(17.2, abs=2)
    assert recited("organism/planted", 16) == pytest.approx(4.6, abs=1)


def test_what_ships_is_one_byte_a_weight() -> None:
    organism = shipped()["organism/planted-delta"]
    assert organism.packed is not None
    assert organism.bytes < 3_000_000
    assert sum(v.dtype == np.int8 for v in load_file(organism.packed).values()) > 20
