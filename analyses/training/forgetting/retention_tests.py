"""Whether facts that are no longer said are lost or only misplaced: the same facts asked in five
ways, before and after fine-tuning, each against what the way gives without the facts.

Re-alignment (spurious forgetting, Zheng et al. 2025) trains the fine-tuned model for some steps on
*other* old facts and asks the rest, both halves in turn; the same steps from random weights, and
facts that the base never knew, say what those steps teach by themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import workbench as wb
from analyses.measures.forgetting_answers import AskedFact, answer_scores
from analyses.measures.forgetting_verdict import RetentionTest
from analyses.measures.untrained_twin import untrained
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.answer_probe import can_be_taught, probe_hits, shuffled_hits
from analyses.training.forgetting.old_facts import OldFacts, halves_of
from hooks.mixed_weights import WeightPair, replaced
from workbench.lab import Stage, run_stages

if TYPE_CHECKING:
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_SHUFFLES = 10


@dataclass(frozen=True)
class RetentionResults:
    """Everything that was asked.

    Attributes:
        tests: by name of `constants.TESTS`; a test that could not be made is not there.
        unknown: share of never-known facts that re-alignment made the model say; NaN without any.
        layer: that the probe reads: the best on the base.
        probe: a row per layer: `layer`, `base`, `fine-tuned`, `untrained`, `shuffled`.
        before, after: the likeliest token behind each prompt, as text.
    """

    tests: dict[str, RetentionTest]
    unknown: float
    layer: int
    probe: list[dict[str, float]]
    before: list[str]
    after: list[str]


def run_tests(
    model: InstrumentedModel, pair: WeightPair, facts: OldFacts, params: Params, progress: Progress
) -> RetentionResults:
    """All tests; the model has the base's weights, before and afterwards."""
    progress(0.0, "Asking the old facts before and after")
    twin = untrained(model, params.seed)
    asked = {c.BASE: _asked(model, facts)}
    states = {c.BASE: last_states(model, facts.facts), "untrained": last_states(twin, facts.facts)}
    with replaced(model, pair.tuned):
        asked[c.TUNED] = _asked(model, facts)
        states[c.TUNED] = last_states(model, facts.facts)
    commonest = facts.commonest()
    before, after = asked[c.BASE], asked[c.TUNED]
    tests = {
        name: RetentionTest(before[name], after[name], commonest)
        for name in (c.FREE, c.AMONG, c.SHOTS)
        if name in before
    }
    progress(0.15, "Probing the last token's state")
    probe, layer, found = _probed(states, facts.labels, params.seed)
    if found is not None:
        tests[c.PROBE] = RetentionTest(found[0], found[1], _higher(found[2], commonest))
    realigned, unknown, control = _realigned(
        model, twin, pair, facts, params, progress.subprogress(0.2, 1.0)
    )
    floor = _higher(control, commonest)
    if len(facts.unknown) >= c.FEWEST and unknown > floor.mean():
        floor = np.array([unknown])
    tests[c.REALIGNED] = RetentionTest(before[c.FREE], realigned, floor)
    words = [model.token_strings([int(i) for i in each["first"]]) for each in (before, after)]
    ordered = {name: tests[name] for name in c.TESTS if name in tests}
    return RetentionResults(ordered, unknown, layer, probe, words[0], words[1])


