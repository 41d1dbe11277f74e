"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance import (
    active_features,
    design,
    fact_trace,
    findings,
    free_samples,
    head_groups,
    memory_slots,
    question_alone,
    recited,
    sentences,
    states,
    subject,
    training_influence,
    verdict,
)
from analyses.prompt.provenance.answer import answer_tokens
from analyses.prompt.provenance.constants import NAME, SUBJECT_TOKENS
from analyses.prompt.provenance.costs import cost, draws_of
from analyses.prompt.provenance.neutral import neutral_tokens
from analyses.prompt.provenance.parts import PARTS
from analyses.prompt.provenance.prompt_parts import PromptParts, take_apart
from hooks.hidden_keys import unavailable_reason
from hooks.model import load
from workbench.cost import of_parts, stages
from workbench.errors import WorkbenchError
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import pandas as pd

    from analyses.prompt.provenance.params import Params
    from analyses.prompt.provenance.subject import QuestionSubject
    from hooks.model import InstrumentedModel
    from workbench.corpora import CorpusIndex
    from workbench.progress import Progress


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Say where an answer came from. The package's docstring has the steps.

    Raises:
        BadInput: a question or subject that does not stand in the prompt, an answer of no tokens,
            or a prompt beyond the model's window.
    """
    import pandas as pd

    parts = running(PARTS, params)
    planned = of_parts({name: {name: each} for name, each in cost(model, params).items()}, parts)
    left = stages(progress, model, planned)
    known_heads = head_groups.heads_of_run(model, params.run) if params.run.strip() else {}
    asked = take_apart(model, params.prompt, params.question, chat=params.chat)
    # First of all: a corpus that is not there is said before minutes are spent.
    where = params.corpus.strip() if parts & {"recited", "samples"} else ""
    texts = recited.opened(where, progress.subprogress(0, 0.01)) if where else None
    progress(0.01, "The model's answer")
    answer, said = answer_tokens(model, asked, params.answer, params.length)
    words = model.text.decode_continuation(answer).strip()
    result = Result(NAME)
    _note(result, model, params, asked, said)
    found: QuestionSubject | None = None
    if "split" in parts:
        found = _split(result, model, params, asked, answer, left["split"])
        progress.checkpoint(result)
    result.tables["prompt"] = _strip(model, asked, found)
    if "sentences" in parts and asked.sentences:
        part = left["sentences"]
        table = sentences.sentence_table(
            model, asked, answer, params.seed, part.subprogress(0, 0.7)
        )
        length = max(len(answer) + 4, 8)
        table["without"] = sentences.says_without(
            model, asked, table, length, part.subprogress(0.7, 1)
        )
        result.tables["sentences"] = table
        findings.add_sentences(result, words)
        progress.checkpoint(result)
    if "tokens" in parts:
        gradient = _gradient(result, model, asked, answer)
        result.tables["tokens"] = sentences.token_table(
            model, asked, answer, gradient, result.tables.get("sentences"), left["tokens"]
        )
        findings.add_tokens(result, asked)
    if "heads" in parts:
        table = head_groups.head_table(
            model, asked, found, answer, left["heads"].subprogress(0, 0.5)
        )
        result.tables["heads"] = table
        result.tables["groups"] = head_groups.switch_off(
            model, asked, answer, table, known_heads, params.seed,
            left["heads"].subprogress(0.5, 1),
        )  # fmt: skip
        findings.add_heads(result)
    if "features" in parts:
        result.tables["features"] = active_features.feature_table(
            model, asked, answer, params.seed, left["features"]
        )
        findings.add_features(result)
    if "training" in parts:
        result.tables["training"] = training_influence.influence_table(
            model, asked, answer, params.seed, left["training"]
        )
        findings.add_training(result)
    if "closed-book" in parts:
        result.tables["closed_book"] = question_alone.closed_book_table(
            model, asked, answer, left["closed-book"]
        )
        findings.add_closed_book(result)
    if "recited" in parts:
        _look_up(result, model, texts, asked, answer)
    if "samples" in parts and texts is not None:
        _sample(result, model, texts, params, left["samples"])
    if texts is not None:
        result.provenance.notes["corpus"] = (
            f"{where}: {texts.documents:,} documents, {texts.bytes:,} bytes"
        )
    if "trace" in parts and found is not None:
        array, tokens, clean, noisy = fact_trace.trace_question(
            model, asked, found, answer, params.seed, left["trace"]
        )
        result.arrays["trace"] = array
        result.tables["trace_tokens"] = pd.DataFrame({"pos": range(len(tokens)), "token": tokens})
        findings.add_trace(result, clean, noisy)
    progress(1.0, "Done")
    return result


def _note(
    result: Result, model: InstrumentedModel, params: Params, asked: PromptParts, said: str
) -> None:
    begin = asked.question[0]
    end = next((n for n in range(begin, len(asked.ids)) if model.text.is_special(asked.ids[n])),
               len(asked.ids))  # fmt: skip
    asks = asked.text[asked.spans[begin][0] : asked.spans[end - 1][1]].strip()
    result.provenance.notes |= {
        "answer": "typed" if params.answer.strip() else "the model's own, to the end of its clause",
        "the model says": said.strip(),
        "question": asks,
        "context": f"{sum(stop - start for start, stop in asked.context)} tokens in"
        f" {len(asked.sentences)} sentences",
        "taken away": "hidden from later tokens, whose positions stay"
        if unavailable_reason(model) is None
        else f"replaced by neutral text, since {unavailable_reason(model)}",
    }


def _split(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    asked: PromptParts,
    answer: list[int],
    progress: Progress,
) -> QuestionSubject | None:
    """The design, its tables and what it says."""
    words = model.text.decode_continuation(answer).strip()
    draws = draws_of(params, asked)
    runs = neutral_tokens(model, design.context_tokens(asked), draws, [words], params.seed)
    setting = design.prepare(model, asked, runs)
    own = setting.asked
    parts = neutral_tokens(model, 8 * SUBJECT_TOKENS, 1, [words], params.seed + 1)[0]
    blocking = subject.Blocking.of(model, own, parts)
    tried = list(setting.contexts[:2]) if setting.is_alone else [(), setting.contexts[0]]
    found = (
        subject.marked(own, params.subject)
        if params.subject.strip()
        else subject.find(model, own, answer, tried, blocking, progress.subprogress(0, 0.4))
    )
    cells = design.measure(
        model, setting, found, answer, blocking, params.seed, progress.subprogress(0.4, 1)
    )
    cells = states.with_state(model, setting, answer, cells)
    cells = memory_slots.with_slots(model, setting, answer, cells, params.seed)
    effects = verdict.effects(cells)
    result.tables["effects"] = _effect_table(effects)
    result.tables["cells"] = _cell_table(cells)
    result.tables["answer"] = _answer_table(model, answer, cells)
    if found is not None:
        how = "given" if found.marked else f"found: hiding it costs {found.cost:.1f} nats"
        result.provenance.notes["subject"] = f"{found.text} ({how})"
    findings.add_verdict(result, effects, cells, found, words)
    if setting.is_alone and found is not None:
        shift = len(own.ids) - len(asked.ids)
        mentions = [(start - shift, stop - shift) for start, stop in found.mentions]
        found = subject.QuestionSubject(found.text, tuple(mentions), found.marked, found.cost)
    return found


def _look_up(
    result: Result,
    model: InstrumentedModel,
    texts: CorpusIndex | None,
    asked: PromptParts,
    answer: list[int],
) -> None:
    """How surely the answer is recited, and where it stands in the corpus that is named."""
    table = recited.surprise_table(model, asked, answer)
    result.tables["surprise"] = table
    words = model.text.decode_continuation(answer)
    findings.add_recited(result, recited.longest_run(table["greedy"].to_numpy()),
                         recited.zlib_nats(words))  # fmt: skip
    if texts is not None:
        result.tables["spans"] = recited.span_table(model, texts, asked, answer)
        findings.add_spans(result, words)


def _sample(
    result: Result,
    model: InstrumentedModel,
    texts: CorpusIndex,
    params: Params,
    progress: Progress,
) -> None:
    """What the model says by itself, beside one that has not read the corpus."""
    models = {model.card.name: model}
    if params.beside.strip():
        other = load(params.beside.strip(), device=str(model.device))
        models[other.card.name] = other
    result.tables["coverage"], result.tables["samples"] = free_samples.sample_table(
        models, texts, params.samples, params.sampled, params.least, params.seed, progress
    )
    findings.add_coverage(result, model.card.name, params.least)


def _effect_table(effects: list[verdict.Effect]) -> pd.DataFrame:
    import pandas as pd

    words = {True: "yes", False: "no", None: "cannot be told"}
    rows = [(e.source, e.nats, e.low, e.high, e.null, words[e.named]) for e in effects]
    return pd.DataFrame(rows, columns=["source", "effect", "low", "high", "null", "named"])


def _cell_table(cells: design.Cells) -> pd.DataFrame:
    """A row for each cell and draw."""
    import pandas as pd

    rows = [("as given", "seen", -1, cells.given), ("as given", "blocked", -1, cells.given_blocked)]
    for draw in range(len(cells.neutral)):
        rows += [("neutral", "seen", draw, cells.neutral[draw]),
                 ("neutral", "blocked", draw, cells.neutral_blocked[draw])]  # fmt: skip
    if cells.given_wiped is not None and cells.neutral_wiped is not None:
        rows.append(("as given", "state wiped", -1, cells.given_wiped))
        rows += [("neutral", "state wiped", n, row) for n, row in enumerate(cells.neutral_wiped)]
    if cells.without is not None:
        rows.append(("none", "seen", -1, cells.without))
    if cells.given_masked is not None:
        rows.append(("as given", "slots masked", -1, cells.given_masked))
    if cells.neutral_masked is not None:
        rows += [("neutral", "slots masked", n, row) for n, row in enumerate(cells.neutral_masked)]
    return pd.DataFrame(
        [(context, memory, draw, float(logp.sum())) for context, memory, draw, logp in rows],
        columns=["context", "memory", "draw", "logp"],
    ).dropna()


def _answer_table(model: InstrumentedModel, answer: list[int], cells: design.Cells) -> pd.DataFrame:
    """A row for each token of the answer: what each source gives to it."""
    import pandas as pd

    logp = cells.given if cells.has_context else cells.neutral.mean(0)
    return pd.DataFrame({
        "place": range(len(answer)),
        "token": model.token_strings(answer),
        "logp": logp,
        "prompt": cells.of_prompt.mean(0),
        "weights": cells.of_weights.mean(0),
    })  # fmt: skip


def _strip(
    model: InstrumentedModel, asked: PromptParts, found: QuestionSubject | None
) -> pd.DataFrame:
    """A row for each token of the prompt: which part it belongs to, and which sentence."""
    import pandas as pd

    part = np.array(["format"] * len(asked.ids), dtype=object)
    which = np.full(len(asked.ids), -1)
    for start, stop in asked.context:
        part[start:stop] = "context"
    part[asked.question[0] :] = "question"
    for n, piece in enumerate(asked.sentences):
        which[piece.start : piece.stop] = n
    for start, stop in () if found is None else asked.in_question(found.mentions):
        part[start:stop] = "subject"
    return pd.DataFrame({
        "pos": range(len(asked.ids)),
        "token": model.prompt_strings(asked.ids),
        "part": part,
        "sentence": which,
    })  # fmt: skip


def _gradient(
    result: Result, model: InstrumentedModel, asked: PromptParts, answer: list[int]
) -> np.ndarray | None:
    """Gradient × embedding; None, and a note, where the model has no gradients."""
    try:
        return sentences.gradient_of(model, asked, answer)
    except WorkbenchError as error:
        result.provenance.notes["gradient"] = error.what
        return None
