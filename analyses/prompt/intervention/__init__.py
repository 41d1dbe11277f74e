"""What changes in the answer to one prompt when heads are switched off, or a dial is turned?

What *Try a prompt* shows, as a run: the model as it is beside the model as changed. A change is
heads that are zeroed at all positions, and a control that a finished run gives.

params.py         what is asked
random_heads.py   the control: as many random heads off instead
schema.py         what tables and findings mean
views.py          how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.prompt.intervention.params import Params
from analyses.prompt.intervention.random_heads import SETS, finding, random_heads
from analyses.prompt.intervention.schema import SCHEMA
from analyses.prompt.intervention.views import ANSWER, VIEWS
from hooks.prompts import tokenize
from workbench.cost import Cost
from workbench.heads import head_name
from workbench.models.conversation import typed
from workbench.playground import FIRST_TAB, Form, Playground

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from hooks.model_change import ModelChange
    from hooks.prompt_output import PromptOutput
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
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

name = "intervention"
question = "What changes in the answer to a prompt if I switch a head off?"
gives = "Next tokens, two answers and the continuation, of the model as it is and as changed."
playground = Playground(form=Form(FIRST_TAB, "Try a prompt"))
SIDES = ("memory", "context")
_NAMED = 3  # heads that a sentence names


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Two models read the prompt and write the continuation; it is read again for each draw of
    random heads, from the lowest of their layers on: on average, of one head, half a pass.
    """
    n = len(tokenize(model, typed(params.prompt, params.chat)).ids)
    k = len(params.heads)
    above = SETS * k / (k + 1) if k else 0.0  # of k draws from 0 to 1, the lowest is at 1 / (k + 1)
    return Cost((2 + above) * n + 2 * params.length, 2 + above + 2 * params.length)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read and continue the prompt twice.

    Raises:
        BadInput, NotFound: a head, run or control that there is not.
    """
    from hooks.model_change import change_of
    from hooks.prompt_output import continuation, read_prompt
    from workbench import runs
    from workbench.result import Result

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
    result = Result(name)
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
    from hooks.model_change import heads_from
    from hooks.prompt_output import as_continuation

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

    from workbench.result import Finding

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
        f"The likeliest next token is {first[0]!r} ({100 * first[1]:.1f} %); {change}:"
        f" {then[0]!r} ({100 * then[1]:.1f} %). This describes one prompt, not the model."
    )
    values = {"unchanged": first[1], "changed": then[1]}
    result.add(Finding("next_token", values, says, unit="probability"))
    for row in rows:
        says = (
            f"{row['answer']!r} has a probability of {100 * row['p']:.1f} % (its first token);"
            f" {change}: {100 * row['changed_p']:.1f} %."
        )
        values = {"unchanged": row["p"], "changed": row["changed_p"]}
        result.add(Finding(f"{row['side']}_answer", values, says, unit="probability"))
