"""What the tables of the attacks mean that are not part of a default run."""

from workbench.schema import Column as C
from workbench.schema import TableSchema

_SCORES = [
    C("passage", "Name of the passage."),
    C("nats", "Mean loss.", "nats per token"),
    C("exact_memorization", "Share of tokens that are first choice when all before are given."),
    C("extraction_strength", "Share that follows once the rest is given."),
    C("greedy_match", "Tokens that greedy decoding says before its first mistake."),
    C("tokens", "Tokens that are asked for."),
]
_MODEL = C("model", "Which model.")
_TASK = [
    C("method", "How it is forgotten: random labels, or ELM."),
    C("task", "The relation of which half the facts are trained on."),
    C("model", "The original, the model after the method, or a random change of equal size."),
]
_GROUP = C("group", "Facts that are trained on, others of the relation, or of other relations that"
           " no training sees.")  # fmt: skip
_REACH = [
    *_TASK[1:],
    _GROUP,
    C("before", "Share of questions whose right answer is the likeliest of four, original."),
    C("after", "The same after it."),
    C("forgotten", "How much of the way from before to chance is gone, as a share."),
    C("low", "Lower end of its 95 % interval over questions."),
    C("high", "Upper end."),
    C("n", "Questions."),
]
FURTHER = [
    TableSchema("probes", "A linear probe of each layer's states.", [
        _MODEL,
        C("layer", "Layer whose states are read."),
        C("pooling", "Over the tokens of a passage, or at its last one."),
        C("auc", "Share of pairs of held-out passages, one to forget and one never read, that the"
          " probe puts in order."),
        C("low", "Lower end of its 95 % interval."),
        C("high", "Upper end."),
        C("shuffled", "The same of a probe that was trained on shuffled labels."),
        C("shuffled_low", "Lower end of its 95 % interval."),
        C("shuffled_high", "Upper end."),
        C("n", "Passages in all."),
    ]),
    TableSchema("patched", "States of one model put into the other, at every token.", [
        _MODEL,
        C("direction", "Whose states go into whom."),
        C("layer", "Layer behind which they are put in."),
        *_SCORES,
    ]),
    TableSchema("reset", "One module with its weights of before.", [
        _MODEL,
        C("layer", "Its layer; -1: outside all."),
        C("part", "Attention, MLP or mixer."),
        *_SCORES,
    ]),
    TableSchema("between", "On the straight line from the original to the unlearned weights.", [
        _MODEL,
        C("share", "How far on it; 0 is the original."),
        *_SCORES,
    ]),
    TableSchema("moved", "How far each module's weights moved.", [
        _MODEL,
        C("layer", "Its layer; -1: outside all."),
        C("part", "Attention, MLP or mixer."),
        C("norm", "Of the change (Frobenius)."),
        C("relative", "The same over the norm of the original weights."),
    ]),
    TableSchema("prompts", "The end of each passage behind other prompts.", [
        _MODEL,
        C("prompt", "What stands before it."),
        C("given", "Tokens of the passage among that."),
        *_SCORES,
    ]),
    TableSchema("shortest", "The shortest prompt that was found.", [
        _MODEL,
        C("passage", "Name of the passage."),
        C("tokens", "Tokens that it brings."),
        C("prompt_tokens", "Its own tokens; 0 where none was found."),
        C("ratio", "Tokens brought per token of the prompt."),
        C("prompt", "The prompt."),
        C("steps", "Steps of the search."),
        C("finished", "Whether the search ended by itself."),
    ]),
    TableSchema("spreading", "Random labels on half of a relation's facts: how far it reaches.",
                _REACH),
    TableSchema("concept", "A relation erased by ELM: how far it reaches.", _REACH),
    TableSchema("facts", "Every question about a fact in every model.", [
        *_TASK,
        _GROUP,
        C("relation", "The fact's relation."),
        C("subject", "Whom the question is about."),
        C("answer", "The right answer."),
        C("says", "How the model goes on."),
        C("chosen", "1 where the right answer is likelier than three of the same relation."),
        C("log_p", "Mean ln p per token of the right answer.", "nats"),
        C("log_p_wrong", "Mean over the wrong answers of the same.", "nats"),
    ]),
    TableSchema("answer_probes", "A linear probe of right and wrong answers, by layer.", [
        *_TASK,
        C("layer", "Layer whose state at the last token is read."),
        C("accuracy", "Share of questions whose right answer it puts above a wrong one, trained on"
          " the other half; chance is one half."),
        C("low", "Lower end of its 95 % interval over questions."),
        C("high", "Upper end."),
        C("shuffled", "The same with right and wrong dealt out by lot."),
        C("shuffled_high", "The highest of these."),
        C("n", "Questions."),
    ]),
    TableSchema("erased", "What forgetting facts took, and what else changed.", [
        *_TASK,
        C("neutral", "Loss on prose that no training read.", "nats per token"),
        C("fluency", "How unlikely what it says behind the questions is to the original.",
          "nats per token"),
        C("reached", "Whether the answers became guesses."),
        C("steps", "Step whose weights are kept."),
        C("rate", "How far a weight moves in a step, in standard deviations of its matrix."),
        C("seconds", "Time for it.", "s"),
    ]),
]  # fmt: skip
