"""Sweeps over all heads beside TransformerLens's own loops over them, and what they cost as sizes
grow.

python -m benchmarks sweep
python -m benchmarks.sweep --plot docs/results/sweep-cost.svg
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks.measure import alternate, prompt, table
from hooks import sweep
from workbench import paths

TARGETS = [5, 77]


def tables(model: Any, repeats: int) -> list[str]:
    """Each head at the last position; then each head at all positions, patched from a second
    prompt.
    """
    peer = _peer(model)
    lines: list[str] = []
    for length in (32, 256):
        lines += [*_last_position(model, peer, length, repeats), ""]
    for shared in (0, 16):
        lines += [*_all_positions(model, peer, 32, shared, repeats), ""]
    return lines[:-1]


def _peer(model: Any) -> Any:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    folder = paths.cache_dir() / "models" / "smollm2-135m"
    own, tokenizer = copy.deepcopy(model.module), AutoTokenizer.from_pretrained(folder)
    return TransformerBridge.boot_transformers(
        str(folder), hf_model=own, tokenizer=tokenizer, device=str(model.device)
    )


def _last_position(model: Any, peer: Any, length: int, repeats: int) -> list[str]:
    """Zero every head at the last position, one at a time, against TransformerLens's hook loop."""
    ids = prompt(model, length)
    tokens = torch.tensor([ids], device=model.device)
    found: dict[str, torch.Tensor] = {}

    def ours() -> None:
        found["ours"] = torch.as_tensor(sweep(model, [ids], [TARGETS])["effect"].values[0])

    @torch.no_grad()
    def loop() -> None:
        base = peer(tokens)[0, -1, TARGETS]
        effects = torch.zeros(model.n_layers, model.n_heads, 2)
        for layer in range(model.n_layers):
            for head in range(model.n_heads):

                def zero(z: torch.Tensor, hook: Any, head: int = head) -> torch.Tensor:
                    z[:, -1, head] = 0
                    return z

                hooks = [(f"blocks.{layer}.attn.hook_z", zero)]
                effects[layer, head] = (
                    peer.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1, TARGETS] - base
                )
        found["loop"] = effects

    times = alternate({"memory-workbench": ours}, repeats) | alternate(
        {"TransformerLens loop": loop}, 1, warm=False
    )
    title = f"All {len(model.heads())} heads at the last position, {length} tokens"
    return [*table(title, times, "memory-workbench"), "", _gap(found)]


def _all_positions(model: Any, peer: Any, length: int, shared: int, repeats: int) -> list[str]:
    """Every head's z at all positions from a second prompt, against
    `get_act_patch_attn_head_out_all_pos`.
    """
    from transformer_lens.patching import get_act_patch_attn_head_out_all_pos

    ids = prompt(model, length)
    other = ids[:shared] + ids[shared:][::-1]
    found: dict[str, torch.Tensor] = {}

    def ours() -> None:
        swept = sweep(
            model, [ids], [TARGETS], change=wb.Patch([other]), read="logit_diff", positions="all"
        )
        found["ours"] = torch.as_tensor((swept["effect"] + swept["before"]).values[0])

    @torch.no_grad()
    def theirs() -> None:
        corrupted, clean = (torch.tensor([row], device=model.device) for row in (ids, other))
        _, cache = peer.run_with_cache(clean)
        found["loop"] = get_act_patch_attn_head_out_all_pos(
            peer,
            corrupted,
            cache,
            lambda logits: logits[0, -1, TARGETS[0]] - logits[0, -1, TARGETS[1]],
        )

    times = alternate({"memory-workbench": ours}, repeats) | alternate(
        {"TransformerLens": theirs}, 1, warm=False
    )
    title = (
        f"All {len(model.heads())} heads at all positions, {length} tokens, the first {shared} of"
        " them shared"
    )
    return [*table(title, times, "memory-workbench"), "", _gap(found)]


