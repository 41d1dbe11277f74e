"""What ships is what its recipe makes: `make autoencoders` asks for the very places, widths and
amounts that the cards name.
"""

from __future__ import annotations

import inspect

import workbench as wb
from workbench.autoencoders import build, shipped


def test_every_shipped_autoencoder_has_its_recipe() -> None:
    recipes = build._recipes()
    usual = {name: p.default for name, p in inspect.signature(wb.train_features).parameters.items()}
    made = set()
    for name, entry in shipped().items():
        card = entry.card
        recipe = recipes[card["model"]]
        layers = recipe["layers"] if isinstance(recipe["layers"], list) else [recipe["layers"]]
        assert card["site"] in [f"blocks.{layer}.hook_resid_post" for layer in layers]
        assert card["recipe"] == {key: recipe.get(key, usual[key]) for key in card["recipe"]}
        assert name.partition("/")[0] == card["model"].rpartition("/")[2]
        made.add(card["model"])
    assert made == set(recipes)
