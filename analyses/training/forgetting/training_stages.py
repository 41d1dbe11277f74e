"""What is planted in one stage of a training and followed through the next ones (code RLHF,
2406.11715): pre-training, fine-tuning, then preference tuning, or as much fine-tuning instead.

One ledger: texts that are read in the first stage, texts that are read in the second, texts whose
second half is the chosen answer of preference pairs, others whose second half is the rejected one,
and texts that are never read; all dealt by lot. After every stage all of them are asked. The branch
without preference tuning reads further texts instead, as often as pairs are seen, in as many
updates at the same rate: it says what of a loss is just more training, and what reading plants.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.exposure_trainings import (
    FinishedTrainings,
    Ids,
    check_small,
    prose_pieces,
    texts_left,
    trainings_cost,
)
from analyses.measures.statistics import mean_interval, share_interval
from hooks.mixed_weights import put_back
from workbench.cost import Cost
from workbench.lab import Stage, run_stages
from workbench.lab.neutral import neutral_pieces
from workbench.lab.preference import (
    PreferencePair,
    PreferenceStage,
    answer_log_probabilities,
    prefer,
)
from workbench.result import Finding
from workbench.torch_modes import ordinary
from workbench.wording import percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

BEFORE, FIRST, SECOND, PREFERRED, MORE = MOMENTS = (
    "before", "pre-training", "fine-tuning", "preference tuning", "more fine-tuning",
)  # fmt: skip
IN_FIRST, IN_SECOND, CHOSEN, REJECTED, NEVER, IN_MORE = PLANTED = (
    "read in pre-training", "read in fine-tuning", "chosen answers", "rejected answers",
    "never read", "read in more fine-tuning",
)  # fmt: skip


@dataclass(frozen=True)
class StageDesign:
    """What is planted where.

    Attributes:
        items: texts of every kind; readings: of those that are read, in their stage; rounds: how
            often each preference pair is seen.
        batch: texts, or pairs, of an update; row: of other text beside them.
        rate, preference_rate: AdamW's learning rate, of the first two stages and of what comes
            behind them; beta: of preference tuning.
    """

    items: int = 16
    readings: int = 16
    rounds: int = 16
    length: int = 24
    batch: int = 8
    row: int = 64
    rate: float = 1e-3
    preference_rate: float = 3e-4
    beta: float = 0.1
    warmup: int = 10
    recalled: int = 10

    @property
    def updates(self) -> int:
        """Of each of the first two stages."""
        return -(-self.items * self.readings // self.batch)

    @property
    def pair_updates(self) -> int:
        """Of the third."""
        return -(-self.items * self.rounds // self.batch)


DESIGN = StageDesign()


def stages_cost(model: InstrumentedModel, seeds: int, design: StageDesign = DESIGN) -> Cost:
    """What the trainings and the passes behind them cost."""
    learn = 2 * design.updates * (design.batch * (design.length + 1) + design.row + 1)
    pairs = design.pair_updates * 2 * design.batch * 2 * (design.length + 1)
    alone = 3 * 2 * design.items * 2 * (design.length + 1)  # before, and twice without learning
    more = design.pair_updates * (design.batch * (design.length + 1) + design.row + 1)
    updates = 2 * design.updates + 2 * design.pair_updates
    asked = len(MOMENTS) * len(PLANTED) * design.items * design.length
    learned, passes = seeds * (learn + pairs + more), seeds * (6 + len(MOMENTS))
    return trainings_cost(model, seeds * updates, learned, seeds * (alone + asked), passes)


def add_stages(
    result: Result,
    model: InstrumentedModel,
    seeds: int,
    seed: int,
    progress: Progress,
    design: StageDesign = DESIGN,
) -> FinishedTrainings:
    """Tables `stage_survival` and `stage_effects`, and their finding; what was kept for going on
    after a stop.

    Raises:
        Unfit: a model that is too large. NotFinite: a training that went astray.
    """
    check_small(model)
    done = FinishedTrainings("stages", model, [asdict(design), seed])
    found = []
    for n in range(seeds):
        share = progress.subprogress(n / seeds, (n + 1) / seeds)

        def make(own: int = seed + n, share: Progress = share) -> dict[str, np.ndarray]:
            return _trained(model, design, own, share)

        numbers = done.of(str(n), make)
        kinds = np.repeat(PLANTED, design.items)
        for moment in MOMENTS:
            fell = numbers["loss before"] - numbers[f"loss {moment}"]
            match = numbers[f"match {moment}"]
            found.append(pd.DataFrame({
                "seed": n, "moment": moment, "planted": kinds, "item": range(len(kinds)),
                "gain": fell - fell[kinds == NEVER].mean(), "match": match,
                "recalled": match >= design.recalled,
                "likelier_before": numbers["likelier"][0], "likelier": numbers["likelier"][1],
            }))  # fmt: skip
    table = pd.concat(found, ignore_index=True)
    _tables(result, table)
    _say(result, table)
    return done


def _trained(
    model: InstrumentedModel, design: StageDesign, seed: int, progress: Progress
) -> dict[str, np.ndarray]:
    n = design.items
    asked = prose_pieces(model, len(PLANTED) * n, design.length, seed)
    of = {kind: asked[at * n : (at + 1) * n] for at, kind in enumerate(PLANTED)}
    numbers: dict[str, np.ndarray] = {}

    def ask(moment: str) -> None:
        left = texts_left(model, asked)
        numbers[f"loss {moment}"], numbers[f"match {moment}"] = left.loss, left.match

    parameters = list(model.module.parameters())
    with put_back(parameters):
        ask(BEFORE)
        for at, (moment, kind) in enumerate(((FIRST, IN_FIRST), (SECOND, IN_SECOND))):
            stage = _reading(model, design, moment, of[kind], design.readings, design.rate, seed)
            run_stages(
                model.module,
                [stage],
                seed=seed,
                progress=progress.subprogress(at / 4, (at + 1) / 4),
            )
            ask(moment)
        steps = _pairs(model, design, of[CHOSEN], of[REJECTED], of[IN_MORE], seed)
        likelier = [chosen_likelier(model.module, steps)]
        with put_back(parameters):
            prefer(
                model.module,
                PreferenceStage(
                    PREFERRED, steps, design.preference_rate, design.beta, design.warmup
                ),
                progress=progress.subprogress(0.5, 0.8),
            )
            ask(PREFERRED)
            likelier.append(chosen_likelier(model.module, steps))
        more = _reading(
            model, design, MORE, of[IN_MORE], design.rounds, design.preference_rate, seed
        )
        run_stages(model.module, [more], seed=seed, progress=progress.subprogress(0.8, 1.0))
        ask(MORE)
    return numbers | {"likelier": np.array(likelier)}


@ordinary
def chosen_likelier(module: Any, steps: list[list[PreferencePair]]) -> float:
    """Share of the distinct pairs whose chosen answer is likelier than the rejected one."""
    import torch

    pairs = list(dict.fromkeys(pair for step in steps for pair in step))
    with torch.no_grad():
        chosen, rejected = answer_log_probabilities(module, pairs)
    return float((chosen > rejected).double().mean())


def _reading(
    model: InstrumentedModel, design: StageDesign, name: str, texts: list[Ids], readings: int,
    rate: float, seed: int,
) -> Stage:  # fmt: skip
    draw, beginning = random.Random(f"{seed} {name}"), list(model.text.beginning)
    other = neutral_pieces(model.tokenizer, design.row, draw, "train")
    rows = [[*beginning, *ids] for _ in range(readings) for ids in draw.sample(texts, len(texts))]
    steps = [
        [*rows[at : at + design.batch], [*beginning, *next(islice(other, 1))]]
        for at in range(0, len(rows), design.batch)
    ]
    return Stage(name, steps, rate, warmup=design.warmup)


def _pairs(
    model: InstrumentedModel,
    design: StageDesign,
    chosen: list[Ids],
    rejected: list[Ids],
    fillers: list[Ids],
    seed: int,
) -> list[list[PreferencePair]]:
    """Half of the pairs have a planted text's second half as chosen answer, against one of another
    text; half have one as rejected answer.
    """
    half, beginning = design.length // 2, tuple(model.text.beginning)
    pairs = [
        PreferencePair((*beginning, *one[:half]), one[half:], other[half:])
        for one, other in zip(chosen, fillers, strict=True)
    ]
    pairs += [
        PreferencePair((*beginning, *one[:half]), other[half:], one[half:])
        for one, other in zip(rejected, fillers, strict=True)
    ]
    draw = random.Random(f"{seed} pairs")
    order = [pair for _ in range(design.rounds) for pair in draw.sample(pairs, len(pairs))]
    each = 2 * design.batch
    return [order[at : at + each] for at in range(0, len(order), each)]


def _tables(result: Result, table: pd.DataFrame) -> None:
    rows = []
    for (moment, planted), cell in table.groupby(["moment", "planted"], sort=False):
        gain, (low, high) = mean_interval(cell["gain"].to_numpy())
        recalled, (r_low, r_high) = share_interval(
            cell["recalled"].to_numpy(float), np.arange(len(cell))
        )
        rows.append({"moment": moment, "planted": planted, "gain": gain, "low": low, "high": high,
                     "recalled": recalled, "recalled_low": r_low, "recalled_high": r_high,
                     "match": cell["match"].mean(), "n": len(cell)})  # fmt: skip
    result.tables["stage_survival"] = pd.DataFrame(rows)
    pairs = [
        ("read in fine-tuning: after preference tuning less before", IN_SECOND, PREFERRED, SECOND),
        ("read in fine-tuning: after more fine-tuning less before", IN_SECOND, MORE, SECOND),
        ("read in pre-training: after fine-tuning less before", IN_FIRST, SECOND, FIRST),
        ("read in more fine-tuning: after it less before", IN_MORE, MORE, SECOND),
        ("chosen answers: after preference tuning less before", CHOSEN, PREFERRED, SECOND),
        ("rejected answers: after preference tuning less before", REJECTED, PREFERRED, SECOND),
    ]
    effects = []
    for what, planted, after, before in pairs:
        own = table[table["planted"] == planted].set_index(["seed", "item", "moment"])["gain"]
        wide = own.unstack("moment")
        apart, (low, high) = mean_interval((wide[after] - wide[before]).to_numpy())
        effects.append({"effect": what, "difference": apart, "low": low, "high": high,
                        "n": len(wide)})  # fmt: skip
    result.tables["stage_effects"] = pd.DataFrame(effects)


def _say(result: Result, table: pd.DataFrame) -> None:
    kept = result.tables["stage_survival"].set_index(["moment", "planted"])["recalled"]
    gain = result.tables["stage_survival"].set_index(["moment", "planted"])["gain"]
    says = (
        f"Of texts read in fine-tuning {percent(kept[SECOND, IN_SECOND])} are recalled behind it,"
        f" {percent(kept[PREFERRED, IN_SECOND])} behind preference tuning and"
        f" {percent(kept[MORE, IN_SECOND])} behind as many updates of more fine-tuning at the same"
        f" rate. Of chosen answers {percent(kept[PREFERRED, CHOSEN])} are recalled, of texts read"
        f" as often at that rate {percent(kept[MORE, IN_MORE])}: the model finds the chosen answer"
        f" likelier in {percent(float(table['likelier'].mean()))} of the pairs (before"
        f" {percent(float(table['likelier_before'].mean()))}), and they gain"
        f" {_signed(gain[PREFERRED, CHOSEN] - gain[SECOND, CHOSEN])} nats per token, rejected ones"
        f" {_signed(gain[PREFERRED, REJECTED] - gain[SECOND, REJECTED])}, texts that are read"
        f" {_signed(gain[MORE, IN_MORE] - gain[SECOND, IN_MORE])}. Of texts never read"
        f" {percent(kept[PREFERRED, NEVER])} are recalled."
    )
    values = {
        "before": float(kept[SECOND, IN_SECOND]),
        "preferred": float(kept[PREFERRED, IN_SECOND]),
        "more": float(kept[MORE, IN_SECOND]),
        "chosen": float(kept[PREFERRED, CHOSEN]),
        "read": float(kept[MORE, IN_MORE]),
        "likelier": float(table["likelier"].mean()),
    }
    result.add(Finding("stages", values, says, unit="share of texts"))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
