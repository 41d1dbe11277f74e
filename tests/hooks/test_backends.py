"""One suite over all back ends: the same sites, the same values, the same interventions, on the
same weights.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench as wb
from hooks import sites
from hooks.backends import active_interventions, forward, module_copy
from tests.helpers import tiny
from tests.helpers.backends import BACKENDS, CLOSE, HIDDEN, needs, same, with_uneven_norms
from tests.helpers.capturing import PROMPTS, hooks_on
from workbench.errors import BadInput, NotFound, SiteNotFound, WorkbenchError

# Recurrent layers and experts: the families here have none.
ELSEWHERE = {
    *sites.STATE_SITES,
    *("mixer_out", "router_weights", "router_scores", "expert_weights", "expert_indices"),
}


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox"])
def model(request):
    return with_uneven_norms(request.param)


# -- looking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("short", [short for short in sites.SITES if short not in ELSEWHERE])
def test_same_values_at_every_site(model, backend, short):
    if short not in model.sites:
        pytest.skip(f"{model.family} has no site {short}")
    if short in HIDDEN.get((backend, model.family), ()):
        with pytest.raises(
            SiteNotFound, match=rf"does not show 'blocks\.0\.attn\.hook_{short}'"
        ) as raised:
            wb.capture(model, PROMPTS, sites=short, backend=backend)
        assert "resid_post" in raised.value.expected
        return
    same(
        wb.capture(model, PROMPTS, sites=short),
        wb.capture(model, PROMPTS, sites=short, backend=backend),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_positions_and_batches(model, backend):
    asked = {
        "sites": ["z", "pattern", "resid_pre", "logits"],
        "layers": [2, 0],
        "positions": [0, -1],
        "batch_tokens": 24,
    }
    same(wb.capture(model, PROMPTS, **asked), wb.capture(model, PROMPTS, **asked, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_prompts_of_different_length_equal_each_alone(model, backend):
    together = wb.capture(model, PROMPTS, sites=["resid_post", "pattern"], backend=backend)
    for row, prompt in enumerate(PROMPTS):
        alone = wb.capture(model, prompt, sites=["resid_post", "pattern"])
        n = alone.lengths[0]
        np.testing.assert_allclose(
            together["resid_post"][row, :, :n], alone["resid_post"][0], atol=CLOSE
        )
        np.testing.assert_allclose(
            together["pattern"][row, :, :, :n, :n], alone["pattern"][0], atol=CLOSE
        )


# -- changing --------------------------------------------------------------------------------------


INTERVENTIONS = {
    "zero heads": lambda m: wb.ablate(m, heads=[(0, 1), (2, 3)]),
    "mean heads": lambda m: wb.ablate(m, heads=[(1, 0)], method="mean", reference=PROMPTS),
    "resample heads": lambda m: wb.ablate(m, heads=[(1, 2)], method="resample", reference=PROMPTS),
    "scale one position": lambda m: wb.scale(m, heads=[(1, 1)], factor=2.5, positions=[-2]),
    "add to resid_post": lambda m: wb.add(
        m, torch.linspace(-1, 1, 32), site="resid_post", layers=0, positions=[1]
    ),
    "add to resid_pre": lambda m: wb.add(m, torch.linspace(-1, 1, 32), site="resid_pre", layers=1),
    "scale attn_out": lambda m: wb.scale(m, site="attn_out", factor=0.4, layers=1),
    "mean mlp_out": lambda m: wb.ablate(
        m, site="mlp_out", layers=[0, 2], method="mean", reference=PROMPTS
    ),
    "scale neurons": lambda m: wb.scale(m, site="post", layers=1, factor=0.2),
    "scale embed": lambda m: wb.scale(m, site="embed", factor=1.5),
    "scale ln_final": lambda m: wb.scale(m, site="ln_final", factor=1.5),
    "patch heads": lambda m: wb.patch(
        m, wb.capture(m, PROMPTS[0], sites="z"), heads=[(0, 0), (1, 3)], positions=[-1]
    ),
    "patch resid": lambda m: wb.patch(
        m, wb.capture(m, PROMPTS[::-1], sites="resid_post"), site="resid_post", layers=1
    ),
}
SEEN = ["z", "attn_out", "mlp_out", "post", "resid_post", "ln_final", "logits"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", INTERVENTIONS)
def test_interventions_hold(model, backend, name):
    plain = wb.capture(model, PROMPTS, sites="logits", backend=backend)
    with INTERVENTIONS[name](model):
        ours = wb.capture(model, PROMPTS, sites=SEEN)
    with INTERVENTIONS[name](model):
        theirs = wb.capture(model, PROMPTS, sites=SEEN, backend=backend)
    same(ours, theirs)
    assert float(abs(ours["logits"] - plain["logits"]).max()) > 1e-3
    same(plain, wb.capture(model, PROMPTS, sites="logits", backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nested_interventions_hold(model, backend):
    def both(backend):
        with (
            INTERVENTIONS["zero heads"](model),
            INTERVENTIONS["add to resid_post"](model),
            wb.scale(model, [(0, 2)], factor=3.0),
        ):
            return wb.capture(model, PROMPTS, sites=SEEN, backend=backend)

    changed = both("torch")
    same(changed, both(backend))
    with pytest.raises(AssertionError):  # else nothing need hold
        same(wb.capture(model, PROMPTS, sites=SEEN), changed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_carried_over_is_refused(model, backend):
    queries = next(
        m
        for name, m in model.module.named_modules()
        if name.endswith(("q_proj", "c_attn", "query_key_value"))
    )
    handle = queries.register_forward_hook(lambda module, args, output: output * 2)
    try:
        with pytest.raises(BadInput, match=r"A hook on the output of .* cannot be carried over"):
            wb.capture(model, PROMPTS, sites="z", backend=backend)
    finally:
        handle.remove()
    from hooks.attention import attention_taps

    with (
        attention_taps(model.layout, {0: lambda call: None}),
        pytest.raises(BadInput, match="inside the attention call"),
    ):
        wb.capture(model, PROMPTS, sites="z", backend=backend)


# -- the module ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_module_stays_as_it_was(model, backend):
    parts = [(name, type(part), sorted(vars(part))) for name, part in model.module.named_modules()]
    weights = {name: (p.data_ptr(), p.clone()) for name, p in model.module.named_parameters()}
    before, config = model.next_logits(PROMPTS), model.module.config.to_dict()
    side = model.tokenizer.padding_side
    wb.capture(model, PROMPTS, sites="pattern", backend=backend)
    assert parts == [
        (name, type(part), sorted(vars(part))) for name, part in model.module.named_modules()
    ]
    for name, parameter in model.module.named_parameters():
        assert parameter.data_ptr() == weights[name][0]
        assert torch.equal(parameter, weights[name][1])
    assert (model.module.config.to_dict(), model.tokenizer.padding_side) == (config, side)
    assert torch.equal(model.next_logits(PROMPTS), before)
    assert hooks_on(model) == 0


def test_a_twin_shares_every_weight_and_no_hook(model):
    with wb.ablate(model, heads=[(0, 0)]):
        other = module_copy.twin(model, "a test")
        assert (
            sum(
                len(h)
                for part in other.modules()
                if part is not other
                for h in module_copy.hook_lists(part)
            )
            == 0
        )
    assert [p.data_ptr() for p in other.parameters()] == [
        p.data_ptr() for p in model.module.parameters()
    ]
    mine = {id(part) for part in model.module.modules()}
    assert not mine & {id(part) for part in other.modules()}


@needs("transformer_lens")
def test_the_bridge_shares_storage(model):
    from hooks.backends.transformer_lens import bridge_of

    own = {p.untyped_storage().data_ptr(): name for name, p in model.module.named_parameters()}
    bridge = bridge_of(model)
    strange = {
        name.replace("._original_component", "")
        for name, p in bridge.original_model.named_parameters()
        if p.untyped_storage().data_ptr() not in own
        and p.any()  # it adds a bias of zeros to the unembedding
    }
    # GPT-NeoX interleaves q, k and v head by head in one matrix, which no view of it can undo.
    assert all(re.search(r"attention\.[qkv]\.(weight|bias)$", name) for name in strange)
    assert bool(strange) == (model.family == "neox")
    with torch.no_grad():
        tokens = torch.tensor([model.tokens(PROMPTS[0])])
        torch.testing.assert_close(bridge(tokens), model.module(tokens).logits, atol=CLOSE, rtol=0)
    assert bridge.to_tokens(PROMPTS[0], prepend_bos=False).tolist()[0] == model.tokens(PROMPTS[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_changed_weights_are_noticed(model, backend):
    old = wb.capture(model, PROMPTS, sites="logits", backend=backend)
    weight = next(
        p
        for name, p in model.module.named_parameters()
        if re.search("q_proj|c_attn|query_key_value", name)
    )
    before = weight.detach().clone()
    with torch.no_grad():
        weight *= 1.5
        try:
            changed = wb.capture(model, PROMPTS, sites="logits")
            same(changed, wb.capture(model, PROMPTS, sites="logits", backend=backend))
        finally:
            weight.copy_(before)
    assert abs(changed["logits"] - old["logits"]).max() > 100 * CLOSE


def test_names_and_packages(model, monkeypatch):
    with pytest.raises(NotFound, match="torch, transformer_lens"):
        forward("tensorflow")
    with pytest.raises(BadInput, match="remote"):
        forward("torch", remote=True)
    with monkeypatch.context() as patched:
        patched.setitem(__import__("sys").modules, "nnsight", None)
        with pytest.raises(WorkbenchError, match=r"pip install 'memory-workbench\[backends\]'"):
            wb.capture(
                wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer())),
                PROMPTS,
                sites="z",
                backend="nnsight",
            )


def test_a_sharded_model_is_refused(model, monkeypatch):
    monkeypatch.setattr(model.module, "hf_device_map", {"a": 0, "b": 1}, raising=False)
    with pytest.raises(BadInput, match="several devices"):
        module_copy.twin(model, "nnsight")


def test_changes_are_found_by_place(model):
    with wb.ablate(model, heads=[(1, 2)]), wb.scale(model, site="resid_post", layers=0, factor=0.0):
        found = active_interventions.active(model, "a test")
        assert sorted(place.name for place in found) == [
            "blocks.0.hook_resid_post",
            "blocks.1.attn.hook_z",
        ]
    assert active_interventions.active(model, "a test") == {}


@needs("nnsight")
@needs("transformer_lens")
def test_the_docs_python_runs(llama, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "back-ends.md").read_text(
        encoding="utf-8"
    )
    monkeypatch.setattr(wb, "load", lambda: llama, raising=False)
    shared = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "back-ends.md", "exec"), shared)
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", page, re.M)


@needs("transformer_lens")
def test_a_site_that_the_bridge_shows_otherwise_is_refused():
    """What TransformerLens calls Bloom's embeddings comes after a norm; its residual stream is
    the model's own.
    """
    from test_gradients_weights import built

    bloom = built("bloom")
    with pytest.raises(
        SiteNotFound, match=r"does not show 'hook_embed' of .* as the model computes it"
    ) as raised:
        wb.capture(bloom, PROMPTS, sites="embed", backend="transformer_lens")
    assert "resid_post" in raised.value.expected
    assert "embed" not in raised.value.expected.replace("pos_embed", "")
    with wb.scale(bloom, site="embed", factor=2.0), pytest.raises(SiteNotFound):
        wb.capture(bloom, PROMPTS, sites="resid_post", backend="transformer_lens")
    same(
        wb.capture(bloom, PROMPTS, sites=["resid_post", "logits"]),
        wb.capture(bloom, PROMPTS, sites=["resid_post", "logits"], backend="transformer_lens"),
    )
