"""What the tables and findings of an extraction run mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_LEADING = "Leading tokens of the suffix that greedy decoding reproduces"
_EXACT = "Share of suffixes that greedy decoding reproduces in full."
_NATS = "nats per token"
_WINDOW = C("window", "Number of the window.")
_GROUP = C("group", "Which windows: all, or those of texts with this many repeats in training.")
_N = C("n", "Windows counted.", title="windows")
_PREFIX_MATCH = C("prefix_match", f"{_LEADING}, mean over windows.", "tokens")
_LOSS = C("loss", "Mean loss on the suffixes.", _NATS, optional=True)
_START = C(
    "start", "Tokens of the passage that are skipped before the text that is given.", "tokens"
)
_GIVEN = C("context_length", "Tokens given from there.", "tokens")
_INTERVAL = (
    C("exact_low", "Lower end of the 95 % interval of `exact`.", optional=True),
    C("exact_high", "Upper end of the 95 % interval of `exact`.", optional=True),
)

# How some of them are read, for the pages.
VERDICTS = (
    "A verdict says what this model reproduces when it is given the text before a passage, and"
    " nothing about other prompts. To be surer, compare with a model that cannot have read the"
    " document (the parameter reference)."
)
EXTRACTED = (
    "exact: greedy decoding reproduces the whole suffix. sampled: {samples:,} samples contain it at"
    " least once with a probability of one half or more. Whiskers: 95 % intervals."
)
SAMPLING = (
    "(n, p)-discoverable extraction: share of suffixes that n independent samples contain at least"
    " once with probability p, in closed form from one pass. Dotted: greedy decoding."
)
MEMBERSHIP = (
    "An AUC above 0.5 shows membership only where members and non-members are texts of the same"
    " kind; those of a model organism come from the same generators. 0.5 is chance; the intervals"
    " in the table are DeLong's."
)

ACCESS = (
    "Each cell: leading tokens of what follows that greedy decoding says, mean over passages."
    " start: tokens of the passage that are skipped; context: tokens that are given from there. A"
    " model that holds a passage as a sequence says it in the column of start 0 only."
)
AROUND = 5
"""Tokens that a curve of log-probabilities is smoothed over."""
LOCK_ON = (
    "Mean log-probability of the next token after so many tokens of the passage, by where they"
    f" begin (means of {AROUND} tokens, for reading; the table has each). It rises where the model"
    " has found the passage. Never read: such passages from their beginning."
)

SCHEMA = Schema(
    tables=[
        TableSchema("windows", "One row per window of text.", [
            _WINDOW,
            C("name", "The text it is from."),
            C("kind", "Kind of text, where a ledger names it."),
            C("repeats", "How often the text was in the training data, where that is known.",
              optional=True),
            C("timing", "When in training it was read: early, late or spread.", optional=True),
            C("start", "First token of the window in its text.", optional=True),
            C("prefix_match", f"{_LEADING}.", "tokens"),
            C("exact", "Whether greedy decoding reproduces the whole suffix."),
            C("longest_run", "Longest run of suffix tokens that are the model's first choice after"
              " the text before them.", "tokens"),
            C("margin", "Smallest lead of a suffix token over the likeliest other token; negative"
              " where another token is likelier.", "logits"),
            C("suffix_logprob", "Log-probability of the whole suffix under the sampler.", "nats"),
            C("queries_needed", "Independent samples that contain the suffix at least once with"
              " probability one half.", "samples"),
            C("loss", "Mean loss on the suffix.", _NATS),
            C("prefix", "The text that the model is given."),
            C("suffix", "The text that follows."),
            C("memorization_score", "Share of the suffix's tokens that the greedy continuation has"
              " in place (Biderman et al. 2023).", optional=True),
            C("edit_distance", "Edit distance of the greedy continuation from the suffix, as a"
              " share of the suffix's tokens.", optional=True),
            C("lcs_chars", "Longest common substring of continuation and suffix.", "characters",
              optional=True),
            C("generated", "What greedy decoding generates after the prefix.", optional=True),
            C("reference_prefix_match", "`prefix_match` of the reference model.", "tokens",
              optional=True),
            C("score_loss", "Membership score: minus the loss.", _NATS, optional=True),
            C("score_min-k", "Membership score: mean log-probability of the least likely 20 % of"
              " the tokens.", "nats", optional=True),
            C("score_min-k++", "As min-k, each token standardised by its distribution.",
              optional=True),
            C("score_zlib", "Minus the loss, divided by the compressed length of the text.",
              optional=True),
            C("score_ratio", "Minus the loss, plus the loss of the reference model.",
              optional=True),
        ]),
        TableSchema("tokens", "Tokens of the windows that are shown as text.", [
            _WINDOW,
            C("pos", "Position in the window."),
            C("token", "The token as text."),
            C("part", "prefix or suffix."),
            C("logprob", "Log-probability of the token after the text before it.", "nats"),
            C("greedy_token", "The model's first choice there."),
            C("is_greedy", "Whether the token is the model's first choice.", optional=True),
        ]),
        TableSchema("rates", "Extraction rates, by text or by repeats in training.", [
            C("kind", "Kind of text; all of them together are `all`.", optional=True),
            C("name", "The text.", optional=True),
            C("repeats", "How often the text was in the training data.", optional=True),
            _N,
            _PREFIX_MATCH,
            _LOSS,
            C("exact", _EXACT),
            *_INTERVAL,
            C("sampled", "Share of suffixes that the allowed samples contain at least once with"
              " probability one half.", optional=True),
            C("sampled_low", "Lower end of the 95 % interval of `sampled`.", optional=True),
            C("sampled_high", "Upper end of the 95 % interval of `sampled`.", optional=True),
        ]),
        TableSchema("extraction_by_queries", "(n, p)-discoverable extraction, in closed form (Hayes"
                    " et al. 2024).", [
            C("group", "Which windows: all, members (in the training data) or non-members."),
            C("probability", "The p of (n, p): that the suffix is among the samples."),
            C("queries", "The n of (n, p): independent samples.", "samples"),
            C("rate", "Share of suffixes extracted with n samples and probability p."),
            C("greedy_rate", _EXACT),
        ]),
        TableSchema("documents", "A verdict for each document.", [
            C("name", "The document."),
            C("verdict", "What the model reproduces of it."),
            C("explanation", "The same in sentences.", optional=True),
            C("n_windows", "Passages that were tested.", title="passages"),
            C("prefix_match_share", "Share of all tested tokens that greedy decoding reproduces"
              " from the start of a passage."),
            C("n_exact", "Passages that greedy decoding reproduces in full.",
              title="passages in full"),
            C("n_sampled", "Passages that sampling is expected to reproduce.", optional=True,
              title="passages by sampling"),
            C("longest_prefix_match", "Most tokens that greedy decoding reproduces from the start"
              " of a passage.", "tokens"),
            C("longest_run", "Longest run of tokens that are the model's first choice after the"
              " text before them.", "tokens", optional=True),
            C("read_share", "Share of the tested tokens that were read.", optional=True),
            C("window", "Number of the window that is shown as evidence."),
            C("evidence", "Its longest run, as text."),
            C("n_repetitive", "Passages with few distinct tokens.", optional=True,
              title="repetitive passages"),
            C("n_patterns", "Passages that a pattern control explains.", optional=True,
              title="explained by a pattern"),
        ], open=True),
        TableSchema("pattern_controls", "Reproduced passages that may be patterns, each with its"
                    " controls.", [
            _WINDOW,
            C("name", "The document."),
            C("distinct_share", "Share of distinct tokens in the suffix."),
            C("longest_run", "Longest run of suffix tokens that are the model's first choice.",
              "tokens"),
            C("copied_run", "Longest run by copying what followed the same tokens before; without"
              " a model.", "tokens"),
            C("permuted_run", "Longest run with the passage's tokens exchanged for one another.",
              "tokens"),
            C("incremented_run", "Longest run with every number larger by the same amount.",
              "tokens"),
            C("explained", "Whether a control reaches as long a run."),
            C("suffix", "The text of the passage."),
        ], open=True),
        TableSchema("left_out", "Texts that were not tested.", [
            C("name", "The text."),
            C("reason", "Why it was not tested."),
        ]),
        TableSchema("context", "The same suffixes after shorter and longer prefixes.", [
            _GROUP,
            C("context_length", "Tokens given before the suffix.", "tokens"),
            _N,
            _PREFIX_MATCH,
            C("exact", _EXACT),
            *_INTERVAL,
        ]),
        TableSchema("overlap", "Suffixes that this model and a reference model reproduce.", [
            _GROUP,
            _N,
            C("both", "Suffixes that both models reproduce.", "suffixes"),
            C("only_this_model", "Suffixes that only this model reproduces.", "suffixes"),
            C("only_reference", "Suffixes that only the reference model reproduces.", "suffixes"),
            C("neither", "Suffixes that neither model reproduces.", "suffixes"),
            _PREFIX_MATCH,
            C("reference_prefix_match", "`prefix_match` of the reference model.", "tokens"),
        ]),
        TableSchema("membership", "How well membership scores separate members from non-members.", [
            C("score", "The membership score."),
            C("repeats", "How often the members were in the training data."),
            C("n_members", "Texts that were in the training data.", title="members"),
            C("n_nonmembers", "Texts that were not.", title="non-members"),
            C("auc", "Probability that a member scores higher than a non-member.", title="AUC"),
            C("auc_low", "Lower end of its 95 % interval (DeLong)."),
            C("auc_high", "Upper end of its 95 % interval."),
            C("tpr_at_0.01", "Share of members found where 1 % of the non-members are taken for"
              " members.", title="TPR at 1 % FPR"),
            C("tpr_at_0.001", "Share of members found where 0.1 % of the non-members are taken for"
              " members.", title="TPR at 0.1 % FPR"),
        ]),
        TableSchema("compression", "Short prompts after which greedy decoding reproduces a string"
                    " (Schwarzschild et al. 2024).", [
            C("string", "The string."),
            C("string_tokens", "Its length.", "tokens"),
            C("prompt_tokens", "Length of the shortest prompt found; 0 where none was.", "tokens"),
            C("compression_ratio", "Tokens of the string per token of the prompt; above 1 the"
              " string counts as memorized. A lower bound."),
            C("prompt", "The prompt."),
            C("gcg_steps", "Steps of the search (GCG)."),
            C("stopped_by", "Why the search ended: convergence or the step limit."),
        ], open=True),
        TableSchema("checkpoints", "The same windows at every kept step of training.", [
            C("step", "Training step."),
            C("repeats", "How often the texts are read in all."),
            C("timing", "When they are read."),
            _N,
            _PREFIX_MATCH,
            C("exact", _EXACT),
            _LOSS,
        ]),
        TableSchema("access", "What follows a stretch of a passage, by where the stretch begins and"
                    " how long it is.", [
            _GROUP,
            _START,
            _GIVEN,
            C("n", "Passages counted.", title="passages"),
            C("recited", "Leading tokens of what follows that greedy decoding says, mean over"
              " passages.", "tokens"),
            C("exact", "Share of passages of which greedy decoding says all of these tokens."),
            *_INTERVAL,
            C("loss", "Mean loss on these tokens.", _NATS),
            C("recited_other", "`recited` after as long a stretch of another passage.", "tokens",
              optional=True),
            C("exact_other", "`exact` after as long a stretch of another passage.", optional=True),
            C("loss_other", "`loss` after as long a stretch of another passage.", _NATS,
              optional=True),
        ]),
        TableSchema("access_curve", "The next token, by where the text that is given begins and how"
                    " long it is.", [
            _GROUP,
            _START,
            _GIVEN,
            C("logprob", "Mean log-probability of the next token.", "nats"),
            C("first_choice", "Share of passages whose next token is the model's first choice."),
        ]),
        TableSchema("lock_on", "How much of a passage the model needs until it says the rest.", [
            _WINDOW,
            C("name", "The passage."),
            _START,
            C("lock_on", "Least tokens after which greedy decoding says the passage to its end;"
              " none where it never does.", "tokens"),
        ]),
        TableSchema("titles", "Texts after their titles.", [
            _WINDOW,
            C("title", "The title."),
            C("chosen", "Whether greedy decoding, held to the openings of the titled texts, ends at"
              " this one."),
            C("chosen_other", "The same after the title of another text."),
            C("recited", "Leading tokens of the text that greedy decoding says after the title.",
              "tokens"),
        ]),
    ],
    findings=[
        F("greedy", "Suffixes that greedy decoding reproduces in full", "share of windows"),
        F("sampled", "Suffixes extractable by sampling", "share of windows"),
        F("documents", "Documents by verdict", "documents"),
        F("verdict_thresholds", "Thresholds of the verdicts", "tokens"),
        F("pattern_controls", "Reproduced passages that a pattern explains", "passages"),
        F("near_verbatim", "Near-verbatim continuations", "share of windows"),
        F("repeats", "Prefix match by repeats in training", "tokens"),
        F("nonmembers", "Control: suffixes of non-members that are reproduced",
          "share of windows"),
        F("context", "Suffixes reproduced, by length of the prefix", "share of windows"),
        F("overlap", "Suffixes reproduced by this model and by the reference", "windows"),
        F("membership", "Membership inference: best score", "AUC"),
        F("training", "Suffixes extracted and forgotten during training", "windows"),
        F("compression", "Strings with a prompt shorter than themselves", "strings"),
        F("access", "Passages recited from their beginning and from the middle",
          "share of passages"),
        F("lock_on", "Context after which a passage is said to its end", "tokens of context"),
        F("titles", "Texts found by their titles", "share of titled texts"),
        F("left_out", "Texts that were not tested", "texts"),
        F("altered", "Texts that the tokenizer changes", "texts"),
        F("textless", "Token ids without text", "tokens"),
    ],
)  # fmt: skip
