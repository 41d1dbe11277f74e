"""What the tables, arrays and findings of a knowledge-conflict run mean."""

from workbench.schema import ArraySchema, Schema, TableSchema
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F

# How some of them are read, for the pages.
EFFECTS = (
    "What each head adds to each answer's logit at the last position (path patching, mean over the"
    " select half): blue raises the answer, red lowers it."
)
DIRECT = (
    "Direct effect through the unembedding, with the scale of the final norm frozen. Effects"
    " through later layers are not included."
)
DIAL = (
    "One number scales the selected heads. Answers on the held-out half. In Python:"
    " result.control('dial')(model, 0.5)."
)
HOW_MANY = "Answers on the select half with the first 1, 2, … ranked heads switched off."
COST = (
    "Side effects of switching the selected heads off: closed-book accuracy on held-out facts, and"
    " loss on neutral text."
)
TRANSFER = (
    "Heads selected on one relation or format (rows), switched off on another (columns). Numbers"
    " are points by which the favoured answer gains over no intervention. On the diagonal, heads"
    " are selected and evaluated on the same one. A dash: cannot be told, because nearly all facts"
    " of the column have that answer already, or because there are too few facts."
)

EVIDENCE = (
    "The context speaks for memory's answer and for a contradicting one, each sentence in another"
    " wording; m : n is how many sentences for memory and against it. The ratio counts answers that"
    " are one of the two. Of facts that the model does not know, the true answer is no memory: what"
    " is left there is order, and what is likely anyway."
)

_ANSWERS = {
    "memory": "the answer that the model gives closed-book",
    "context": "the answer in the context",
    "other": "another answer",
}
_HELD_OUT = "share of held-out facts"


def _rates(what: str = "Share of prompts", *, bounded: bool = False) -> list[C]:
    """The rates of the three answers.

    Args:
        bounded: with their intervals, and by the first token alone.
    """
    columns = [C(name, f"{what} answered with {answer}.") for name, answer in _ANSWERS.items()]
    if bounded:
        columns += [
            C(
                f"{name}_first_token",
                f"`{name}` by the first token of the answer alone; not for random sets.",
            )
            for name in _ANSWERS
        ]
        for name in _ANSWERS:
            columns += [
                C(f"{name}_low", f"Lower end of the 95 % interval of `{name}`."),
                C(f"{name}_high", f"Upper end of the 95 % interval of `{name}`."),
            ]
    return columns


def _adds(method: str, text: str) -> list[C]:
    return [
        C(f"{method}_{answer}", f"What the head adds to the {answer} answer: {text}.", "logits")
        for answer in ("memory", "context")
    ]


_FACT = C("fact", "Number of the fact and of its prompt.", title="prompt")
_GROUP = C(
    "group", "Memory heads favour the memorized answer, context heads the one in the context."
)
_LAYER, _HEAD = C("layer", "Layer of the head."), C("head", "Number of the head in its layer.")
_LABEL = C("label", "Name of the head.", title="head")
_K = C("k", "How many heads were switched off.", title="heads off")
_HEADS = C("heads", "Which heads were switched off.")
_N = C("n", "Prompts counted.", title="prompts")


def _of_group(group: str) -> list[F]:
    """Findings that each group of heads has."""
    heads = f"{group.capitalize()} heads"
    return [
        F(f"random_for_{group}", f"Random baseline of the {group} heads", _HELD_OUT),
        F(f"stability_{group}", f"{heads} on resampled facts", "share of draws"),
        F(f"undetermined_{group}", f"{heads}: cannot be told", "share of facts"),
        F(f"cost_{group}", f"{heads} switched off: side effects", f"{_HELD_OUT}; nats per token"),
        F(f"transfer_relation_{group}", f"{heads} on other relations", "pairs"),
        F(f"transfer_format_{group}", f"{heads} on other formats", "pairs"),
    ]


