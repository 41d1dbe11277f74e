"""Along a training: losses at every step, and what autoencoders of its steps show, counted again
by brute force.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import workbench as wb
from analyses.features.function_tokens import corpus, training, training_steps
from hooks.features.sae import SKIP
from tests.helpers.autoencoders import features_of, made, saved
from workbench.autoencoders import CARD, shipped
from workbench.errors import BadInput, NotFound
from workbench.progress import Progress

QUIET = Progress()
PLANTED = "organism/planted"


def test_a_model_without_steps_is_told_apart():
    assert training_steps.saved_steps(PLANTED)[0] == 0
    with pytest.raises(BadInput, match="keeps no steps"):
        training_steps.saved_steps("organism/planted-control")
    with pytest.raises(NotFound):
        training_steps.saved_steps("organism/plantd")


def test_autoencoders_of_its_steps_ship():
    found = training_steps.TrainingSteps.of(PLANTED, [])
    assert {0, found.steps[-1]} < set(found.autoencoders) <= set(found.steps)
    ours = sum(entry.bytes for entries in found.autoencoders.values() for entry in entries)
    assert ours < 2e6
    assert found.fingerprint == training_steps.TrainingSteps.of(PLANTED, []).fingerprint
    one = found.autoencoders[0][0].name
    assert list(training_steps.TrainingSteps.of(PLANTED, [one]).autoencoders) == [0]
    assert training_steps.TrainingSteps.of(PLANTED, [one]).fingerprint != found.fingerprint


def test_folders_say_which_step_they_are_of(tmp_path):
    folder = saved(made("jumprelu", 160, 64, hook="blocks.3.hook_resid_post"), tmp_path / "one")
    with pytest.raises(NotFound, match=CARD):
        training_steps.TrainingSteps.of(PLANTED, [str(folder)])
    (folder / CARD).write_text(json.dumps({"model": f"{PLANTED}@step-146"}))
    assert [
        e.name for e in training_steps.TrainingSteps.of(PLANTED, [str(folder)]).autoencoders[146]
    ] == [str(folder)]
    (folder / CARD).write_text(json.dumps({"model": "gpt2"}))
    with pytest.raises(BadInput, match="was trained on gpt2"):
        training_steps.TrainingSteps.of(PLANTED, [str(folder)])
    with pytest.raises(NotFound, match="no folder of an autoencoder"):
        training_steps.TrainingSteps.of(PLANTED, [str(tmp_path / "nothing")])


def test_what_is_alive_is_what_a_loop_counts(llama):
    ids = corpus.cut(llama, "", 6000, 32, 0).ids
    features = features_of(llama)
    function = np.zeros(llama.card.d_vocab, bool)
    function[np.argsort(-np.bincount(ids.ravel(), minlength=llama.card.d_vocab))[:20]] = True
    found = training.alive_features(features, ids, function, 0)
    import torch

    x = wb.capture(llama, ids.tolist(), sites="resid_post", layers=1)["resid_post"].values[:, 0]
    active = features.encode(torch.as_tensor(x)).numpy()[:, SKIP:] > 0

    def edges(spelled) -> set[tuple[int, int]]:
        window, pos, feature = np.nonzero(active)
        return set(zip(spelled[:, SKIP:][window, pos].tolist(), feature.tolist(), strict=True))

    own, mixed = edges(ids), edges(corpus.shuffled(ids, SKIP, 0))
    # An activation that lies on the threshold may fall on either side, by the shape of the batch.
    assert abs(found["n_alive"] - active.any((0, 1)).sum()) <= 1
    assert abs(found["n_edges"] - len(own)) <= 3
    assert found["function_edge_share"] == pytest.approx(
        np.mean([function[kind] for kind, _ in own]), abs=1e-3
    )
    assert found["shuffled_edge_share"] == pytest.approx(
        np.mean([function[kind] for kind, _ in mixed]), abs=1e-3
    )
    assert (
        found["degree_difference_low"]
        <= found["function_degree"] - found["content_degree"]
        <= found["degree_difference_high"]
    )
    assert found["n_occurrences"] >= 1


def test_along_a_training_every_step_is_measured(monkeypatch):
    monkeypatch.setattr(training, "LOSSES", 16)
    monkeypatch.setattr(training, "READ", 32)
    monkeypatch.setattr(training, "_COUNTED", 64)
    kept = training_steps.TrainingSteps.of(PLANTED, [])
    ends = training_steps.TrainingSteps(PLANTED, [0, kept.steps[-1]], kept.autoencoders)
    found = training.over_steps(ends, 0.4, 0, "cpu", QUIET)
    losses = found["training_losses"]
    of_model = losses[losses["predictor"] == "model"].pivot(
        index="step", columns="transition", values="loss"
    )
    assert (of_model.loc[0] > 8).all()
    assert (of_model.loc[kept.steps[-1]] < 6.5).all()
    alive = found["live_features"].set_index("step")
    assert list(alive.index) == ends.steps
    assert (alive["n_alive"] <= alive["d_sae"]).all()
    assert alive["function_edge_share"].between(0, 1).all()
    none = training.over_steps(
        training_steps.TrainingSteps(PLANTED, ends.steps, {}), 0.4, 0, "cpu", QUIET
    )
    assert none["live_features"].empty
    assert none["training_losses"].equals(losses)


def test_autoencoders_of_steps_fit_them_and_are_sparse():
    for entry in shipped().values():
        card = entry.card
        if not str(card["model"]).startswith(PLANTED):
            continue
        assert card["explained_variance"] > 0.5
        features = wb.open_features(entry.name, wb.load(card["model"]))
        assert features.width == card["features"]
        assert 4 < card["l0"] < 64


def test_a_changed_autoencoder_changes_the_fingerprint(tmp_path):
    entry = training_steps.TrainingSteps.of(PLANTED, []).autoencoders[0][0]
    copy = tmp_path / "copy"
    shutil.copytree(entry.folder, copy)
    before = training_steps.TrainingSteps.of(PLANTED, [str(copy)]).fingerprint
    weights = copy / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert training_steps.TrainingSteps.of(PLANTED, [str(copy)]).fingerprint != before
