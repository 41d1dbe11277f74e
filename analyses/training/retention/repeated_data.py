"""Data that are repeated (Hernandez et al. 2022, 2205.10487): small models are trained from nothing
on as many tokens each, a share of which comes from a set that is the smaller the more often it is
repeated.

Measured are the loss on prose that nobody reads, what a second copy in the context helps (copying),
the strongest induction head (prefix matching on random tokens), and the loss on the repeated set.
Clean trainings of several sizes give a line from which a loss is read as an effective size.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.exposure_trainings import FinishedTrainings, Ids, prose_pieces
from analyses.training.retention.lab_selections import ONE_SEED, seeds_apart
from workbench.cost import Cost
from workbench.errors import BadInput, Unfit
from workbench.lab import Stage, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.lab.training import padded
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    import torch

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

MOST_TOKENS = 8192
"""Of a vocabulary: in models this small a larger one would be nearly all there is."""


@dataclass(frozen=True)
class SmallSize:
    """Width and layers of a model that is trained from nothing."""

    width: int
    layers: int
    heads: int = 4


@dataclass(frozen=True)
class RepeatDesign:
    """What is read.

    Attributes:
        sizes: that are trained at every number of repeats; ladder: sizes trained on clean data
            besides.
        repeats: how often the repeated set is read; 1 is clean.
        updates, batch, row: of every training; one row of `batch` is of the repeated set. The
            corpus has about 3,900 documents, each of which gives one row.
        held: rows that nobody reads.
    """

    sizes: tuple[SmallSize, ...] = (SmallSize(48, 3), SmallSize(80, 4))
    ladder: tuple[SmallSize, ...] = (SmallSize(24, 2), SmallSize(120, 5, 8))
    repeats: tuple[int, ...] = (1, 4, 16, 64, 224, 448)
    updates: int = 448
    batch: int = 8
    row: int = 64
    held: int = 24
    rate: float = 3e-3
    warmup: int = 50


DESIGN = RepeatDesign()


def large_vocabulary(model: InstrumentedModel) -> str | None:
    """Why a model's tokenizer is none for models of 0.3 million weights, or None."""
    if model.card.d_vocab <= MOST_TOKENS:
        return None
    return (
        f"{model.card.name} has {model.card.d_vocab:,} tokens; models of 0.3 million weights, which"
        f" this part trains, take at most {MOST_TOKENS:,}, as organism/planted."
    )


def repeated_cost(model: InstrumentedModel, seeds: int, design: RepeatDesign = DESIGN) -> Cost:
    """Seconds of small models: none of it is the asked model's own work."""
    trainings = [(size, seeds * len(design.repeats)) for size in design.sizes]
    trainings += [(size, seeds) for size in design.ladder]
    tokens = design.updates * design.batch * (design.row + 1)
    return Cost(
        seconds=sum(
            n * tokens * _PER_TOKEN * _weights(size, model.card.d_vocab) for size, n in trainings
        )
        + sum(n * design.updates * _PER_UPDATE for _, n in trainings)
    )


_PER_TOKEN = 6e-10
"""Seconds for a token and weight, of a training pass on one core."""
_PER_UPDATE = 0.02


def _weights(size: SmallSize, tokens: int) -> int:
    return size.width * tokens + size.layers * 12 * size.width**2


def add_repeated(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: RepeatDesign = DESIGN,
) -> FinishedTrainings:
    """Table `repeated_data` and its finding; what was kept for going on after a stop.

    Raises:
        Unfit: a tokenizer with too many tokens. NotFinite: a training that went astray.
    """
    if (reason := large_vocabulary(model)) is not None:
        raise Unfit(reason, "a small vocabulary", "Ask organism/planted, or leave the part out.")
    done = FinishedTrainings("repeated-data", model, [asdict(design), seed])
    runs = [
        (n, size, repeats)
        for n in range(seeds)
        for size, counts in (
            *((size, design.repeats) for size in design.sizes),
            *((size, (1,)) for size in design.ladder),
        )
        for repeats in counts
    ]
    rows = []
    for number, (n, size, repeats) in enumerate(runs):
        share = progress.subprogress(number / len(runs), (number + 1) / len(runs))

        def make(
            size: SmallSize = size,
            repeats: int = repeats,
            own: int = seed + n,
            share: Progress = share,
        ) -> dict[str, list[float]]:
            return _trained(model, design, size, repeats, own, share)

        numbers = done.of(f"{n}-{size.width}-{repeats}", make)
        rows.append(
            {"seed": n, "width": size.width, "repeats": repeats}
            | {name: float(values[0]) for name, values in numbers.items()}
        )
    result.tables["repeated_data"] = _effective(pd.DataFrame(rows))
    _say(result, design)
    return done


def repeated_rows(
    pieces: Sequence[Ids], updates: int, repeats: int, draw: random.Random
) -> list[Ids]:
    """A row for every update, from so few pieces that each is read `repeats` times."""
    few = pieces[: max(1, round(updates / repeats))]
    rows = [few[n % len(few)] for n in range(updates)]
    draw.shuffle(rows)
    return rows


