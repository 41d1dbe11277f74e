"""What the tables, arrays and findings of a run mean."""

from analyses import claims
from analyses.weights.edit_ledger.constants import DISABLED, KINDS
from analyses.weights.edit_ledger.rates import COUNTED
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_FACT = C("fact", "Number of the fact, from 0.")
_METHOD = C("method", "How the fact was changed; `no edit`, `random change` and `r-ROME in a"
            " random layer` are the nulls.")  # fmt: skip

SAID = {
    "efficacy": "Share of edited sentences after which the new answer is likelier than the old"
    " (per token); the papers' efficacy.",
    "accuracy": "… that are completed with the new answer, whole and as a word.",
    "generalization": "Share of paraphrases after which the new answer is the likelier.",
    "in_other_words": "… that are completed with the new answer.",
    "reversion": "Share of paraphrases, and of the sentence behind other text, that are completed"
    " with the old answer.",
    "specificity": "Share of questions about neighbours whose own answer stays likelier than the"
    " new one.",
    "neighbours_unmoved": "Share of known neighbours that are still answered rightly.",
    "same_subject_unmoved": "Share of other known facts about the subject that are still answered"
    " rightly.",
    "negated": "Share of negated sentences that are completed with the new answer.",
    "reverse": "Share of reverse questions, known before, that are answered with the subject.",
    "onward": "Share of questions whose first step is the edited fact, known before, that are"
    " answered as follows from the new one.",
    "behind": "Share of questions whose second step is the edited fact, known before, that are"
    " answered with the new one.",
    "long_holds": "Share behind what else is known of the subject that get the new answer.",
    "unrelated_holds": "Share behind what is known of another subject that get the new answer.",
    "dialogue_holds": "Share at the end of a dialogue that get the new answer.",
    "doubted_holds": "Share behind a doubt that get the new answer.",
    "long_reverts": "Share behind what else is known of the subject that get the old answer.",
    "unrelated_reverts": "Share behind what is known of another subject that get the old answer.",
    "dialogue_reverts": "Share at the end of a dialogue that get the old answer.",
    "doubted_reverts": "Share behind a doubt that get the old answer.",
}


def _rate(name: str, *, counted: bool = True) -> list[C]:
    bounds = [
        C(name, SAID[name]),
        C(f"{name}_low", "Lower end of its 95 % interval over facts."),
        C(f"{name}_high", "Upper end."),
    ]
    return [*bounds, C(f"{name}_n", "Questions it is counted over.")] if counted else bounds


def _mean(name: str, says: str, unit: str = "") -> list[C]:
    return [
        C(name, says, unit),
        C(f"{name}_low", "Lower end of its 95 % interval over facts.", unit),
        C(f"{name}_high", "Upper end.", unit),
    ]


_LOSS = "Change of the loss on neutral text."
_KL = "How far the next token on neutral text moved, KL(before || after)."
_KNOWN = "Share of facts of other relations, known before, that are still answered rightly."
_ENTROPY = (
    "Change of the entropy of word pairs and triples in what is written about the subject; far"
    " below 0 the model repeats itself."
)
_CONSISTENCY = (
    "Likeness (tf-idf cosine, 0 to 1) of what the model writes about the subject to what the"
    " unedited model writes about the new answer and subjects that truly have it (Meng et al."
    " 2022, with texts of Wikipedia)."
)
_CONSISTENCY_OLD = "The same with texts about the old answer."
_NORM = "Size of the change over that of the matrices it is in (Frobenius)."
_DISABLED = f"Whether the loss on neutral text rose by more than {DISABLED} nats per token."

