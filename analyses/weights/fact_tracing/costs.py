"""What the parts of a run cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.weights.fact_tracing.constants import ATTENTION, MLP, SPANS, STATE
from analyses.weights.fact_tracing.maps import restored_parts
from analyses.weights.fact_tracing.params import relations_of
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.params import Params
    from hooks.model import InstrumentedModel

_ASKED = 3  # facts that are asked closed-book for each that is traced
_ANSWER = 4  # tokens generated for it
_SUBJECTS = 20  # of a relation, whose lengths are looked at
_LENGTHS = 1.5  # different numbers of tokens from the subject on, in a relation
_MOMENT = 20_000  # tokens that keys are read from
_EDIT = 4500  # tokens that one edit reads and goes back through


@dataclass(frozen=True)
class _Prompts:
    """How many facts are asked, in how many relations; tokens of a prompt, and from its subject
    on.
    """

    asked: int
    relations: int
    tokens: float
    behind: float


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    facts, prompts = 1 if params.is_own() else params.facts, _prompts(model, params)
    card = model.card
    logits = card.d_vocab * card.d_model
    unembedding = logits / max(logits, card.n_params - logits)  # as a share of a token
    half = (model.n_layers + 1) / (2 * model.n_layers)  # of the layers, above a place in them
    groups = _LENGTHS * prompts.relations * prompts.behind
    asked = Cost(
        forward=prompts.asked * (prompts.tokens + _ANSWER),
        passes=prompts.relations * (1 + _ANSWER),
    )

    def traced(kind: str, runs: float) -> Cost:
        part = restored_parts(model, [kind], params.window, params.step)[kind]
        variants = len(part.centres(model)) * prompts.behind * runs
        read = prompts.behind * runs * (prompts.tokens + prompts.behind) * (kind == STATE)
        return Cost(
            forward=variants * ((prompts.behind + 1) / 2 * half + unembedding) + read,
            passes=groups * (3 if kind == STATE else 0.5),
            bytes=256 * 2**20,
        )

    runs = facts * (params.draws + (0 if params.is_own() else 1))
    shown = Cost(forward=facts * prompts.tokens, passes=1)
    vectors = facts * model.n_layers
    found = {
        "facts": {"facts": asked},
        "states": {"states": traced(STATE, runs)},
        "attention": {"attention": traced(ATTENTION, runs)},
        "knockout": {
            "knockout": Cost(
                forward=facts * len(SPANS) * model.n_layers * (half + unembedding)
                + facts * (prompts.tokens + 1),
                passes=3,
            )
        },
        "extraction": {"extraction": shown + Cost(forward=2 * vectors * unembedding)},
        "heads": {
            "heads": shown * model.n_layers
            + Cost(forward=vectors * max(1, model.n_heads) * unembedding)
        },
        "enrichment": {"enrichment": shown + Cost(forward=vectors * unembedding)},
        "wordings": {"wordings": (asked + traced(STATE, facts)) * 8},
    }
    if "mlp_out" in model.sites:
        found["mlp"] = {"mlp": traced(MLP, runs)}
        read = Cost(forward=prompts.behind * runs * (prompts.tokens + prompts.behind))
        states = traced(STATE, facts * params.draws)
        found["severed"] = {"severed": Cost(forward=max(0.0, 2 * (states.forward - read.forward)))}
        edits = params.edited * -(-model.n_layers // params.edit_step)
        found["best-layer"] = {
            "best-layer": Cost(forward=_MOMENT + edits * _EDIT, backward=edits * _EDIT)
        }
    return found


def _prompts(model: InstrumentedModel, params: Params) -> _Prompts:
    if params.is_own():
        text, subject = params.prompt, params.subject.strip()
        own = len(model.continuation_tokens(text[text.rfind(subject) :]))
        return _Prompts(1, 1, len(model.tokens(text)), own)
    relations = relations_of(params)
    asked, before, behind = 0, 0.0, 0.0
    share = -(-params.facts // len(relations))
    for relation in relations:
        asked += min(len(relation.facts), _ASKED * share)
        head, _, tail = relation.closed_book.partition("{subject}")
        subjects = [each.subject for each in relation.facts[:_SUBJECTS]]
        lengths = [len(model.continuation_tokens(" " + each)) for each in subjects]
        behind += sum(lengths) / len(lengths) + len(model.continuation_tokens(tail))
        before += len(model.tokens(head))
    n = len(relations)
    return _Prompts(asked, n, (before + behind) / n, behind / n)
