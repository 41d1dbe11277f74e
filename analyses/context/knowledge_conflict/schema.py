"""What the tables, arrays and findings of a knowledge-conflict run mean."""

from workbench.schema import ArraySchema, Schema, TableSchema
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F

_ANSWERS = {
    "memory": "the answer that the model gives without context",
    "context": "the answer in the context",
    "other": "neither",
}
_HELD_OUT = "share of held-out facts"


def _rates(what: str = "Share of prompts", *, bounded: bool = False) -> list[C]:
    """The rates of the three answers.

    Args:
        bounded: with their intervals, and by the first token alone.
    """
    columns = [C(name, f"{what} answered with {said}.") for name, said in _ANSWERS.items()]
    if bounded:
        columns += [
            C(
                f"{name}_first_token",
                f"`{name}` where the first token alone is compared; random sets have none.",
            )
            for name in _ANSWERS
        ]
        for name in _ANSWERS:
            columns += [
                C(f"{name}_low", f"Lower end of the 95 % interval of `{name}`."),
                C(f"{name}_high", f"Upper end of the 95 % interval of `{name}`."),
            ]
    return columns


def _adds(method: str, how: str) -> list[C]:
    return [
        C(f"{method}_{answer}", f"What the head adds to the {answer} answer: {how}.", "logits")
        for answer in ("memory", "context")
    ]


_FACT = C("fact", "Number of the fact and of its prompt.", title="prompt")
_GROUP = C("group", "Memory heads keep the model from the context, context heads from its memory.")
_LAYER, _HEAD = C("layer", "Layer of the head."), C("head", "Number of the head in its layer.")
_LABEL = C("label", "Name of the head.", title="head")
_K = C("k", "How many heads were switched off.", title="heads off")
_HEADS = C("heads", "Which heads were switched off.")
_N = C("n", "Prompts counted.", title="prompts")

SCHEMA = Schema(
    tables=[
        TableSchema(
            "candidates",
            "Every fact of the relation, asked without context.",
            [
                C("subject", "What is asked about."),
                C("answer", "The right answer."),
                C("generated", "What greedy decoding generates."),
                C("known", "Whether that is the whole answer."),
                C("first_token_correct", "Whether it begins with the answer's first token."),
            ],
        ),
        TableSchema(
            "facts",
            "The known facts that are contradicted, one conflict prompt each.",
            [
                _FACT,
                C("subject", "What is asked about."),
                C("answer", "The answer that the model knows.", title="memory answer"),
                C("counterfactual", "The answer that the context claims.", title="context answer"),
                C(
                    "split",
                    "Half of the facts: heads are selected on `select` and tested on `held_out`.",
                ),
                C("prompt", "The conflict prompt."),
                C("generated", "What greedy decoding generates."),
                C("outcome", "Which answer that is.", title="followed"),
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
            "One row per head, over the half that chooses; a positive effect raises the answer.",
            [
                _LAYER,
                _HEAD,
                _LABEL,
                C("role", "Group of the head by what ranks heads; none where none can be told."),
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
            "Answers on the half that chooses, with more and more heads switched off.",
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
            "How often each head is chosen if the facts are drawn again, with replacement.",
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
            "The control: as many heads as a group has, drawn at random from all others.",
            [
                C("group", "The group that it is compared with."),
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
            "What switching heads off costs where nothing conflicts.",
            [
                C("condition", "What is switched off."),
                C(
                    "closed_book",
                    "Share of held-out facts still answered without context.",
                    title="closed book",
                ),
                C("loss", "Mean loss on neutral text.", "nats per token"),
            ],
        ),
        TableSchema(
            "dial",
            "Answers on the held-out half with the heads scaled by one number.",
            [
                C("value", "The dial: −1 memory, 0 untouched, +1 context.", title="dial"),
                *_rates(),
                C("p_memory", "Mean probability of the memory answer's first token."),
                C("p_context", "Mean probability of the context answer's first token."),
                _N,
            ],
        ),
        TableSchema(
            "transfer",
            "Heads found on one relation or format, used on another.",
            [
                C("across", "What differs: the relation or the format."),
                C("selected_on", "The relation or format on which the heads are selected."),
                C("evaluated_on", "The relation or format on which they are switched off."),
                _GROUP,
                _K,
                *_rates(),
                *(
                    C(f"base_{name}", f"Share the unchanged model answers with {said}.")
                    for name, said in _ANSWERS.items()
                ),
                _N,
                C("gain", "Rise of the share that answers as the group should favour."),
                C("gain_low", "Lower end of the gain's 95 % interval over facts."),
                C("gain_high", "Upper end of the gain's 95 % interval over facts."),
            ],
        ),
        TableSchema(
            "transfer_skipped",
            "Relations and formats that were not tried.",
            [
                C("across", "Whether it is a relation or a format."),
                C("name", "Its name."),
                C("reason", "Why it was not tried."),
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
            "What each head adds to each answer's first token, fact by fact and by every way of"
            " measuring.",
            ("fact", "method", "answer", "layer", "head"),
            "logits",
        ),
        ArraySchema(
            "depth",
            "What attention and MLP of each layer push directly toward each answer at the last"
            " position, with the final norm frozen; mean over facts.",
            ("component", "answer", "layer"),
            "logits",
        ),
    ],
    findings=[
        F("known", "Facts known without context", "facts"),
        F("base", "What the unchanged model follows", _HELD_OUT),
        F("prune_context", "Without the context heads", _HELD_OUT),
        F("prune_memory", "Without the memory heads", _HELD_OUT),
        F("random", "Without as many random heads", f"{_HELD_OUT}, mean over sets"),
        F("random_for_*", "Random heads beside a group of the same size", _HELD_OUT),
        F("stability_*", "The choice of heads with the facts drawn again", "share of draws"),
        F("undetermined_*", "Heads that cannot be told", "share of choosing facts"),
        F("cost_memory", "What pruning the memory heads costs", f"{_HELD_OUT}; nats per token"),
        F("cost_context", "What pruning the context heads costs", f"{_HELD_OUT}; nats per token"),
        F("dial", "The dial at its two ends", _HELD_OUT),
        F("transfer_relation_*", "Heads on other relations", "pairs"),
        F("transfer_format_*", "Heads on other formats", "pairs"),
    ],
)