def _higher(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of two controls the one that gets more right."""
    return one if one.mean() >= other.mean() else other


def _asked(model: InstrumentedModel, facts: OldFacts) -> dict[str, Any]:
    plain = answer_scores(model, facts.facts)
    found: dict[str, Any] = {
        c.FREE: plain.said.astype(float),
        c.AMONG: plain.among.astype(float),
        "first": plain.first,
    }
    if facts.with_shots:
        found[c.SHOTS] = answer_scores(model, facts.with_shots).said.astype(float)
    return found


@torch.no_grad()
def last_states(model: InstrumentedModel, facts: Sequence[AskedFact]) -> np.ndarray:
    """The stream behind each layer at the prompt's last token, (layer, fact, d_model)."""
    trace = wb.capture(model, [fact.ids for fact in facts], sites="resid_post", positions=[-1])
    values = trace["resid_post"].transpose("layer", "prompt", "pos", "d_model").values
    found: np.ndarray = np.asarray(values, float)[:, :, 0]
    return found


def _probed(
    states: dict[str, np.ndarray], labels: Sequence[str], seed: int
) -> tuple[list[dict[str, float]], int, tuple[np.ndarray, np.ndarray, np.ndarray] | None]:
    """(a row per layer, the layer that is best on the base, hits there before, after, and of the
    probe's null); None where no answer belongs to two facts.
    """
    second = halves_of(labels, seed)
    if not can_be_taught(labels, second):
        return [], -1, None
    rows, hits = [], []
    for layer in range(len(states[c.BASE])):
        found = {name: probe_hits(each[layer], labels, second) for name, each in states.items()}
        null = shuffled_hits(states[c.TUNED][layer], labels, second, _SHUFFLES, seed)
        hits.append((found, null))
        rows.append(
            {"layer": layer, "shuffled": float(null.mean()),
             **{name: float(each.mean()) for name, each in found.items()}}
        )  # fmt: skip
    best = int(np.argmax([row[c.BASE] for row in rows]))
    found, null = hits[best]
    floor = _higher(found["untrained"], null)
    return rows, best, (found[c.BASE], found[c.TUNED], floor)


def _realigned(
    model: InstrumentedModel,
    twin: InstrumentedModel,
    pair: WeightPair,
    facts: OldFacts,
    params: Params,
    progress: Progress,
) -> tuple[np.ndarray, float, np.ndarray]:
    """(of each fact, whether it is said after steps on the other half; share of never-known facts
    that are said then; of each fact, the same from random weights).
    """
    second = halves_of(facts.labels, params.seed)
    said = np.zeros(len(facts.facts))
    control = np.zeros(len(facts.facts))
    unknown = []
    for n, test in enumerate((second, ~second)):
        train = [fact for fact, out in zip(facts.facts, test, strict=True) if not out]
        asked = [fact for fact, out in zip(facts.facts, test, strict=True) if out]
        if not train or not asked:
            continue
        weights = realigned_weights(
            model, pair, train, params, progress.subprogress(n / 2, n / 2 + 0.25)
        )
        with replaced(model, weights):
            said[test] = answer_scores(model, asked).said
            if facts.unknown:
                unknown.append(answer_scores(model, facts.unknown).said.mean())
        weights = realigned_weights(
            twin, None, train, params, progress.subprogress(n / 2 + 0.25, n / 2 + 0.5)
        )
        with replaced(twin, weights):
            control[test] = answer_scores(twin, asked).said
    return said, float(np.mean(unknown)) if unknown else float("nan"), control


def realigned_weights(
    model: InstrumentedModel,
    pair: WeightPair | None,
    train: Sequence[AskedFact],
    params: Params,
    progress: Progress,
) -> dict[str, torch.Tensor]:
    """All weights after some steps on the answers of these facts, from the fine-tuned ones, or
    from those that the model has.
    """
    module = copy.deepcopy(model.module)
    if pair is not None:
        with torch.no_grad():
            for name, new in pair.tuned.items():
                module.get_parameter(name).copy_(new)
    draw, order = np.random.default_rng(params.seed), list[int]()
    steps: list[list[tuple[int, ...]]] = []
    froms: list[list[int]] = []
    for _ in range(params.realign_steps):
        while len(order) < c.STEP_ROWS:
            order += draw.permutation(len(train)).tolist()
        chosen, order = order[: c.STEP_ROWS], order[c.STEP_ROWS :]
        steps.append([train[i].text.ids for i in chosen])
        froms.append([train[i].text.first for i in chosen])
    stage = Stage("re-alignment", steps, params.realign_rate, c.REALIGN_WARMUP, loss_from=froms)
    run_stages(module, [stage], seed=params.seed, progress=progress)
    return {name: p.detach() for name, p in module.named_parameters()}
