"""Sweeps over recurrent states are what a plain loop of changed runs gives."""

from __future__ import annotations

import pytest
import torch

import workbench as wb
from hooks.state_changes import changeable_states
from tests.helpers.families import built
from workbench.errors import BadInput, SiteNotFound

TEXT = [5, 9, 30, 22, 7, 40, 8]
OTHER = [44, 10, 31, 2, 17, 20, 8, 19]
TARGETS = [3, 11]


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next", "jamba", "minimax", "recurrent_gemma"])
@pytest.mark.parametrize("by", ["head", "layer"])
def test_equal_to_a_plain_loop(family: str, by: str) -> None:
    model = built(family)
    sites = [site for site in ("state", "conv_state") if site in model.sites]
    source = wb.capture(model, [OTHER], sites=sites)
    changes = {
        "patch": (wb.Patch([OTHER]), wb.PatchState(source)),
        "zero": ("zero", wb.WipeState()),
    }
    own = model.next_logits([TEXT])[0, TARGETS]
    for name, (change, plain) in changes.items():
        swept = wb.sweep(
            model,
            [TEXT],
            [TARGETS],
            over=wb.States(by=by),  # type: ignore[arg-type]
            change=change,  # type: ignore[arg-type]
            positions=[0, 3, 5, 6],
        )
        moved = 0.0
        for layer in changeable_states(model, None):
            count = model.layout.blocks[layer].states["state"][0]
            for head in range(count) if by == "head" else [None]:
                for position in (0, 3, 5, 6):
                    with wb.change_state(
                        model,
                        plain,
                        layers=layer,
                        heads=None if head is None else [head],
                        positions=[position],
                    ):
                        loop = model.next_logits([TEXT])[0, TARGETS] - own
                    where = {"prompt": 0, "layer": layer, "pos": position}
                    where |= {} if head is None else {"state_head": head}
                    effect = torch.tensor(swept["effect"].sel(where).values)
                    assert float((effect - loop).abs().max()) < 1e-3, (name, where)
                    moved = max(moved, float(loop.abs().max()))
        assert moved > 1e-2
        assert swept.attrs["control_error"] < 1e-3


def test_several_prompts_and_changes_from_the_end() -> None:
    model = built("mamba2")
    prompts = [TEXT, TEXT[2:]]
    swept = wb.sweep(
        model,
        prompts,
        [TARGETS, TARGETS],
        over=wb.States("layer"),
        change=["zero", wb.Patch([OTHER])],
        positions=[-3],
    )
    assert swept["effect"].dims == ("prompt", "change", "layer", "pos", "target")
    source = wb.capture(model, [OTHER], sites=["state", "conv_state"])
    for row, prompt in enumerate(prompts):
        own = model.next_logits([prompt])[0, TARGETS]
        with wb.change_state(model, wb.PatchState(source), layers=1, positions=[-3]):
            loop = model.next_logits([prompt])[0, TARGETS] - own
        effect = swept["effect"].sel(prompt=row, change="patch", layer=1, pos=len(prompt) - 3)
        assert float((torch.tensor(effect.values) - loop).abs().max()) < 1e-3


def test_bad_requests_say_what_to_do() -> None:
    model = built("mamba2")
    with pytest.raises(BadInput, match=r"wb\.Patch"):
        wb.sweep(model, [TEXT], [TARGETS], over="states", change="noise")
    with pytest.raises(SiteNotFound, match="state"):
        wb.sweep(built("llama"), [TEXT], [TARGETS], over="states")
    with pytest.raises(BadInput, match="exactly"):
        wb.sweep(model, [TEXT], [TARGETS], over="states", method="attribution")
    with pytest.raises(BadInput, match="every token"):
        wb.sweep(model, [TEXT], [[3, 4]], over="states", read="continuation")
