"""Small autoencoders of SAELens, random and saved by SAELens itself."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch

from hooks import sites
from hooks.features.sae import SAE

KINDS = ("standard", "jumprelu", "topk", "gated")


def made(
    kind: str,
    d_in: int,
    width: int = 96,
    hook: str = "blocks.1.hook_resid_post",
    seed: int = 0,
    **options: Any,
) -> Any:
    """A random autoencoder of one architecture, some of whose features are active."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sae_lens
        from sae_lens.saes.sae import SAEMetadata

    config = {
        "standard": sae_lens.StandardSAEConfig,
        "jumprelu": sae_lens.JumpReLUSAEConfig,
        "topk": sae_lens.TopKSAEConfig,
        "gated": sae_lens.GatedSAEConfig,
    }[kind]
    kind_of = {
        "standard": sae_lens.StandardSAE,
        "jumprelu": sae_lens.JumpReLUSAE,
        "topk": sae_lens.TopKSAE,
        "gated": sae_lens.GatedSAE,
    }[kind]
    more = {"k": 8} if kind == "topk" else {}
    metadata = SAEMetadata(model_name="tiny", hook_name=hook)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sae = kind_of(config(d_in=d_in, d_sae=width, metadata=metadata, **more, **options))
        for name, parameter in sae.named_parameters():
            parameter.data = torch.randn_like(parameter) * (0.3 if name.startswith("W") else 0.05)
        if kind == "jumprelu":
            sae.threshold.data = torch.rand(width) * 0.2
    return sae.eval()


def features_of(
    model: Any, layer: int = 1, width: int = 96, site: str = "resid_post", seed: int = 0
) -> SAE:
    """A random autoencoder at a place of a model."""
    (place,) = sites.resolve(model.layout, site, layer, model.card.name)
    d_in = math.prod(model.layout.sizes[dim] for dim in place.site.dims[1:])
    return SAE(
        model, place, made("jumprelu", d_in, width, hook=place.name, seed=seed), f"features {layer}"
    )


def saved(sae: Any, folder: Path) -> Path:
    """As SAELens saves it."""
    sae.save_model(folder)
    assert json.loads((folder / "cfg.json").read_text())["d_sae"] == sae.cfg.d_sae
    return folder