SCHEMA = Schema(
    tables=[
        TableSchema(
            "evidence",
            "Answers where the context speaks for both sides.",
            [
                C("facts", "Facts that the model knows closed-book, or others."),
                C("mix", "Sentences for memory's answer : sentences against it, and their order."),
                C("for_memory", "Sentences for memory's answer."),
                C("for_counter", "Sentences for another answer."),
                C("order", "Which side is said first."),
                *_rates("Share of facts"),
                C("ratio", "Memorization ratio: memory among the answers that are one of the two."),
                C("low", "Lower end of its 95 % interval (Wilson)."),
                C("high", "Upper end."),
                C("decided", "Answers that are one of the two."),
                C("n", "Facts."),
            ],
        ),
        TableSchema(
            "evidence_popularity",
            "The same by how well known the subject is.",
            [
                C("mix", "Sentences for memory's answer : sentences against it."),
                C("half", "Half of the known facts, by the popularity of their subject."),
                C("ratio", "Memorization ratio."),
                C("low", "Lower end of its 95 % interval (Wilson)."),
                C("high", "Upper end."),
                C("decided", "Answers that are one of the two."),
            ],
        ),
        TableSchema(
            "candidates",
            "Every fact of the relation, closed-book.",
            [
                C("subject", "The subject of the fact."),
                C("answer", "The correct answer."),
                C("generated", "What greedy decoding generates."),
                C("known", "Whether it is the whole answer."),
                C("first_token_correct", "Whether it begins with the answer's first token."),
            ],
        ),
        TableSchema(
            "facts",
            "One row per known fact, with its conflict prompt.",
            [
                _FACT,
                C("subject", "The subject of the fact."),
                C("answer", "The answer that the model gives closed-book.", title="memory answer"),
                C("counterfactual", "The answer that the context claims.", title="context answer"),
                C(
                    "split",
                    "Half of the facts: heads are selected on `select` and tested on `held_out`.",
                ),
                C("prompt", "The conflict prompt."),
                C("generated", "What greedy decoding generates."),
                C("outcome", "Which answer it is: memory, context or other.", title="followed"),
                C("p_memory", "Probability of the memory answer's first token."),
                C("p_context", "Probability of the context answer's first token."),
                C("logp_memory", "Log-probability of the whole memory answer.", "nats"),
                C("logp_context", "Log-probability of the whole context answer.", "nats"),
            ],
        ),
        TableSchema(
            "tokens",
            "Tokens of the conflict prompts.",
            [
                _FACT,
                C("pos", "Position in the prompt."),
                C("token", "The token as text."),
                C("span", "The part of the prompt that it belongs to."),
            ],
        ),
        TableSchema(
            "heads",
            "One row per head, on the select half; a positive effect raises the answer's logit.",
            [
                _LAYER,
                _HEAD,
                _LABEL,
                C(
                    "role",
                    "Memory or context head, by what ranks heads; empty where it cannot be told.",
                ),
                C("rank", "Rank within its role."),
                C("score", "Memory effect less context effect, by what ranks heads.", "logits"),
                *_adds(
                    "effect",
                    "path patching at the last position, from a counter run with another"
                    " subject (memory) or another answer (context)",
                ),
                C("effect_difference", "Memory effect less context effect.", "logits"),
                C(
                    "effect_difference_low",
                    "Lower end of its 95 % bootstrap interval over facts.",
                    "logits",
                ),
                C(
                    "effect_difference_high",
                    "Upper end of its 95 % bootstrap interval over facts.",
                    "logits",
                ),
                *_adds("zero", "zero ablation at the last position"),
                *_adds("mean", "mean ablation at the last position"),
                *_adds(
                    "zero_all_positions", "zero ablation at all positions, where that was measured"
                ),
                C(
                    "attends_subject",
                    "Mean attention from the last position to the subject's last mention.",
                ),
                C(
                    "attends_context_answer",
                    "Mean attention from the last position to the answer in the context.",
                ),
                C(
                    "attends_question",
                    "Mean attention from the last position to the rest of the question.",
                ),
            ],
        ),
        TableSchema(
            "k_curve",
            "Answers on the select half with more and more heads switched off.",
            [
                C("rank_by", "What ranks the heads."),
                _GROUP,
                _K,
                _HEADS,
                *_rates(bounded=True),
                _N,
            ],
        ),
        TableSchema(
            "selected_heads",
            "The heads that are switched off, strongest first.",
            [_GROUP, C("rank", "Rank within its group."), _LAYER, _HEAD, _LABEL],
        ),
        TableSchema(
            "stability",
            "How often each head is selected when the facts are drawn again, with replacement.",
            [
                _GROUP,
                _LAYER,
                _HEAD,
                _LABEL,
                C("selected", "Whether it is selected on the facts as they are."),
                C("selection_frequency", "Share of draws in which it is selected."),
            ],
        ),
        TableSchema(
            "random_sets",
            "Random baseline: as many heads as a group has, drawn from all other heads.",
            [
                C("group", "The group of heads that it is compared with."),
                _K,
                C("set", "Number of the draw."),
                _HEADS,
                *_rates(),
                _N,
            ],
        ),
        TableSchema(
            "rates",
            "Answers by what is switched off.",
            [
                C("condition", "What is switched off."),
                C("split", "Half of the subjects."),
                *_rates(bounded=True),
                _N,
                C("sets", "Random sets counted together.", optional=True),
            ],
        ),
        TableSchema(
            "cost",
            "Side effects of switching heads off, on prompts without a conflict.",
            [
                C("condition", "What is switched off."),
                C(
                    "closed_book",
                    "Share of held-out facts still answered correctly closed-book.",
                    title="closed-book accuracy",
                ),
                C("loss", "Mean loss on neutral text.", "nats per token"),
            ],
        ),
        TableSchema(
            "dial",
            "Answers on the held-out half with the heads scaled by one number.",
            [
                C("value", "The dial: −1 memory, 0 no intervention, +1 context.", title="dial"),
                *_rates(),
                C("p_memory", "Mean probability of the memory answer's first token."),
                C("p_context", "Mean probability of the context answer's first token."),
                _N,
            ],
        ),
        TableSchema(
            "transfer",
            "Heads selected on one relation or format, evaluated on another.",
            [
                C("across", "What differs: the relation or the format."),
                C("selected_on", "The relation or format on which the heads are selected."),
                C("evaluated_on", "The relation or format on which they are switched off."),
                _GROUP,
                _K,
                *_rates(),
                *(
                    C(f"base_{name}", f"Share without intervention answered with {said}.")
                    for name, said in _ANSWERS.items()
                ),
                _N,
                C("gain", "Rise of the share with the answer that the ablation should favour."),
                C("gain_low", "Lower end of the gain's 95 % interval over facts."),
                C("gain_high", "Upper end of the gain's 95 % interval over facts."),
            ],
        ),
        TableSchema(
            "transfer_skipped",
            "Relations and formats that were not tested.",
            [
                C("across", "Whether it is a relation or a format."),
                C("name", "Its name."),
                C("reason", "Why it was not tested."),
            ],
        ),
    ],
    arrays=[
        ArraySchema(
            "attention",
            "Attention from the last position of every conflict prompt.",
            ("fact", "layer", "head", "pos"),
            "probability",
        ),
        ArraySchema(
            "effects",
            "What each head adds to the logit of each answer's first token, per fact and method.",
            ("fact", "method", "answer", "layer", "head"),
            "logits",
        ),
        ArraySchema(
            "depth",
            "Direct logit attribution of attention and MLP of each layer to each answer at the last"
            " position, with the scale of the final norm frozen; mean over facts.",
            ("component", "answer", "layer"),
            "logits",
        ),
    ],
    findings=[
        F("known", "Facts known closed-book", "facts"),
        F("base", "No intervention, held-out facts", _HELD_OUT),
        F("prune_context", "Context heads switched off, held-out facts", _HELD_OUT),
        F("prune_memory", "Memory heads switched off, held-out facts", _HELD_OUT),
        F("random", "Random heads switched off, held-out facts", f"{_HELD_OUT}, mean over sets"),
        *_of_group("memory"),
        *_of_group("context"),
        F("dial", "Dial at its two ends, held-out facts", _HELD_OUT),
        F(
            "evidence",
            "Contradiction alone, and beside memory's answer",
            "share of facts, of answers",
        ),
        F("evidence_order", "Memory's answer, said last less said first", "share of known facts"),
        F(
            "evidence_dates",
            "Contradictions followed, document of 2031 less of 1931",
            "share of facts",
        ),
    ],
)
