"""Which autoencoder a name means, and which are refused, with what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from hooks.features.load import _released
from tests.helpers.autoencoders import made, saved
from workbench.autoencoders import card_of
from workbench.errors import BadInput, DownloadFailed, NotFound


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(made("standard", 32), tmp_path / "sae")


def test_an_autoencoder_of_something_else_is_refused_and_how_much_it_explains_is_told(
    folder: Path, llama: Any
) -> None:
    told = r"explains \u2212\d+\u00a0% of the variance at blocks\.1\.hook_resid_post"
    with pytest.raises(BadInput, match=rf"{told}(.|\n)*made for tiny"):
        wb.open_features(folder, llama)
    features = wb.open_features(folder, llama, force=True)
    assert features.card["explained_variance"] < 0.5
    assert (
        repr(features) == f"Features({folder}: 96 at blocks.1.hook_resid_post of {llama.card.name})"
    )


def test_how_much_it_explains_does_not_depend_on_what_is_on(folder: Path, llama: Any) -> None:
    """It is kept with the autoencoder."""
    want = wb.open_features(folder, llama, force=True).card
    with wb.scale(llama, site="resid_pre", layers=[1], factor=30.0):
        assert wb.open_features(folder, llama, force=True).card == want


def test_another_width_is_refused(tmp_path: Path, llama: Any) -> None:
    with pytest.raises(BadInput, match=r"takes vectors of 48 numbers(.|\n)*has 32"):
        wb.open_features(saved(made("standard", 48), tmp_path / "sae"), llama, force=True)


def test_a_layer_that_the_model_does_not_have_is_refused(tmp_path: Path, llama: Any) -> None:
    there = saved(made("standard", 32, hook="blocks.7.hook_resid_post"), tmp_path / "sae")
    with pytest.raises(NotFound, match="layer from 0 to 2"):
        wb.open_features(there, llama)


def test_one_that_does_not_say_where_it_belongs_can_be_told(tmp_path: Path, llama: Any) -> None:
    there = saved(made("standard", 32, hook=""), tmp_path / "sae")
    with pytest.raises(BadInput, match="does not say which site"):
        wb.open_features(there, llama)
    assert (
        wb.open_features(there, llama, site="blocks.2.hook_resid_post", force=True).place.layer == 2
    )


def test_missing_damaged_and_mad_weights(folder: Path, llama: Any) -> None:
    weights = folder / "sae_weights.safetensors"
    good = load_file(weights)
    save_file({**good, "W_enc": good["W_enc"] * float("nan")}, weights)
    with pytest.raises(BadInput, match=r"W_enc(.|\n)*not finite"):
        wb.open_features(folder, llama, force=True)
    save_file({name: tensor for name, tensor in good.items() if name != "W_dec"}, weights)
    with pytest.raises(BadInput, match=r"cannot be read(.|\n)*W_dec"):
        wb.open_features(folder, llama, force=True)
    save_file({**good, "W_dec": good["W_dec"][:50].contiguous()}, weights)
    with pytest.raises(BadInput, match="cannot be read"):
        wb.open_features(folder, llama, force=True)
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(BadInput, match="cannot be read"):
        wb.open_features(folder, llama, force=True)
    weights.unlink()
    with pytest.raises(BadInput, match=r"has no sae_weights\.safetensors"):
        wb.open_features(folder, llama)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"architecture": "unheard-of"}', '{"architecture": "standard", "d_in": "x"}'],
)
def test_a_config_that_cannot_be_used(folder: Path, llama: Any, text: str) -> None:
    (folder / "cfg.json").write_text(text)
    with pytest.raises(BadInput, match="cannot be read"):
        wb.open_features(folder, llama, force=True)


def test_a_folder_of_one_is_that_one_and_of_several_has_to_be_named(
    tmp_path: Path, llama: Any
) -> None:
    saved(made("standard", 32), tmp_path / "all" / "resid_post-01")
    assert wb.open_features(tmp_path / "all", llama, force=True).width == 96
    saved(made("standard", 32), tmp_path / "all" / "resid_post-02")
    with pytest.raises(BadInput, match="several autoencoders: resid_post-01, resid_post-02"):
        wb.open_features(tmp_path / "all", llama)
    (tmp_path / "none").mkdir()
    with pytest.raises(BadInput, match=r"holds no cfg\.json"):
        wb.open_features(tmp_path / "none", llama)


def test_names_of_saelens_and_neuronpedia() -> None:
    assert _released("gpt2-small/8-res-jb") == ("gpt2-small-res-jb", "blocks.8.hook_resid_pre")
    assert _released("gpt2-small-res-jb/blocks.8.hook_resid_pre") == (
        "gpt2-small-res-jb",
        "blocks.8.hook_resid_pre",
    )
    assert _released("somebody/saes/layer_3/width_4k") == ("somebody/saes", "layer_3/width_4k")
    with pytest.raises(NotFound, match="no autoencoder 'blocks"):
        _released("gpt2-small-res-jb/blocks.99.hook_resid_pre")
    with pytest.raises(NotFound, match=r"Did you mean 'gpt2-small/\d+-res-jb'"):
        _released("gpt2-small/80-res-jb")


def test_what_is_elsewhere_and_cannot_be_fetched(gpt2: Any) -> None:
    with pytest.raises(DownloadFailed, match="could not be fetched"):
        wb.open_features("gpt2-small-res-jb/blocks.1.hook_resid_pre", gpt2)


def test_half_precision_is_read_as_numbers_of_the_usual_kind(folder: Path, llama: Any) -> None:
    weights, config = folder / "sae_weights.safetensors", folder / "cfg.json"
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, weights)
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float16"}))
    features = wb.open_features(folder, llama, force=True)
    assert features.sae.W_dec.dtype == torch.float32


def test_a_capture_is_known_by_the_weights_and_not_by_the_name(
    folder: Path, tmp_path: Path, llama: Any
) -> None:
    one = wb.open_features(folder, llama, force=True).active(4)
    moved = wb.open_features(
        saved(made("standard", 32), tmp_path / "elsewhere"), llama, force=True
    ).active(4)
    saved(made("standard", 32, seed=1), folder)
    other = wb.open_features(folder, llama, force=True).active(4)
    assert one.spec == moved.spec != other.spec


def test_a_card_that_is_not_json(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        card_of(tmp_path)
