"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.fact_tracing.constants import ATTENTION, MLP, SPANS, STATE
from analyses.weights.fact_tracing.maps import restored_parts
from analyses.weights.fact_tracing.params import relations_of
from workbench.cost import Cost, total

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.params import Params
    from hooks.model import InstrumentedModel

_ASKED = 3  # facts that are asked closed-book for each that is traced
_TOKENS = 8  # of a prompt
_ANSWER = 5  # generated for it
_SUBJECT = 1.7  # tokens of a subject
_HALF = 0.5  # of the layers that a variant walks through
_VOCABULARY = 0.3  # of a token: the logits at the end of a walk
_GROUPS = 5  # of facts that share a walk
_EDIT = 220  # tokens that one value is optimised over, forward and backward


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    return {part: total(each.values()) for part, each in stages(model, params).items()}


def stages(model: InstrumentedModel, params: Params) -> dict[str, dict[str, Cost]]:
    """By part, and by stage of it."""
    facts = 1 if params.is_own() else params.facts
    asked = Cost(forward=facts * _ASKED * (_TOKENS + _ANSWER), passes=8 * _ANSWER)
    draws = params.draws + 1  # another subject is one more
    behind = _behind(model, params)  # tokens from the subject on, each restored and run on from

    def traced(kind: str, runs: float) -> Cost:
        part = restored_parts(model, [kind], params.window, params.step)[kind]
        variants = len(part.centres(model)) * behind * runs
        run_on = (behind + 1) / 2
        return Cost(
            forward=variants * (run_on * _HALF + _VOCABULARY) + behind * runs * _TOKENS,
            passes=_GROUPS * behind * (1 + _HALF) * 2,
            bytes=256 * 2**20,
        )

    shown = Cost(forward=facts * _TOKENS, passes=1)
    vectors = facts * model.n_layers
    found = {
        "states": {"facts": asked, "states": traced(STATE, facts * draws)},
        "attention": {"attention": traced(ATTENTION, facts * draws)},
        "knockout": {
            "knockout": Cost(
                forward=facts * len(SPANS) * model.n_layers * (_HALF + _VOCABULARY)
                + 2 * facts * _TOKENS,
                passes=4,
            )
        },
        "extraction": {"extraction": shown + Cost(forward=2 * vectors * _VOCABULARY)},
        "heads": {
            "heads": shown * model.n_layers
            + Cost(forward=vectors * max(1, model.n_heads) * _VOCABULARY)
        },
        "enrichment": {"enrichment": shown + Cost(forward=vectors * _VOCABULARY)},
        "wordings": {"wordings": (asked + traced(STATE, facts)) * 8},
    }
    if "mlp_out" in model.sites:
        found["mlp"] = {"mlp": traced(MLP, facts * draws)}
        found["severed"] = {"severed": traced(STATE, facts * draws) * 2}
        layers = -(-model.n_layers // params.edit_step)
        found["best-layer"] = {
            "best-layer": Cost(forward=20_000 + layers * params.edited * _EDIT * 2,
                               backward=layers * params.edited * _EDIT * 20)
        }  # fmt: skip
    return found


def _behind(model: InstrumentedModel, params: Params) -> float:
    """Tokens of a prompt from the subject on."""
    if params.is_own():
        text, subject = params.prompt, params.subject.strip()
        return len(model.continuation_tokens(text[text.rfind(subject) :]))
    tails = [each.closed_book.partition("{subject}")[2] for each in relations_of(params)]
    return _SUBJECT + sum(len(model.continuation_tokens(tail)) for tail in tails) / len(tails)