def different_rows(pieces: Iterator[list[int]], n: int) -> list[Ids]:
    """So many pieces, none twice: clean data are read once.

    Raises:
        BadInput: there are not as many.
    """
    found: dict[Ids, None] = {}
    for ids in islice(pieces, n + n // 4):  # what comes twice is passed over, without end never
        found[tuple(ids)] = None
        if len(found) == n:
            return list(found)
    raise BadInput(
        f"The prose that ships has no {n:,} different rows of this length.",
        "updates times batch at most as many",
        "Take fewer updates or shorter rows.",
    )


def _trained(
    model: InstrumentedModel,
    design: RepeatDesign,
    size: SmallSize,
    repeats: int,
    seed: int,
    progress: Progress,
) -> dict[str, list[float]]:
    draw = random.Random(f"{seed} rows")  # the same clean rows for all, in the same order
    beginning = list(model.text.beginning)
    pieces = different_rows(
        neutral_pieces(model.tokenizer, design.row, draw, "train"), design.updates * design.batch
    )
    own, others = pieces[: design.updates], iter(pieces[design.updates :])
    repeated = repeated_rows(own, design.updates, repeats, random.Random(f"{seed} {repeats}"))
    steps = [
        [[*beginning, *ids] for ids in (*islice(others, design.batch - 1), repeated[step])]
        for step in range(design.updates)
    ]
    module = small_model(size, model.card.d_vocab, 2 * design.row + 2, seed)
    stage = Stage("reading", steps, design.rate, warmup=design.warmup)
    run_stages(module, [stage], seed=seed, progress=progress)
    held = prose_pieces(model, design.held, design.row, seed)
    half = design.row // 2
    twice = [(*ids[:half], *ids[:half]) for ids in held]
    nats = _nats(module, beginning, twice)
    seen = _nats(module, beginning, list(dict.fromkeys(repeated))[: design.held])
    return {
        "weights": [float(sum(p.numel() for p in module.parameters()))],
        "loss": [float(_nats(module, beginning, held).mean())],
        "copying": [float(nats[:, : half - 1].mean() - nats[:, half:].mean())],
        "induction": [induction_score(module, model.card.d_vocab, half, seed)],
        "repeated_loss": [float(seen.mean())],
    }


def small_model(size: SmallSize, tokens: int, positions: int, seed: int) -> Any:
    """An organism's architecture (Llama), much smaller, from the seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=size.width,
        intermediate_size=3 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = LlamaForCausalLM(config).float().eval()
    module.set_attn_implementation("eager")  # attention is looked at
    return module


def _nats(module: Any, beginning: list[int], texts: Sequence[Ids]) -> np.ndarray:
    """(text, token but the first): nats of each."""
    import torch

    ids, mask, _ = padded([[*beginning, *text] for text in texts], None, module.device)
    skipped = max(0, len(beginning) - 1)
    with torch.no_grad():
        logits = module(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    nats: torch.Tensor = -logits.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return nats[:, skipped + (1 if beginning else 0) :].double().numpy()


def induction_score(module: Any, tokens: int, n: int, seed: int) -> float:
    """Prefix matching of the strongest head (Olsson et al. 2022): mean attention, over the second
    copy of `n` random tokens, to the token behind the earlier occurrence; 16 texts.
    """
    import torch

    draw = torch.Generator().manual_seed(seed)
    once = torch.randint(0, tokens, (16, n), generator=draw)
    with torch.no_grad():
        out = module(input_ids=torch.cat([once, once], 1), output_attentions=True, use_cache=False)
    at = torch.arange(n, 2 * n)
    return float(max(layer[:, :, at, at - n + 1].mean((0, 2)).max() for layer in out.attentions))


def _effective(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the effective size: clean trainings' loss over the logarithm of weights, read
    the other way; kept between the smallest and the largest of them.
    """
    clean = table[table["repeats"] == 1].groupby("weights")["loss"].mean()
    order = np.argsort(clean.to_numpy())
    losses, sizes = clean.to_numpy()[order], np.log(clean.index.to_numpy(float))[order]
    effective = np.exp(np.interp(table["loss"], losses, sizes))
    return table.assign(effective=effective / table["weights"])


def _say(result: Result, design: RepeatDesign) -> None:
    table = result.tables["repeated_data"]
    swept = table[table["width"].isin([size.width for size in design.sizes])]
    mean = swept.groupby(["width", "repeats"])[["loss", "copying", "effective"]].mean()
    clean = mean.xs(1, level="repeats")
    worse = mean["loss"] - mean.index.get_level_values("width").map(clean["loss"])
    worst = worse.idxmax()
    last = max(design.repeats)
    spread = seeds_apart(table)
    bump = float(worse[worst] - worse[worst[0], last])
    if worse[worst] <= (spread or 0.0):
        result.add(_no_rise(design, float(worse[worst]), spread))
        return
    differ = ONE_SEED if spread is None else f"seeds differ by up to {spread:.3f}"
    where = (
        f"most at {worst[1]} repeats, and {bump:.3f} less at {last}"
        if worst[1] != last
        else f"most at {last} repeats, the most that were tried: no second descent"
    )
    copying = float(mean.loc[worst, "copying"]), float(clean.loc[worst[0], "copying"])
    says = (
        f"Where one row of {design.batch} is repeated, the loss on prose that nobody reads rises"
        f" by up to {worse[worst]:.3f} nats per token, {where} ({differ})."
        f" Its effective size falls to {percent(mean.loc[worst, 'effective'])}; a second copy in"
        f" the context helps by {copying[0]:.2f} nats per token, after clean data by"
        f" {copying[1]:.2f}."
    )
    values = {"worse": float(worse[worst]), "repeats": float(worst[1]), "bump": bump}
    result.add(Finding("repeated_data", values, says.replace("-", "−"), unit="nats per token"))


def _no_rise(design: RepeatDesign, worse: float, spread: float | None) -> Finding:
    more = (
        f" ({ONE_SEED})"
        if spread is None
        else f" by more than seeds differ ({max(0.0, worse):.3f} against {spread:.3f} nats per"
        " token)"
    )
    says = (
        f"Where one row of {design.batch} is repeated, the loss on prose that nobody reads does not"
        f" rise{more}."
    )
    values = {"worse": worse, "repeats": -1.0, "bump": 0.0}
    return Finding("repeated_data", values, says, unit="nats per token")
