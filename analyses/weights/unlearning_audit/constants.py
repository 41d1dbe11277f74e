"""Names that a run's tables use."""

from __future__ import annotations

NAME = "unlearning-audit"

ORIGINAL, REFERENCE, SECOND, RANDOM = "original", "reference", "second reference", "random change"
"""What stands beside every unlearned model: the model before; one trained again without the
passages; another such training, whose distance from the first is the noise; and a change of equal
size in a random direction.
"""
BESIDE = (ORIGINAL, REFERENCE, SECOND, RANDOM)

FORGET, RETAIN, KEPT, UNSEEN, NEUTRAL = "forget", "retain", "kept", "unseen", "neutral"
SETS = {
    FORGET: "to be forgotten",
    RETAIN: "to be kept, and given to the methods that keep something",
    KEPT: "to be kept, and shown to no method: what utility is measured on",
    UNSEEN: "of the same kinds as the forget set, and never read",
    NEUTRAL: "prose that no training read",
}
"""The sets of passages, and what they are for."""

GONE, HIDDEN, REMAINS, BROKEN, OVER, UNTOLD = (
    "gone, as far as was looked",
    "hidden",
    "not forgotten",
    "the model is broken",
    "forgotten too much",
    "cannot be told",
)
DAMAGE = 0.5
"""Nats per token on neutral text from which on a model counts as broken."""
VERDICTS = {
    GONE: "says no more of the passages than the reference, and no attack brings them back faster",
    OVER: "fits the passages worse than text it never read, which gives away that they were there",
    HIDDEN: "says no more of the passages, but an attack brings them back and not in the reference,"
    " or they still fit better than what was never read",
    REMAINS: "still says more of the passages than the reference",
    BROKEN: f"its loss on neutral text rose by more than {DAMAGE:g} nats per token",
    UNTOLD: "there are too few passages: as much as half may be left, or nothing",
}
SPREADING, CONCEPT = "spreading", "concept"
"""Parts that forget facts of the world and no passages."""
OF_FACTS = frozenset({SPREADING, CONCEPT})
ENOUGH_UNSEEN = 200
"""Never-read passages that an AUC needs (Shi et al. 2024 use several hundred)."""
ENOUGH_FORGET = 10
"""Passages to forget below which differences between methods are not told."""
SHARE = 0.4
"""Of the tokens: the k of Min-K % in PrivLeak."""

OWN, RELATED, UNRELATED = "some of them", "related text", "unrelated text"
TRAINED_ON = {
    OWN: "a fifth of the passages to forget; the others are asked",
    RELATED: "passages of the same kinds that no model read",
    UNRELATED: "prose",
}
"""What relearning trains on."""
