"""Which tokens open the model's memory, and which features do they open?

Method: Zhang et al. 2025 (function tokens), on any model with sparse autoencoders, with the
controls that its reviews asked for; docs/methods/function-tokens.md has the definitions and where
this departs, docs/results/function-tokens.md which claims of the paper replicate.

params.py           what is asked
parts.py            the experiments of a run
costs.py            … and what they cost
experiment.py       the run: its parts, one after the other
constants.py        what measuring and showing share
corpus.py           the text that is read
words.py            function tokens by frequency, and the function words of grammar
scan.py             one pass over the text: graphs, examples, losses
baselines.py        random directions, an untrained twin
graph.py            tokens × features, and what fewer occurrences would have shown
top_examples.py     examples of each feature
coverage.py         coverage and degree, each beside what would explain it away
facts.py            facts the model knows
reactivation.py     ablation and steering of what is active again at the last token
transitions.py      losses by transition
ngrams.py           beside mere counting
training_steps.py   the steps of a training that are kept
training.py         the same along a training, and the features that are alive at its steps
feature_stats.py    what a feature says: logits, neighbours, tokens
prompt_features.py  single prompts, token by token
cache.py            what took minutes, kept for the next run
findings.py         from numbers to tables and findings; reactivation_findings, training_findings
claims.py           claim by claim
schema.py           what tables, arrays and findings mean
selections.py       what the pages show of the tables
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.features.function_tokens.constants import NAME
from analyses.features.function_tokens.params import Params
from analyses.features.function_tokens.parts import PARTS, PRESETS
from analyses.features.function_tokens.playground_tab import playground
from analyses.features.function_tokens.schema import SCHEMA
from analyses.features.function_tokens.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
    "PARTS",
    "PRESETS",
    "SCHEMA",
    "VIEWS",
    "Params",
    "cost",
    "gives",
    "name",
    "playground",
    "question",
    "run",
]

name = NAME
TITLE = "Function tokens and features"
question = "Which tokens open the model's memory, and which features do they open?"
gives = (
    "The few tokens that activate most features, and what an answer loses without the features"
    " that they reactivate."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.features.function_tokens import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other."""
    from analyses.features.function_tokens import experiment

    return experiment.run(model, params, progress)
