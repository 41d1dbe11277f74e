"""The run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.single_prompt import dla
from analyses.prompt.single_prompt.constants import NAME
from analyses.prompt.single_prompt.findings import (
    add_lens,
    add_measurements,
    add_next,
    attribute,
    left_out,
    lens_unavailable_reason,
    tokens_table,
    whole_sites,
)
from analyses.prompt.single_prompt.forward_pass import read_prompt
from analyses.prompt.single_prompt.params import MAX_EXTRA, MAX_TOKENS, Params
from hooks.capture import estimate
from hooks.prompts import tokenize
from hooks.sites import resolve
from hooks.targets import distinct
from workbench.errors import BadInput
from workbench.models.conversation import typed
from workbench.result import Result

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Look at one prompt. The package's docstring has the steps."""
    prompt = tokenize(model, typed(params.prompt, params.chat))
    ids = prompt.ids
    if len(ids) > MAX_TOKENS:
        raise BadInput(
            f"The prompt has {len(ids):,} tokens.",
            f"at most {MAX_TOKENS}, since every attention pattern is kept",
            "Shorten it.",
        )
    layers = _layers(model, params.layers)
    extra = _extra(model, params)
    progress(0.0, "Reading the prompt")
    answer = _token(model, prompt.text, params.answer)
    if answer is None:
        answer = int(model.next_logits([ids])[0].argmax())
    other = _token(model, prompt.text, params.other)
    if other is not None:
        distinct(
            model,
            [answer, other],
            [params.answer or model.token_strings([answer])[0], params.other],
        )
    targets = [answer] if other is None else [answer, other]
    words = model.token_strings(targets)
    why: dict[str, str] = {}
    no_sum = dla.unavailable_reason(model)
    lens = not lens_unavailable_reason(model)
    if not lens:
        why["logit_lens"] = lens_unavailable_reason(model)
    if no_sum:
        why["heads"] = why["components"] = no_sum
    progress(0.1, "Recording every layer")
    along = None if no_sum else dla.direction(model, answer, other)
    seen = read_prompt(model, ids, layers, targets, along, neurons=params.neurons, lens=lens)
    progress(0.8, "Making tables")

    result = Result(NAME)
    tokens = model.prompt_strings(ids)
    result.provenance.notes = {
        "answer": words[0],
        **({"other": words[1]} if other is not None else {}),
        "attributed": (
            (
                "logit of the answer"
                if other is None
                else "logit of the answer minus that of the other"
            )
            + (", before the soft-cap" if model.layout.logit_cap is not None else "")
        ),
        "norms": "the final norm's scale is frozen",
        "format": "the tokenizer's chat template" if prompt.from_template else "plain text",
    }
    add_next(result, model, seen, tokens)
    result.tables["tokens"] = tokens_table(tokens, prompt.from_template)
    add_measurements(result, model, seen, tokens, words, layers)
    if along is not None:
        attribute(result, seen, along.constant, words)
    add_lens(result, words[0])
    left_out(result, model, seen, params, why)
    if extra:
        progress(0.85, "Keeping the chosen sites")
        whole_sites(result, model, params, layers, extra)
    progress(1.0, "Done")
    return result


def _layers(model: InstrumentedModel, requested: list[int] | None) -> list[int]:
    every = range(model.n_layers)
    for layer in requested or ():
        if layer not in every:
            raise BadInput(
                f"{model.card.name} has no layer {layer}.",
                f"0 to {model.n_layers - 1}",
                "Choose layers in that range.",
            )
    return sorted(set(requested)) if requested else list(every)


def _extra(model: InstrumentedModel, params: Params) -> list[str]:
    """The short names of the sites to keep whole: they exist, and are not too large together."""
    if not params.sites:
        return []
    layers = params.layers or None
    shorts = [
        place.site.short for place in resolve(model.layout, params.sites, layers, model.card.name)
    ]
    size = estimate(model, params.prompt, params.sites, layers)
    if size > MAX_EXTRA:
        raise BadInput(
            f"The sites {', '.join(dict.fromkeys(shorts))} of this prompt take"
            f" {size / 2**20:,.0f} MB.",
            f"at most {MAX_EXTRA >> 20} MB",
            "Choose fewer sites or layers, or a shorter prompt; `workbench trace` streams any size"
            " to a folder.",
        )
    return list(dict.fromkeys(shorts))


def _token(model: InstrumentedModel, prompt: str, text: str) -> int | None:
    """The token a text begins with as a continuation; people type "Paris" and mean " Paris"."""
    if not text.strip():
        return None
    spaced = text if text[0].isspace() or prompt[-1:].isspace() else f" {text}"
    return int(model.continuation_tokens(spaced)[0])
