"""The columns of the audit: what each criterion is called, and what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Criterion:
    """A column of the audit.

    Attributes:
        title: short, for the table.
        says: what it is.
        unit: of the value.
        better: "reference": as the reference has it; "high"; "low".
    """

    title: str
    says: str
    unit: str = ""
    better: str = "reference"


CRITERIA = {
    "verbatim": Criterion("verbatim (%)", "ROUGE-L F1 of the greedy continuation with the true one,"
                          " mean over the passages to forget (MUSE's VerbMem).", "percent"),
    "exact": Criterion("first choice (%)", "Share of the tokens of the passages to forget that are"
                       " the model's first choice when it is given all before them.", "percent"),
    "strength": Criterion("extraction strength (%)", "Share of a passage that follows, token for"
                          " token, once the rest is given; mean over the passages to forget.",
                          "percent"),
    "nats": Criterion("loss (nats)", "Mean loss on the passages to forget.", "nats per token"),
    "knowledge": Criterion("knowledge (%)", "ROUGE-L F1 of answers about the passages to forget,"
                           " asked in other words (MUSE's KnowMem).", "percent"),
    "choice": Criterion("right of five (%)", "Questions about the passages to forget of which the"
                        " right answer is likelier than four other people's.", "percent"),
    "leak": Criterion("leakage (%)", "MUSE's PrivLeak: 100 (A - A of the reference) / A of the"
                      " reference, A the share of pairs in which a never-read passage looks more"
                      " like one that was read (Min-40 %) than one to forget. Below 0 the passages"
                      " still stand out; above 0 they fit worse than what was never read.",
                      "percent"),
    "truth": Criterion("truth ratio", "Geometric mean of the probabilities of wrong answers over"
                       " that of the right one, folded so that 1 is best: min(r, 1/r) (TOFU).", "",
                       "high"),
    "forget_quality": Criterion("forget quality (p)", "TOFU: p of a two-sample Kolmogorov-Smirnov"
                                " test of the truth ratios against those of the reference; above"
                                " 0.05 they are not told apart.", "p", "high"),
    "ks": Criterion("KS distance", "The distance of that test, which does not depend on how many"
                    " questions there are.", "", "low"),
    "kept": Criterion("kept verbatim (%)", "ROUGE-L F1 on passages to keep that no method was"
                      " shown.", "percent", "high"),
    "utility": Criterion("kept knowledge (%)", "ROUGE-L F1 of answers about passages to keep"
                         " (MUSE's utility).", "percent", "high"),
    "model_utility": Criterion("model utility", "Harmonic mean of probability, ROUGE-L and truth"
                               " ratio on questions about passages to keep (TOFU, of which only the"
                               " retained third is to be had here).", "", "high"),
    "fluency": Criterion("fluency (nats)", "How unlikely the continuations of the passages to"
                         " forget are to the reference: a model that lost its language says what"
                         " no other would (ELM's seamlessness).", "nats per token", "low"),
    "neutral": Criterion("neutral loss (nats)", "Loss on prose that no training read.",
                         "nats per token", "low"),
}  # fmt: skip