SCHEMA = Schema(
    tables=[
        TableSchema("facts", "The facts that were edited one at a time.", [
            _FACT,
            C("subject", "Whose fact it is."),
            C("old", "What the model answers before.", title="old answer"),
            C("new", "What it is to answer.", title="new answer"),
            C("popularity", "How well known the subject is, as its set of facts counts it."),
            C("logp_old", "Log-probability of the old answer before the edit, per token.", "nats"),
            C("questions", "Questions that are asked before and after."),
        ]),
        TableSchema("answers", "Every question, after every edit.", [
            _FACT,
            _METHOD,
            C("kind", "Which question: " + "; ".join(f"`{k}`: {s}" for k, s in KINDS.items())
              + "."),
            C("prompt", "The question."),
            C("new", "What an edit that holds would answer.", title="new answer"),
            C("old", "What is right without it.", title="old answer"),
            C("says", "How the model goes on."),
            C("gives_new", "Whether that is the new answer."),
            C("gives_old", "Whether that is the old answer."),
            C("logp_new", "Log-probability of the new answer, per token.", "nats"),
            C("logp_old", "Log-probability of the old answer, per token.", "nats"),
        ]),
        TableSchema("edits", "Every edit, one at a time.", [
            _FACT,
            C("subject", "Whose fact it is."),
            _METHOD,
            C("loss_change", _LOSS, "nats per token"),
            C("kl", _KL, "nats"),
            C("known", _KNOWN),
            C("entropy_change", _ENTROPY, "bits"),
            C("consistency", _CONSISTENCY),
            C("consistency_old", _CONSISTENCY_OLD),
            C("norm", _NORM),
            C("key_ratio", "Of ROME: the bare prompt's key along the direction written, over the"
              " mean key's; where it is near 0 the published code disables the model."),
            C("disabled", _DISABLED),
            C("undone", "Whether the logits after undoing are those before, bit for bit."),
            C("seconds", "Time for the edit.", "s"),
            C("writes", "How the model goes on behind “SUBJECT is”."),
            C("note", "What is to be known of it."),
        ]),
        TableSchema("methods", "What each method gets.", [
            _METHOD,
            C("n", "Facts."),
            *[column for name in COUNTED for column in _rate(name)],
            C("score", "Harmonic mean of efficacy, generalization and specificity (Meng et al."
              " 2022)."),
            *_mean("loss_change", _LOSS, "nats per token"),
            *_mean("kl", _KL, "nats"),
            *_mean("known", _KNOWN),
            *_mean("entropy_change", _ENTROPY, "bits"),
            *_mean("consistency", _CONSISTENCY),
            *_mean("consistency_old", _CONSISTENCY_OLD),
            *_mean("norm", _NORM),
            *_mean("seconds", "Time for an edit.", "s"),
            C("disabled", "Edits after which the loss on neutral text is more than"
              f" {DISABLED} nats per token higher."),
            C("undone", "Whether every edit was undone bit for bit."),
        ]),
        TableSchema("popularity", "The better and the less known half of the facts.", [
            _METHOD,
            C("half", "Which half, by the popularity of the subject."),
            C("n", "Facts."),
            *[column for name in ("accuracy", "in_other_words", "reversion", "specificity")
              for column in _rate(name, counted=False)],
        ]),
        TableSchema("layers", "r-ROME in several layers.", [
            C("facts", "`choosing`: the facts by which the best layer is chosen; `held out`: the"
              " others."),
            C("layer", "Layer that is edited."),
            C("n", "Facts."),
            *[column for name in ("efficacy", "generalization", "specificity", "accuracy",
                                  "in_other_words")
              for column in _rate(name, counted=False)],
            C("score", "Harmonic mean of efficacy, generalization and specificity."),
        ]),
        TableSchema("ledger", "Every edit of a sequence, asked again after every batch.", [
            _METHOD,
            C("edit", "Number of the edit, from 0."),
            C("subject", "Whose fact it is."),
            C("made", "The batch in which it was made."),
            C("tested", "The batch after which it is asked again."),
            C("holds", "Whether the sentence is completed with the new answer."),
            C("prefers", "Whether the new answer is likelier than the old."),
            C("reverts", "Whether the sentence is completed with the old answer."),
            C("says", "How the model goes on."),
            C("in_other_words", "Whether one paraphrase (the sentence behind other text, where"
              " there is none) gets the new answer."),
        ]),
        TableSchema("drift", "What a sequence of edits does to everything else.", [
            _METHOD,
            C("batch", "The batch after which it is measured; −1: before the first."),
            C("edits", "Edits so far."),
            C("loss_change", _LOSS, "nats per token"),
            C("kl", _KL, "nats"),
            C("known", _KNOWN),
            C("entropy_change", _ENTROPY, "bits"),
            C("norm", _NORM),
            C("holds", "Share of all edits so far that hold."),
            C("disabled", "Whether the loss rose by more than"
              f" {DISABLED} nats per token since the last measurement."),
            C("undone", "Whether undoing all of them gives the first logits bit for bit."),
        ]),
        TableSchema("taken_out", "All edits of a sequence put on again but one.", [
            _METHOD,
            C("change", "Number of the change that is left out, from 0."),
            C("facts", "What it had changed."),
            C("back", "Share of its facts that get their old answer again."),
            C("n", "Its facts."),
            C("others_hold", "Share of the other edits, of those that held at the end, that still"
              " do."),
            C("others", "Those edits."),
        ]),
        TableSchema("factors", "The changes of weights, as factors.", [
            C("fact", "Number of the (first) fact."),
            C("method", "The method."),
            C("parameter", "Which matrix is changed."),
            C("about", "What the change does."),
            C("weights", "Fingerprint of the weights it was made on."),
            C("rank", "Rank of the change."),
            C("rows", "Rows of the matrix."),
            C("columns", "Columns of the matrix."),
            C("at_left", "Where its left factor begins in the array `left`."),
            C("at_right", "Where its right factor begins in the array `right`."),
        ]),
        claims.TABLE,
    ],
    arrays=[
        A("left", "Left factors of all changes, one after the other (rows × rank each).",
          ("number",)),
        A("right", "Right factors (rank × columns each).", ("place",)),
    ],
    findings=[
        F("holds", "New answer in other words", "share of paraphrases"),
        F("sentence", "New answer to the edited sentence", "share of facts"),
        F("neighbours", "Neighbours left alone", "share of questions"),
        F("reverts", "The old answer comes back", "share of questions"),
        F("two_steps", "What follows from the fact follows too", "share of questions"),
        F("elsewhere", "What everything else loses", "nats per token"),
        F("writing", "What is written about the subject fits the new answer", "cosine"),
        F("undone", "Undone bit for bit", "edits"),
        F("less_known", "Less known facts against better known ones", "share of paraphrases"),
        F("best_layer", "Best layer, on held-out facts", "layer"),
        F("asked_otherwise", "Behind other text", "share of questions"),
        F("remembered", "Edits that still hold at the end", "share of edits"),
        F("first_forgotten", "Where forgetting begins", "edits"),
        F("breakdown", "Where the model breaks", "edits"),
        F("removed", "An edit taken out of the sequence", "share of facts"),
        F("not_known", "Not known before the edit", "facts"),
        F("too_few", "Too few facts", "facts"),
        claims.FINDING,
    ],
)  # fmt: skip
