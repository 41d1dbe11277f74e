"""Facts of a relation forgotten by random labels, and a relation erased as a concept: how far it
reaches, and whether it is only hidden.

Part `spreading`: Zhang et al. 2024 (Unforgettable Generalization, 2409.02228). Part `concept`: the
three criteria of Gandikota et al. 2024 (ELM, 2410.02760), as far as they are to be had: innocence
(questions at chance, probes), seamlessness (how unlikely what it says is to the original) and
specificity (other relations, prose). No benchmark of theirs is read, and no prompt searched.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from analyses.weights.unlearning_audit.answer_probes import answer_probe
from analyses.weights.unlearning_audit.constants import CONCEPT, ORIGINAL, RANDOM, SPREADING
from analyses.weights.unlearning_audit.criteria import answers
from analyses.weights.unlearning_audit.fact_groups import GROUPS
from analyses.weights.unlearning_audit.fact_tasks import FactTask, answered, entropy, tasks_of
from analyses.weights.unlearning_audit.sets import prose
from hooks.generation import continued
from hooks.unlearning import METHODS, Concept, Settings, Text, Unlearned, random_change, unlearn
from hooks.unlearning.texts import nats_of_all

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pandas as pd

    from analyses.weights.unlearning_audit.params import Params
    from analyses.weights.unlearning_audit.questions import AuditQuestion
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

METHOD_OF = {SPREADING: "random-labels", CONCEPT: "elm"}
"""Part -> what it trains."""
_RATES, _RATES_OF_SMALL = (3e-4, 1e-3, 3e-3), (0.003, 0.01, 0.03)
_SMALL = 20_000_000
_SAID = 24  # tokens
_PROSE, _LENGTH = 12, 64  # passages, and tokens of each

Row = dict[str, Any]


def spread(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    parts: Mapping[str, Progress],
) -> None:
    """Tables `facts`, `answer_probes` and `erased` of these parts.

    They are missing where the model knows too little of all relations; the notes of the run say how
    many facts it knows of each.
    """
    first = next(iter(parts.values())).subprogress(0, 0.1)
    tasks, known = tasks_of(model, params.relation_names, params.seed, first)
    said = ", ".join(f"{name} {n}" for name, n in known.items())
    result.provenance.notes["facts"] = f"known closed-book: {said}"
    neutral = [p.text for p in prose(model, "neutral", _PROSE, _LENGTH, params.seed)]
    found = _Found([], [], [])
    before: dict[str, _Found] = {}
    jobs = [
        (
            task,
            METHOD_OF[name],
            whole.subprogress(0.1 + 0.9 * n / len(tasks), 0.1 + 0.9 * (n + 1) / len(tasks)),
        )
        for name, whole in parts.items()
        for n, task in enumerate(tasks)
    ]
    for task, method, part in jobs:
        title = METHODS[method].label
        begins = f"{title} on {task.name}"
        part(0.0, begins)
        started = time.monotonic()
        done = forget(model, tasks, task, method, params, part.subprogress(0.0, 0.6))
        log = {
            "reached": done.log.reached,
            "steps": done.log.step,
            "rate": done.log.rate,
            "seconds": time.monotonic() - started,
        }
        part(0.6, f"{begins}: measuring the original")
        if task.name not in before:
            before[task.name] = _measured(model, None, tasks, task, neutral, params.seed)
        part(0.7, f"{begins}: measuring what is left")
        after = _measured(model, done, tasks, task, neutral, params.seed)
        part(0.9, f"{begins}: measuring {RANDOM}")
        null = _measured(
            model, random_change(model, done, params.seed), tasks, task, neutral, params.seed,
            probed=False,
        )  # fmt: skip
        about = {"method": title, "task": task.name}
        found.add(before[task.name], about | {"model": ORIGINAL}, _NOTHING)
        found.add(after, about | {"model": title}, log)
        found.add(null, about | {"model": RANDOM}, _NOTHING)
        found.into(result)
        part.checkpoint(result)


@dataclass(frozen=True)
class _Found:
    """Rows of the tables `facts`, `answer_probes` and `erased`."""

    facts: list[Row]
    probes: list[pd.DataFrame]
    erased: list[Row]

    def add(self, other: _Found, about: Row, log: Row) -> None:
        """With what they are of, and how the training went."""
        self.facts.extend(about | row for row in other.facts)
        self.probes.extend(table.assign(**about) for table in other.probes)
        self.erased.extend(about | row | log for row in other.erased)

    def into(self, result: Result) -> None:
        import pandas as pd

        result.tables["facts"] = pd.DataFrame(self.facts)
        result.tables["answer_probes"] = pd.concat(self.probes, ignore_index=True)
        result.tables["erased"] = pd.DataFrame(self.erased)


_NOTHING: Row = dict.fromkeys(("reached", "steps", "rate", "seconds"))
"""How the training of what was not trained went."""


def _measured(
    model: InstrumentedModel,
    change: Unlearned | None,
    tasks: Sequence[FactTask],
    task: FactTask,
    neutral: Sequence[Text],
    seed: int,
    *,
    probed: bool = True,
) -> _Found:
    """Every question, a probe, and what the model says, with a change on."""
    with _on(model, change):
        asked = _asked(model, tasks, task)
        probes = [answer_probe(model, task.all, seed)] if probed else []
        nats = float(nats_of_all(model, neutral).mean())
        says = _says(model, task.held_out)
    # Outside: what it says is judged by the original.
    fluency = float(nats_of_all(model, says).mean())
    return _Found(asked, probes, [{"neutral": nats, "fluency": fluency}])


def _on(model: InstrumentedModel, change: Unlearned | None) -> AbstractContextManager[Any]:
    return nullcontext() if change is None else change.applied(model)


def forget(
    model: InstrumentedModel,
    tasks: Sequence[FactTask],
    task: FactTask,
    method: str,
    params: Params,
    progress: Progress,
) -> Unlearned:
    """One half of a relation forgotten, until its answers are guesses (`fact_tasks.entropy`); what
    is to be kept are the halves of the other relations that are not asked, and prose.
    """
    texts = answered(model, task.trained, [q.answer for q in task.trained])
    others = [q for other in tasks if other is not task for q in other.trained]
    kept = answered(model, others, [q.answer for q in others])
    kept += [p.text for p in prose(model, "train", _PROSE, _LENGTH, params.seed)]
    rates = _RATES_OF_SMALL if model.card.n_params < _SMALL else _RATES
    settings = Settings(
        entropy(texts), params.steps, rates, seed=params.seed, concept=concept_of(task)
    )
    return unlearn(model, method, texts, kept, settings, progress)


def concept_of(task: FactTask) -> Concept:
    """A relation as ELM needs it: who knows it, and who does not."""
    asks = task.relation.asks
    return Concept(
        (
            f"The following was written by an expert who always knows: {asks}\n\n",
            f"Here a specialist answers correctly: {asks}\n\n",
        ),
        (
            f"The following was written by a novice who has no idea: {asks}\n\n",
            f"Here somebody guesses who has never heard of it: {asks}\n\n",
        ),
        " This is left aside now. Turning to something else:",
    )


def _asked(model: InstrumentedModel, tasks: Sequence[FactTask], task: FactTask) -> list[Row]:
    """Every question: those trained on, others of the relation, and of other relations those that
    no training sees.
    """
    others = [q for other in tasks if other is not task for q in other.held_out]
    sets = dict(zip(GROUPS, (task.trained, task.held_out, others), strict=True))
    group = {(q.field, q.passage): name for name, own in sets.items() for q in own}
    rows = answers(model, [q for own in sets.values() for q in own], "")
    return [
        {
            "group": group[row["field"], row["passage"]],
            "relation": row["field"],
            "subject": row["passage"],
            **{name: row[name] for name in ("answer", "says", "chosen", "log_p", "log_p_wrong")},
        }
        for row in rows
    ]


@torch.no_grad()
def _says(model: InstrumentedModel, questions: Sequence[AuditQuestion]) -> list[Text]:
    """What greedy decoding says behind each question, as text of which that is predicted."""
    groups: dict[int, list[AuditQuestion]] = {}
    for q in questions:
        groups.setdefault(len(q.prompt), []).append(q)
    found = []
    for length, own in groups.items():
        prompts = torch.tensor([q.prompt for q in own], device=model.device)
        said = continued(model, prompts, _SAID, ends=()).tolist()
        found += [Text((*q.prompt, *ids), length) for q, ids in zip(own, said, strict=True)]
    return found
