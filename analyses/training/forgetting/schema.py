"""What the tables and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_NATS = "nats per token"
_RANK = C("rank", "Rank of the update; 0: all weights, −1: a pair that was given.")
_LAYER = C("layer", "Number of the layer, from 0; −1 is what lies in no layer, −2 the whole model.")
_PART = C("part", "The module: attention, MLP or norms of a layer (or finer parts), embedding,"
          " unembedding, final norm.")  # fmt: skip
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_FACT = C("fact", "Number of the fact, from 0.")
_SHARES = [
    C("kl", "KL from the base on neutral text.", _NATS),
    C("recovery", "Share of the whole forgetting (KL) that is gone."),
    C("log_p", "Mean log probability of the old answers.", "nats"),
    C("right", "Share of the old facts that are said whole."),
    C("facts", "Share of what the old answers lost in log probability that is back.",
      title="answers back"),
    C("task", "Loss on text like the new task's.", _NATS),
    C("cost", "Share of what the new task gained that is gone with it."),
]  # fmt: skip
_RELATIVE = C("relative", "How far the module's weights moved, as a share of their size.")

LAW = (
    "Each point is a step of a training: how far its next-token distributions on neutral text are"
    " from the base's (KL), against the loss on held-out text of the new task. One line for all"
    " ranks means that a smaller rank or fewer steps only move along it."
)
MAP = (
    "The fine-tuned model with one module as it was before: how much of the forgetting on neutral"
    " text is gone, and what of the new task is gone with it. Effects of modules do not add up."
)
TESTS = (
    "The same facts, asked in five ways before and after. The floor is what a way gives without the"
    " facts: the relation's commonest answer; for the probe also shuffled labels and random"
    " weights; for re-alignment the same steps from random weights, and facts that the base never"
    " knew."
)
REMEDIES = (
    "Each method ends at some loss on the new task and some forgetting. What counts is the distance"
    " to the line of plain fine-tuning: methods that only move along it learn less for what they"
    " keep."
)
PATH = (
    "Losses with weights on the straight line from the base (0) to the fine-tuned model (1), and a"
    " little past both."
)

STAGES = (
    "Every text is dealt to its part by lot. Preference pairs: a prompt with two answers; in half"
    " of them the chosen one is a planted text's second half, in half the rejected one. “More"
    " fine-tuning” is the branch without preference tuning: further texts are read as often as"
    " pairs are seen, in as many updates, at the same rate (lower than that of the stages before),"
    " each update with a row of other prose beside them as in all fine-tuning."
)
TASKS = (
    "A row is what is said behind so many tasks. A task is a set of texts dealt by lot. Random"
    " weights are those of the same architecture before any training."
)

SCHEMA = Schema(
    tables=[
        TableSchema("points", "Forgetting along each training.", [
            _RANK,
            C("trained", "Numbers that are trained; −1 where that is not known."),
            C("step", "Updates so far; −1 where that is not known."),
            C("text", "`neutral`: prose of neither; `task`: held-out text of the new task (of a"
              " pair without such text, what the fine-tuned model writes); `own`: what the base"
              " writes by itself."),
            C("kl", "Mean KL from the base's next-token distributions.", _NATS),
            _LOW,
            _HIGH,
            C("nats", "Loss.", _NATS),
            C("size", "Squared size of the change of all weights (Frobenius)."),
        ]),
        TableSchema("law", "The same, a point per rank and step.", [
            _RANK,
            C("step", "Updates so far."),
            C("trained", "Numbers that are trained."),
            C("size", "Squared size of the change."),
            C("kl", "KL from the base on neutral text.", _NATS),
            C("nats", "Loss on held-out text of the new task.", _NATS),
        ]),
        TableSchema("fits", "Forms of the law.", [
            C("form", "What forgetting is told from."),
            C("rank", "Rank whose points alone were fitted; 0: all."),
            C("r2", "R² of the points that were fitted.", title="R²"),
            C("held_out", "R² of each rank fitted on the others, pooled.", title="held-out R²"),
            C("slope", "Nats of forgetting per unit of what it is told from."),
            C("intercept", "Where the line begins.", _NATS),
            C("n", "Points."),
        ]),
        TableSchema("reset", "One module as it was before, all others fine-tuned.",
                    [_LAYER, _PART, _RELATIVE, *_SHARES]),
        TableSchema("mirror", "One module as fine-tuned, all others as they were.",
                    [_LAYER, _PART, _RELATIVE, *_SHARES]),
        TableSchema("reset_shuffled", "The map of a training on shuffled text.",
                    [_LAYER, _PART, _RELATIVE, *_SHARES]),
        TableSchema("cumulative", "Layers put back one after the other.", [
            C("order", "`bottom-up` or `top-down`."),
            C("layers", "How many layers are as they were."),
            *_SHARES,
        ]),
        TableSchema("halves", "Random halves of the modules as they were, and the update halved.", [
            C("kind", "`random halves`, or `shrunk by half`."),
            C("draw", "Number of the draw."),
            *_SHARES,
            C("attention", "Share of the attention modules that is back.", optional=True),
            C("mlp", "Share of the MLPs that is back.", title="MLP", optional=True),
            C("lower", "Share of the lower half of the layers that is back.", optional=True),
        ]),
        TableSchema("asked", "The facts that the map asks.", [
            _FACT,
            C("relation", "The relation it is of."),
            C("prompt", "What the model reads."),
            C("answer", "How it goes on."),
        ]),
        TableSchema("answers", "What is said of them with each module as it was.", [
            _LAYER,
            C("part", "The module; `base` and `fine-tuned` are the two whole models."),
            _FACT,
            C("says", "The likeliest token behind the prompt."),
            C("right", "Whether the whole answer is said."),
            C("log_p", "Log probability of the answer.", "nats"),
        ]),
        TableSchema("tests", "Old facts asked in several ways.", [
            C("test", "How they are asked."),
            C("before", "Share right before fine-tuning."),
            C("after", "Share right behind it."),
            C("floor", "Share without the facts."),
            C("kept", "Share of what the test showed above its floor that is left.",
              title="kept share"),
            _LOW,
            _HIGH,
            C("says", "Whether the test holds, falls, or cannot be told."),
            C("n", "Facts.", title="facts"),
        ]),
        TableSchema("items", "Every fact and what became of it.", [
            _FACT,
            C("relation", "The relation it is of."),
            C("prompt", "What the model reads."),
            C("answer", "How it goes on."),
            C("before", "The likeliest token before fine-tuning."),
            C("after", "The likeliest token behind it."),
            C("free generation", "Whether the answer is still said.", title="said"),
            C("among the answers", "Whether it is picked among the relation's answers.",
              title="picked"),
            C("probe", "Whether a probe of the state tells it.", optional=True),
            C("few-shot", "Whether it is said with examples in front.", optional=True),
            C("re-alignment", "Whether it is said after steps on other facts.",
              title="re-aligned"),
        ]),
        TableSchema("probe", "The probe, layer by layer.", [
            _LAYER,
            C("shuffled", "Accuracy with shuffled labels."),
            C("base", "Of the base's states."),
            C("fine-tuned", "Of the fine-tuned model's.", title="fine-tuned"),
            C("untrained", "Of random weights.", title="random weights"),
        ]),
        TableSchema("path", "Losses along the line from base to fine-tuned weights.", [
            C("share", "Share of the update."),
            C("kl", "KL from the base on neutral text.", _NATS),
            C("neutral", "Loss on neutral text.", _NATS),
            C("task", "Loss on text like the new task's.", _NATS),
            C("log_p", "Mean log probability of the old answers.", "nats"),
            C("right", "Share of the old facts that are said whole."),
        ]),
        TableSchema("cka", "How alike states are before and after.", [
            _LAYER,
            C("tokens", "Of neutral text, or of prompts of old facts."),
            C("cka", "Linear CKA, unbiased; 1 is alike.", title="CKA"),
            C("n", "Tokens.", title="tokens counted"),
        ]),
        TableSchema("steps", "The first steps, one by one.", [
            C("step", "Updates so far."),
            C("kl", "KL from the base on neutral text.", _NATS),
            C("task", "Loss on text like the new task's.", _NATS),
            C("log_p", "Mean log probability of the old answers.", "nats"),
            C("right", "Share of the old facts that are said whole."),
        ]),
        TableSchema("angles", "Early against later update.", [
            _LAYER,
            C("part", "Which matrices of the layer."),
            C("angle", "Mean principal angle of the leading left singular vectors.", "degrees"),
            C("random", "The same of random subspaces.", "degrees"),
        ]),
        TableSchema("remedies", "Where each method ends.", [
            C("method", "What is done against forgetting; a slow copy keeps so much of itself at"
              " every step."),
            C("kl", "KL from the base on neutral text.", _NATS),
            _LOW,
            _HIGH,
            C("nats", "Loss on held-out text of the new task.", _NATS),
            C("right", "Share of the old facts that are said whole."),
            C("below", "How far below the line of plain fine-tuning; negative above it.", _NATS,
              title="below the line"),
        ]),
        TableSchema("format", "Free text before and after.", [
            C("model", "Base or fine-tuned."),
            C("sampling", "How tokens are chosen."),
            C("repeated", "Share of runs of four tokens that stood in the text before."),
            C("ended", "Share of texts that come to an end by themselves."),
            C("distinct", "Different tokens over all tokens of a text, mean."),
            C("n", "Texts.", title="texts"),
        ]),
        TableSchema("texts", "The texts.", [
            C("model", "Base or fine-tuned."),
            C("sampling", "How tokens are chosen."),
            C("prompt", "What is continued."),
            C("text", "What is written."),
        ]),
        TableSchema("stage_survival", "Texts by where they were planted, behind every stage.", [
            C("moment", "Behind which stage."),
            C("planted", "In which stage it was read, or as which answer of preference pairs."),
            C("gain", "How far its loss fell beyond that of texts never read.", _NATS),
            _LOW,
            _HIGH,
            C("recalled", "Share that is recalled: ten tokens behind the first half."),
            C("recalled_low", "Lower end of its 95 % interval."),
            C("recalled_high", "Upper end."),
            C("match", "Mean tokens of the second half that are said.", "tokens"),
            C("n", "Texts, of all seeds.", title="texts"),
        ]),
        TableSchema("stage_effects", "What a stage takes or gives, text by text.", [
            C("effect", "Which texts, and between which stages."),
            C("difference", "Mean change of the gain.", _NATS),
            _LOW,
            _HIGH,
            C("n", "Texts, of all seeds.", title="texts"),
        ]),
        TableSchema("retention_matrix", "What is said of every task behind every task.", [
            C("start", "The model as it is, or random weights."),
            C("behind", "Tasks that were learned by then; 0 is before the first."),
            C("task", "Which task is asked."),
            C("said", "Mean share of the second half that is said."),
            _LOW,
            _HIGH,
            C("n", "Texts, of all seeds.", title="texts"),
        ]),
        TableSchema("sequence", "The matrix in four numbers.", [
            C("start", "The model as it is, or random weights."),
            C("average", "Mean of the last row."),
            C("learning", "Mean of what is said right behind the task's own."),
            C("transfer", "Backward transfer: last row less that; negative is forgetting."),
            C("forgetting", "Best row less the last."),
            C("never_read", "The same of texts that no task has, in the last row.",
              title="never read"),
        ]),
        CLAIMS_TABLE,
    ],
    findings=[
        F("facts", "Facts that may be forgotten", "facts"),
        F("cost", "What fine-tuning cost", _NATS),
        F("law", "The line of forgetting", "R², nats per nat"),
        F("where", "Where the forgetting sits", "share of the forgetting"),
        F("halving", "Random halves against half of the update", "share of the forgetting"),
        F("mirror", "Each module's update alone", "share of the forgetting"),
        F("shuffled", "The map of a training on shuffled text", "correlation"),
        F("verdict", "Lost or misplaced", "share of facts"),
        F("path", "The barrier between", "nats per token"),
        F("cka", "How alike states are", "CKA"),
        F("first_steps", "The first steps", "share of the fall"),
        F("remedies", "Remedies against the line", "nats per token"),
        F("format", "What changes in free text", "share"),
        F("stages", "Survival through the stages", "share of texts"),
        F("tasks", "Task after task", "share of what was learned"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip
