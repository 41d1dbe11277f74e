"""Neurons read, held and masked, in every kind of feed-forward layer; each beside a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import workbench as wb
from hooks.neurons import (
    check_neurons,
    hold_neurons,
    mask_smallest,
    neuron_counts,
    promoted,
    read_neurons,
    reason_without_neurons,
    values_of,
)
from tests.helpers import families
from workbench.errors import BadInput

FAMILIES = ["llama", "gpt2", "gpt_neox", "phi3", "gemma2", "opt", "falcon"]
PROMPTS = ["The capital of France is", "The safe opens"]


@pytest.fixture(params=FAMILIES)
def loaded(request: pytest.FixtureRequest) -> Any:
    return families.built(request.param)


def logits(model: Any, prompt: str) -> torch.Tensor:
    with torch.no_grad():
        return model.forward(**model.batch([prompt]).kwargs(), use_cache=False).logits[0]


def changed_by_hand(model: Any, prompt: str, layer: int, change: Any) -> torch.Tensor:
    """One prompt, the input of one layer's last matrix changed behind its first token."""

    def before(module: Any, args: tuple[torch.Tensor]) -> Any:
        x = args[0].clone()
        rows = x.view(1, -1, x.shape[-1])  # some families see all tokens in one row
        rows[:, 1:] = change(rows[:, 1:])
        return (x, *args[1:])

    hook = model.layout.blocks[layer].down_proj.register_forward_pre_hook(before)
    try:
        return logits(model, prompt)
    finally:
        hook.remove()


def test_activations_are_those_of_a_capture(loaded: Any) -> None:
    trace = wb.capture(loaded, PROMPTS, sites="post")["post"]
    batch = loaded.batch(PROMPTS)
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def take(layer: int, x: torch.Tensor, counted: torch.Tensor) -> None:
        seen[layer] = x, counted

    with torch.no_grad(), read_neurons(loaded, list(neuron_counts(loaded)), batch.lengths, take):
        loaded.forward(**batch.kwargs(), use_cache=False)
    for layer, (x, counted) in seen.items():
        assert counted.sum(1).tolist() == [n - 1 for n in batch.lengths]
        for row, n in enumerate(batch.lengths):
            wanted = trace.sel(layer=layer).isel(prompt=row).values[1:n]
            torch.testing.assert_close(
                x[row][counted[row]], torch.from_numpy(wanted).to(x), atol=1e-4, rtol=1e-4
            )


def test_held_neurons_are_what_a_hook_by_hand_puts_there(loaded: Any) -> None:
    layer = max(neuron_counts(loaded))
    held = {layer: (torch.tensor([1, 5]), torch.tensor([0.7, -0.3]))}

    def change(x: torch.Tensor) -> torch.Tensor:
        x[..., 1], x[..., 5] = 0.7, -0.3
        return x

    before = logits(loaded, PROMPTS[0])
    with hold_neurons(loaded, held):
        found = logits(loaded, PROMPTS[0])
    torch.testing.assert_close(found, changed_by_hand(loaded, PROMPTS[0], layer, change))
    assert (found - before).abs().max() > 1e-6
    torch.testing.assert_close(logits(loaded, PROMPTS[0]), before)
    # In a batch, behind padding, it is the same.
    if loaded.ignores_padding:
        batch = loaded.batch([PROMPTS[0] + " here and there", PROMPTS[0]])
        with torch.no_grad(), hold_neurons(loaded, held):
            padded = loaded.forward(**batch.kwargs(), use_cache=False).logits[1, -1]
        torch.testing.assert_close(padded, found[-1], atol=2e-4, rtol=1e-3)


def test_the_smallest_are_masked_at_every_token_but_the_first(loaded: Any) -> None:
    layer = min(neuron_counts(loaded))
    n = round(0.5 * neuron_counts(loaded)[layer])

    def change(x: torch.Tensor) -> torch.Tensor:
        return x.scatter(-1, x.abs().argsort(-1)[..., :n], 0.0)

    with mask_smallest(loaded, [layer], 0.5):
        found = logits(loaded, PROMPTS[0])
    torch.testing.assert_close(found, changed_by_hand(loaded, PROMPTS[0], layer, change))
    with mask_smallest(loaded, [layer], 0.0):
        torch.testing.assert_close(logits(loaded, PROMPTS[0]), logits(loaded, PROMPTS[0]))


def test_random_ones_are_as_many() -> None:
    model = families.built("llama")
    layer, zeros = 0, []

    def count(module: Any, args: tuple[torch.Tensor]) -> None:
        zeros.append((args[0][0, 1:] == 0).sum(-1))

    draw = torch.Generator().manual_seed(0)
    with mask_smallest(model, [layer], 0.25, randomly=draw):
        hook = model.layout.blocks[layer].down_proj.register_forward_pre_hook(count)
        logits(model, PROMPTS[0])
        hook.remove()
    assert set(zeros[0].tolist()) == {round(0.25 * neuron_counts(model)[layer])}


def test_activation_times_value_is_what_the_layer_adds(loaded: Any) -> None:
    trace = wb.capture(loaded, PROMPTS[:1], sites=["post", "mlp_out"])
    layer = min(neuron_counts(loaded))
    post, out = (
        torch.from_numpy(trace[site].sel(layer=layer).isel(prompt=0).values).float()
        for site in ("post", "mlp_out")
    )
    values = values_of(loaded, layer)
    if loaded.layout.blocks[layer].mlp_out.module is loaded.layout.blocks[layer].mlp:
        bias = getattr(loaded.layout.blocks[layer].down_proj, "bias", None)
        total = post @ values + (0 if bias is None else bias.detach())
        torch.testing.assert_close(total, out, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(values_of(loaded, layer, torch.tensor([3])), values[3:4])


def test_what_a_value_promotes_stands_first_in_its_logits() -> None:
    model = families.built("llama")
    logit, ids = promoted(model, 1, [4], 5)
    with torch.no_grad():
        wanted = model.unembed(values_of(model, 1, torch.tensor([4])))[0]
    assert ids[0, 0].tolist() == wanted.topk(5).indices.tolist()
    assert ids[0, 1].tolist() == (-wanted).topk(5).indices.tolist()
    assert (logit[0, 0] >= logit[0, 1]).all()


def test_a_mixture_of_experts_and_a_missing_neuron_are_said() -> None:
    assert "mixtures of experts" in str(reason_without_neurons(families.built("mixtral")))
    assert "no" in str(reason_without_neurons(families.built("mamba")))
    model = families.built("llama")
    assert reason_without_neurons(model) is None
    check_neurons(model, [(0, 3)])
    with pytest.raises(BadInput, match="no neuron L0N99999"):
        check_neurons(model, [(0, 99999)])
    with pytest.raises(BadInput, match="no neuron L77N1"):
        check_neurons(model, [(77, 1)])
