"""The run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.prompt.intervention.constants import NAME
from analyses.prompt.intervention.params import Params
from analyses.prompt.intervention.random_heads import finding, random_heads
from hooks.model_change import change_of, heads_from
from hooks.prompt_output import as_continuation, continuation, read_prompt
from hooks.prompts import tokenize
from workbench import runs
from workbench.heads import head_name
from workbench.models.conversation import typed
from workbench.result import Finding, Result
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from hooks.model_change import ModelChange
    from hooks.prompt_output import PromptOutput
    from workbench.progress import Progress

SIDES = ("memory", "context")
_NAMED = 3  # heads that a sentence names


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read and continue the prompt twice.

    Raises:
        BadInput, NotFound: a head, run or control that there is not.
    """
    prompt, answers = typed(params.prompt, params.chat), (params.memory, params.context)
    source = runs.open_run(params.run) if params.run else None
    change = change_of(model, params.heads, source, params.control, params.value)
    progress(0.0, "The model as it is")
    before = read_prompt(model, prompt, answers)
    texts = {"unchanged": _text(continuation, model, prompt, params.length, progress)}
    progress(0.4, f"The changed model: {change.says() or 'no change'}")
    with change.on(model):
        after = read_prompt(model, prompt, answers)
        texts["changed"] = _text(continuation, model, prompt, params.length, progress)
    result = Result(NAME)
    words = _in_words(change)
    result.provenance.notes["change"] = words
    result.tables["likeliest"] = _likeliest(model, before, after)
    _add(result, before, after, texts, words)
    if change.off:
        _add_control(result, model, params, before, progress.subprogress(0.7, 1.0))
    progress(1.0, "Done")
    return result


def _in_words(change: ModelChange) -> str:
    """The change; few heads by their names."""
    words = change.says() or "nothing was switched off, so it stays"
    if not 0 < len(change.off) <= _NAMED:
        return words
    names = " and ".join(head_name(*head) for head in change.off)
    return ", ".join([f"{names} off", *words.split(", ")[1:]])


def _text(continuation: Any, model: Any, prompt: Any, length: int, progress: Progress) -> str:
    if not length:
        return ""
    return str(continuation(model, prompt, length, lambda: not progress.cancelled))


def _likeliest(model: InstrumentedModel, before: PromptOutput, after: PromptOutput) -> pd.DataFrame:
    """The tokens that are among the likeliest of either model, with both probabilities."""
    import pandas as pd

    sides = (before.next_logp, after.next_logp)
    k = len(before.tokens)
    ids = list(dict.fromkeys(i for side in sides for i in side.topk(k).indices.tolist()))
    p, changed_p = (side[ids].exp().tolist() for side in sides)
    frame = pd.DataFrame({"token": model.token_strings(ids), "p": p, "changed_p": changed_p})
    order = frame[["p", "changed_p"]].max(axis=1).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _add_control(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    before: PromptOutput,
    progress: Progress,
) -> None:
    """The draws of random heads, and the finding that they are."""
    read = tokenize(model, typed(params.prompt, params.chat))
    followed = {"p": int(before.next_logp.argmax())}
    for side, text in zip(SIDES, (params.memory, params.context), strict=True):
        if text.strip():
            tail = model.continuation_tokens(as_continuation(read.text, text))
            followed[f"{side}_p"] = tail[0]
    off = heads_from(params.heads, model)
    drawn = random_heads(model, read.ids, off, followed, params.seed, progress)
    if len(drawn):
        result.tables["random_heads"] = drawn
        result.add(finding(drawn, *before.tokens[0]))


def _add(
    result: Result, before: PromptOutput, after: PromptOutput, texts: dict[str, str], change: str
) -> None:
    """Tables and findings from both sides."""
    import pandas as pd

    pairs = zip(before.tokens, after.tokens, strict=True)
    result.tables["next_tokens"] = pd.DataFrame(
        [
            {"rank": rank, "token": a[0], "p": a[1], "changed_token": b[0], "changed_p": b[1]}
            for rank, (a, b) in enumerate(pairs, 1)
        ]
    )
    rows: list[dict[str, Any]] = [
        {
            "side": side,
            "answer": a.text,
            "first_token": a.first_token,
            "p": a.p_first,
            "changed_p": b.p_first,
            "logp": a.logp,
            "changed_logp": b.logp,
        }
        for side, a, b in zip(SIDES, before.answers, after.answers, strict=True)
        if a is not None and b is not None
    ]
    columns = ["side", "answer", "first_token", "p", "changed_p", "logp", "changed_logp"]
    result.tables["answers"] = pd.DataFrame(rows, columns=columns)
    result.tables["texts"] = pd.DataFrame({"model": list(texts), "text": list(texts.values())})
    first, then = before.tokens[0], after.tokens[0]
    says = (
        f"The likeliest next token is {quoted(first[0])} ({percent(first[1])}); {change}:"
        f" {quoted(then[0])} ({percent(then[1])}). This describes one prompt, not the model."
    )
    values = {"unchanged": first[1], "changed": then[1]}
    result.add(Finding("next_token", values, says, unit="probability"))
    for row in rows:
        says = (
            f"{quoted(row['answer'])} has a probability of {percent(row['p'])} (its first token);"
            f" {change}: {percent(row['changed_p'])}."
        )
        values = {"unchanged": row["p"], "changed": row["changed_p"]}
        result.add(Finding(f"{row['side']}_answer", values, says, unit="probability"))
