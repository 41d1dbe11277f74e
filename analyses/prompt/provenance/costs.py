"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.provenance.active_features import autoencoders_of
from analyses.prompt.provenance.constants import (
    AROUND,
    DRAWS,
    DRAWS_LONG,
    LONG,
    PARTS_AT_RANDOM,
    RANDOM_FEATURES,
    RANDOM_GROUPS,
    TRIED_FEATURES,
)
from analyses.prompt.provenance.prompt_parts import PromptParts, take_apart
from analyses.prompt.provenance.subject import candidates
from analyses.prompt.provenance.training_influence import compared, steps_of, training_of
from hooks.hidden_keys import unavailable_reason
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.prompt.provenance.params import Params
    from hooks.model import InstrumentedModel

_TRIED = 2  # contexts in which a subject is looked for
_WORDINGS = 4
_ANSWER = 3  # tokens of the model's own answer: its first clause
_CHARACTERS = 4  # of a token
_NOISES = 3  # draws of noise
_UNEMBEDDING = 0.3  # of a token's work, about
_FORWARD_MODE = 4
_CUT = 3  # sentences that are cut out
_MORE = 4  # tokens said beyond an answer


def draws_of(params: Params, asked: PromptParts) -> int:
    """Neutral texts of a run."""
    return params.draws or (DRAWS if len(asked.ids) <= LONG else DRAWS_LONG)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    asked = take_apart(model, params.prompt, params.question, chat=params.chat)
    n, answer = len(asked.ids), _ANSWER if not params.answer else len(params.answer) / _CHARACTERS
    tail = n - asked.question[0]
    hides = unavailable_reason(model) is None
    behind = (tail if hides else n) + answer  # read again where a span of the question is blocked
    draws, whole = draws_of(params, asked), n + answer + (0 if asked.context else AROUND)
    tried = 0 if params.subject else len(candidates(asked))
    pieces = len(asked.sentences)
    half = n / 2 if n <= LONG else n / 4
    contexts = draws + 1 + _TRIED * (tried > 0)
    blocked = _TRIED * tried + draws + 1 + 2 * PARTS_AT_RANDOM
    cut = min(_CUT, pieces)
    found = {
        "split": Cost(
            contexts * whole + blocked * behind + n + params.length,
            passes=2 * contexts + params.length,
        ),
        "sentences": Cost(
            pieces * (half + tail + 2 * answer) + (2 + cut) * n, passes=4 + cut * (answer + _MORE)
        ),
        "tokens": Cost(
            (n if n <= LONG else LONG / 4) * answer + 2 * n, passes=3, backward=n + answer
        ),
    }
    if "z" in model.sites:
        heads = max(1, model.n_heads) * model.n_layers
        off = 2 * (1 + RANDOM_GROUPS) * answer
        found["heads"] = Cost(3 * n + heads / 2 + off, passes=4 + off)
    found["closed-book"] = Cost(
        _WORDINGS * (2 * tail + answer), passes=_WORDINGS * (2 + answer + _MORE)
    )
    variants = _NOISES * model.n_layers * tail
    found["trace"] = Cost(variants * (tail / 4 + _UNEMBEDDING) + _NOISES * tail * tail, passes=20)
    if params.corpus.strip():
        texts = 3 * params.samples * (2 if params.beside.strip() else 1)
        found["samples"] = Cost(texts * params.sampled, passes=texts * params.sampled / 8)
    if n_features := len(autoencoders_of(model)):
        taken = 1 + TRIED_FEATURES + RANDOM_FEATURES
        found["features"] = Cost(
            n_features * (n + taken * answer),
            passes=n_features * (2 + taken),
            backward=n_features * n,
        )
    trained = training_of(model)
    if not isinstance(trained, str):
        read, steps = compared(trained[1], params.seed), len(steps_of(trained[0]))
        tokens = steps * sum(len(entry.ids) for entry in read)
        # Forward mode carries a second number beside each, and the plain attention is slower.
        found["training"] = Cost(
            _FORWARD_MODE * tokens, passes=steps * len(read) / 32, backward=steps * (n + answer)
        )
    found["recited"] = Cost(n + answer, passes=2, seconds=1.0)
    return found