def _gap(found: dict[str, torch.Tensor]) -> str:
    return (
        "Largest difference between the two:"
        f" {float((found['ours'] - found['loop']).abs().max()):.1e} logits."
    )


# -- how the cost grows ----------------------------------------------------------------------------


def flops(model: Any, at: str, length: int, n_prompts: int, n_layers: int) -> float:
    """What a sweep over all heads has to compute: multiply-adds of the layers' matrices and of
    attention, times two.
    """
    block = model.layout.blocks[0].module
    linear = 2 * sum(p.numel() for p in block.parameters())  # per token and layer
    attention = 4 * model.n_heads * model.d_head  # per query, key and layer
    heads = (
        model.n_heads * n_layers * (n_layers + 1) / 2
    )  # rows × layers, summed over the layers they start in
    whole = n_layers * (length * linear + attention * length * (length + 1) / 2)
    each = (
        linear + attention * length
        if at == "last"
        else length * linear + attention * length * (length + 1) / 2
    )
    return n_prompts * (whole + heads * each)


def curves(repeats: int) -> dict[str, dict[str, tuple[list[int], list[float], list[float]]]]:
    """Seconds and flops of both kinds of sweep by prompt length, number of prompts and model depth.

    Processor seconds: unlike those of the clock they do not count what else the machine did.
    """
    found: dict[str, dict[str, tuple[list[int], list[float], list[float]]]] = {}
    default = {"length": 64, "prompts": 2, "layers": 8}
    for at, axes in {
        "last": {"length": [32, 128, 512, 2000], "prompts": [1, 4, 16], "layers": [3, 6, 12, 24]},
        "all": {"length": [16, 32, 64, 128], "prompts": [1, 2, 4], "layers": [2, 4, 8]},
    }.items():
        for axis, values in axes.items():
            seconds, work = [], []
            for value in values:
                size = {**default, axis: value} | (
                    {"length": 32} if at == "all" and axis != "length" else {}
                )
                model = _random_llama(size["layers"])
                prompts = [
                    torch.randint(1000, (size["length"],)).tolist() for _ in range(size["prompts"])
                ]

                runs = []
                for _ in range(repeats + 1):  # the first is a warm-up
                    start = time.process_time()
                    sweep(model, prompts, [TARGETS] * len(prompts), positions=at)
                    runs.append(time.process_time() - start)
                seconds.append(min(runs[1:]))
                work.append(flops(model, at, size["length"], size["prompts"], size["layers"]))
            found.setdefault(at, {})[axis] = (values, seconds, work)
    return found


def _random_llama(n_layers: int) -> Any:
    """A Llama of the default model's width with random weights and a small vocabulary."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=n_layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    folder = paths.cache_dir() / "models" / "smollm2-135m"
    return wb.load((LlamaForCausalLM(config).eval(), AutoTokenizer.from_pretrained(folder)))


def plot(file: Path, repeats: int) -> None:
    """Measured seconds and, through the point with the most work, the line that goes as the
    flops do.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    words = {"length": "tokens per prompt", "prompts": "prompts", "layers": "layers"}
    figure, rows = pyplot.subplots(2, 3, figsize=(9, 5), layout="constrained")
    for row, (at, axes) in zip(rows, curves(repeats).items(), strict=True):
        for axis, (panel, (values, seconds, work)) in zip(
            axes, zip(row, axes.values(), strict=True), strict=True
        ):
            panel.loglog(values, seconds, "o-", label="measured")
            panel.loglog(
                values, [seconds[-1] * w / work[-1] for w in work], "--", label="as the flop count"
            )
            panel.set_xlabel(words[axis])
            panel.set_xticks(values, [str(v) for v in values], minor=False)
            panel.minorticks_off()
        row[0].set_ylabel(
            f"all heads, {at} position{'s' if at == 'all' else ''}\nprocessor seconds"
        )
    rows[0][0].legend()
    figure.savefig(file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, required=True, help="the picture to write")
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other spend processor time too
    plot(asked.plot, asked.repeats)
