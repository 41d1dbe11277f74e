"""What the tables and findings of an extraction run mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_GROUP = C("group", "Which windows: all, or those of texts read so often.")
_N = C("n", "Windows counted.")
_MATCH = C("match", "Leading tokens of the suffix that greedy decoding says, on average.", "tokens")
_INTERVAL = (
    C("exact_low", "Lower end of the 95 % interval of `exact`.", optional=True),
    C("exact_high", "Upper end of the 95 % interval of `exact`.", optional=True),
)

SCHEMA = Schema(
    tables=[
        TableSchema(
            "windows",
            "One row per window of text.",
            [
                C("window", "Number of the window."),
                C("name", "The text it is from."),
                C("kind", "Kind of text, where a ledger says it."),
                C(
                    "repeats",
                    "How often the text was read in training, where that is known.",
                    optional=True,
                ),
                C("timing", "When in training it was read.", optional=True),
                C("start", "First token of the window in its text.", optional=True),
                C("match", "Leading tokens of the suffix that greedy decoding says.", "tokens"),
                C("exact", "Whether greedy decoding says the whole suffix."),
                C(
                    "run",
                    "Longest run of the suffix that is said when the text before is given.",
                    "tokens",
                ),
                C(
                    "margin",
                    "Smallest lead of the text's token over the likeliest other; negative where it"
                    " has none.",
                    "nats",
                ),
                C("log_p", "Log-probability of the whole suffix under the sampler.", "nats"),
                C(
                    "tries",
                    "Independent samples needed to get the suffix with probability one half.",
                ),
                C("loss", "Mean loss on the suffix.", "nats per token"),
                C("prefix", "What the model is given."),
                C("suffix", "What it would have to say."),
                C(
                    "score",
                    "Share of the suffix's tokens that the decoded continuation has in place"
                    " (Biderman et al. 2023).",
                    optional=True,
                ),
                C(
                    "edit",
                    "Edit distance of the continuation from the suffix, as a share of its tokens.",
                    optional=True,
                ),
                C(
                    "common",
                    "Longest string that continuation and suffix share.",
                    "characters",
                    optional=True,
                ),
                C("said", "What greedy decoding says after the prefix.", optional=True),
                C("reference_match", "`match` of the reference model.", "tokens", optional=True),
                C(
                    "score_loss",
                    "Membership score: minus the loss.",
                    "nats per token",
                    optional=True,
                ),
                C(
                    "score_min-k",
                    "Membership score: mean log-probability of the least likely 20 % of the"
                    " tokens.",
                    "nats",
                    optional=True,
                ),
                C(
                    "score_min-k++",
                    "As min-k, each token standardised by its distribution.",
                    optional=True,
                ),
                C(
                    "score_zlib",
                    "Minus the loss, divided by the compressed length of the text.",
                    optional=True,
                ),
                C(
                    "score_ratio",
                    "Minus the loss, compared with the reference model's.",
                    optional=True,
                ),
            ],
        ),
        TableSchema(
            "tokens",
            "Tokens of the windows that are shown as text.",
            [
                C("window", "Number of the window."),
                C("pos", "Position in the window."),
                C("token", "The token as text."),
                C("part", "prefix or suffix."),
                C("logprob", "Log-probability of the token after the text before it.", "nats"),
                C("likeliest", "The model's own choice, where that is another."),
                C("right", "Whether it is the model's own choice.", optional=True),
            ],
        ),
        TableSchema(
            "rates",
            "What is extracted, by text or by how often a text was read.",
            [
                C("kind", "Kind of text; all of them together are `all`.", optional=True),
                C("name", "The text.", optional=True),
                C("repeats", "How often it was read.", optional=True),
                _N,
                _MATCH,
                C("loss", "Mean loss on the suffixes.", "nats per token", optional=True),
                C("exact", "Share of windows whose suffix greedy decoding says whole."),
                *_INTERVAL,
                C(
                    "sampled",
                    "Share of windows that the samples asked for contain at least once with"
                    " probability one half.",
                    optional=True,
                ),
                C("sampled_low", "Lower end of the 95 % interval of `sampled`.", optional=True),
                C("sampled_high", "Upper end of the 95 % interval of `sampled`.", optional=True),
            ],
        ),
        TableSchema(
            "tries",
            "Extraction by sampling, in closed form (Hayes et al. 2024).",
            [
                _GROUP,
                C("chance", "Probability with which the suffix is among the samples."),
                C("n", "Independent samples."),
                C("rate", "Share of windows extracted so."),
                C("greedy", "Share of windows that greedy decoding says."),
            ],
        ),
        TableSchema(
            "documents",
            "A verdict for each document.",
            [
                C("name", "The document."),
                C("verdict", "What comes out of it."),
                C("says", "The same as a sentence.", optional=True),
                C("windows", "Passages that were asked for."),
                C(
                    "recited",
                    "Share of all tokens asked for that are said from the start of a passage.",
                ),
                C("exact", "Passages that come out whole."),
                C("sampled", "Passages that come out by sampling.", optional=True),
                C("longest", "Longest match from the start of a passage.", "tokens"),
                C(
                    "run",
                    "Longest run said with the text before it given.",
                    "tokens",
                    optional=True,
                ),
                C("read", "Share of the document that was asked for.", optional=True),
                C("window", "The passage that is shown as evidence."),
                C("evidence", "What is said of it."),
                C("repetitive", "Passages that repeat themselves.", optional=True),
                C("patterns", "Passages that may be patterns.", optional=True),
            ],
            open=True,
        ),
        TableSchema(
            "controls", "Recited passages beside others of the same pattern.", [], open=True
        ),
        TableSchema(
            "left_out", "What was not looked at.", [C("name", "The text."), C("why", "The reason.")]
        ),
        TableSchema(
            "context",
            "The same suffixes after more or less text.",
            [
                _GROUP,
                C("context", "Tokens given before the suffix.", "tokens"),
                _N,
                _MATCH,
                C("exact", "Share of suffixes said whole."),
                *_INTERVAL,
            ],
        ),
        TableSchema(
            "overlap",
            "What this model and a reference say.",
            [
                _GROUP,
                _N,
                C("both", "Suffixes that both say."),
                C("this model only", "Suffixes that only this model says."),
                C("reference only", "Suffixes that only the reference says."),
                C("neither", "Suffixes that neither says."),
                _MATCH,
                C("reference_match", "`match` of the reference model.", "tokens"),
            ],
        ),
        TableSchema(
            "membership",
            "How well scores tell texts that were read from others.",
            [
                C("score", "The membership score."),
                C("repeats", "How often the texts were read."),
                C("members", "Texts that were read."),
                C("others", "Texts that were not."),
                C(
                    "auc",
                    "Probability that a text that was read scores higher than one that was not.",
                ),
                C("low", "Lower end of the 95 % interval (DeLong)."),
                C("high", "Upper end of the 95 % interval."),
                C(
                    "tpr_at_0.01",
                    "Share of texts found where 1 % of the others are taken for them.",
                ),
                C(
                    "tpr_at_0.001",
                    "Share of texts found where 0.1 % of the others are taken for them.",
                ),
            ],
        ),
        TableSchema(
            "compression",
            "Short prompts that bring a string back (Schwarzschild et al. 2024).",
            [],
            open=True,
        ),
        TableSchema(
            "steps",
            "The same windows along training.",
            [
                C("step", "Training step."),
                C("repeats", "How often the texts are read in all."),
                C("timing", "When they are read."),
                _N,
                _MATCH,
                C("exact", "Share of suffixes said whole."),
                C("loss", "Mean loss on the suffixes.", "nats per token"),
            ],
        ),
    ],
    findings=[
        F("greedy", "Suffixes that greedy decoding says whole", "share of windows"),
        F("sampled", "Suffixes that sampling brings out", "share of windows"),
        F("documents", "Documents by verdict", "documents"),
        F("verdict_thresholds", "What a verdict takes", "tokens"),
        F("near_verbatim", "Continuations that nearly match", "share of windows"),
        F("repeats", "Match by how often a text was read", "tokens"),
        F("never_read", "Passages never read that are said whole", "share of windows"),
        F("context", "More text before the suffix", "share of windows"),
        F("overlap", "This model beside another", "windows"),
        F("membership", "How well the best score tells texts that were read", "AUC"),
        F("training", "Suffixes gained and lost along training", "windows"),
        F("compression", "Strings with a shorter prompt than themselves", "strings"),
        F("left_out", "Texts not looked at", "texts"),
        F("altered", "Texts that the tokenizer changes", "texts"),
        F("textless", "Token ids that no text has", "tokens"),
    ],
)
