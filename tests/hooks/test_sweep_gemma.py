"""Edges on Gemma 2 and 3 by hand, and prompts of more than 2,000 tokens under sliding windows:
nothing but PyTorch's hooks.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
import torch

import workbench as wb
from hooks.sweeps import sweep
from tests.helpers import families, plain_loop, tiny
from tests.helpers.plain_loop import set_to

PROMPTS = ["The capital of France is Paris, and", "Nobody remembers"]
TARGETS = [5, 77]
D = 8  # d_head


def built(family):
    return wb.load((families.module(family), tiny.tiny_tokenizer()))


class ByHand:
    """Path patching in whole passes, over the module's own parts by their names in
    `transformers`.
    """

    def __init__(self, model, ids, freeze):
        self.module, self.ids = model.module, torch.tensor([ids])
        self.layers, self.heads = model.module.model.layers, model.module.config.num_attention_heads
        self.group = self.heads // model.module.config.num_key_value_heads
        self.clean, self.logits = {}, None
        self.freeze = freeze
        looks = [
            *((layer.self_attn.o_proj, ("z", i)) for i, layer in enumerate(self.layers)),
            *(
                (layer.post_feedforward_layernorm, ("mlp", i))
                for i, layer in enumerate(self.layers)
            ),
        ]
        with ExitStack() as stack:
            for part, name in looks:
                stack.callback(part.register_forward_hook(self.keep(self.clean, name)).remove)
            self.logits = self.run()

    def keep(self, into, name):
        def hook(module, args, output):
            into[name] = (args[0] if name[0] == "z" else output).clone()

        return hook

    @torch.no_grad()
    def run(self):
        return self.module(self.ids, use_cache=False).logits[0, -1]

    def sent(self, sender, positions, looks=()):
        """The run in which the sender's z is zero and all other heads (and MLPs) keep theirs;
        what passes at `looks`.
        """
        layer, head = sender
        seen = {}

        def z(i):
            def hook(module, args):
                new = self.clean["z", i].clone()
                if i == layer:
                    new[:, positions, head * D : (head + 1) * D] = 0
                return (new,)

            return hook

        with ExitStack() as stack:
            for i in range(layer, len(self.layers)):
                stack.callback(
                    self.layers[i].self_attn.o_proj.register_forward_pre_hook(z(i)).remove
                )
                if self.freeze == "heads and mlps":
                    kept = self.clean["mlp", i]
                    norm = self.layers[i].post_feedforward_layernorm
                    stack.callback(norm.register_forward_hook(lambda *_, kept=kept: kept).remove)
            for part, name in looks:
                stack.callback(part.register_forward_hook(self.keep(seen, name)).remove)
            return self.run(), seen

    def edge(self, sender, receiver, which, positions):
        """Logits where one input of one head is as the sender left it."""
        layer, head = receiver
        attention = self.layers[layer].self_attn
        matrix = getattr(attention, f"{which}_proj")
        _, seen = self.sent(sender, positions, [(matrix, ("in", 0))])
        number = head if which == "q" else head // self.group
        mine = slice(number * D, (number + 1) * D)

        def arrives(module, args, output):
            output = output.clone()
            output[..., mine] = seen["in", 0][..., mine]
            return output

        found = {}
        with ExitStack() as stack:
            stack.callback(matrix.register_forward_hook(arrives).remove)
            stack.callback(
                attention.o_proj.register_forward_hook(self.keep(found, ("z", layer))).remove
            )
            self.run()

        def only(module, args):
            z = self.clean["z", layer].clone()
            z[..., head * D : (head + 1) * D] = found["z", layer][..., head * D : (head + 1) * D]
            return (z,)

        handle = attention.o_proj.register_forward_pre_hook(only)
        try:
            return self.run()
        finally:
            handle.remove()


@pytest.mark.parametrize("freeze", ["heads", "heads and mlps"])
@pytest.mark.parametrize("at", ["last", "all"])
@pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])
def test_edges(family, at, freeze):
    model, receivers, senders = built(family), [(1, 0), (2, 3)], [(0, 1), (1, 2)]
    to_heads, to_logits = (
        sweep(
            model,
            PROMPTS,
            [TARGETS] * 2,
            over=wb.Edges(to, freeze=freeze, senders=senders),
            positions=at,
        )["effect"]
        for to in (receivers, "logits")
    )
    for row, text in enumerate(PROMPTS):
        ids = model.tokens(text)
        hand = ByHand(model, ids, freeze)
        positions = [len(ids) - 1] if at == "last" else list(range(len(ids)))
        for layer, head in senders:
            here = {"prompt": row, "layer": layer, "head": head}
            want = (hand.sent((layer, head), positions)[0] - hand.logits)[TARGETS]
            np.testing.assert_allclose(to_logits.sel(here), want, atol=1e-4, rtol=1e-3)
            for receiver in receivers:
                for which in ("q", "k", "v"):
                    got = to_heads.sel(here).sel(
                        {"receiver": f"L{receiver[0]}H{receiver[1]}", "input": which}
                    )
                    if receiver[0] <= layer:
                        assert np.isnan(got).all()
                        continue
                    want = (hand.edge((layer, head), receiver, which, positions) - hand.logits)[
                        TARGETS
                    ]
                    np.testing.assert_allclose(got, want, atol=1e-4, rtol=1e-3)
    assert float(abs(to_heads).max()) > 1e-3


def test_two_thousand_tokens_and_a_window_of_512():
    """Captures and sweeps beside the module's own hidden states and a plain loop, in a batch of
    mixed lengths.
    """
    config = families.config("gemma3_text")
    config.max_position_embeddings, config.sliding_window = 4096, 512
    short = families.module("gemma3_text")
    module = type(short)(config).eval()
    module.load_state_dict(short.state_dict())
    model = wb.load((module, tiny.tiny_tokenizer()))
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(1, 384, (n,), generator=draw).tolist() for n in (2100, 700, 30)]
    trace = wb.capture(model, rows, sites="resid_post", layers=[0, 1], positions=[-1, 5])[
        "resid_post"
    ]
    heads = sweep(model, rows, [TARGETS] * 3, over=wb.Heads([(1, 3)]))["effect"].sel(
        layer=1, head=3
    )
    grid = sweep(model, rows, [TARGETS] * 3, over=wb.Positions(layers=1), positions=[-3])[
        "effect"
    ].sel(layer=1, site="resid_pre")
    for row, ids in enumerate(rows):
        with torch.no_grad():
            own = module(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        for layer in (0, 1):
            want = own.hidden_states[layer + 1][0, [-1, 5]]
            np.testing.assert_allclose(
                trace.isel(prompt=row, layer=layer).values, want, atol=1e-4, rtol=1e-3
            )
        last, third = len(ids) - 1, len(ids) - 3
        want = (
            plain_loop.run(model, ids, [("z", 1, set_to(0.0, [last], 3))])[TARGETS]
            - own.logits[0, -1, TARGETS]
        )
        np.testing.assert_allclose(heads.sel(prompt=row), want, atol=5e-4, rtol=1e-3)
        want = (
            plain_loop.run(model, ids, [("resid_pre", 1, set_to(0.0, [third]))])[TARGETS]
            - own.logits[0, -1, TARGETS]
        )
        np.testing.assert_allclose(grid.sel(prompt=row, pos=third), want, atol=5e-4, rtol=1e-3)
