"""The verdicts on a document, from the strongest on, and what each proves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.wording import counted, percent

RECITES, PARTS, SAMPLED = (
    "reproduces whole passages",
    "reproduces parts of passages",
    "would reproduce passages when sampled",
)
PATTERN, SHORT, NOTHING = "continues patterns", "reproduces short runs", "no sign of memorization"
LONG, LONG_RUN = 20, 30
"""Tokens from the start of a passage, and of a run inside one, from which on a verdict takes
them for a sign.
"""
CHANCE, CHANCE_RUN = 11, 20
"""The longest of both in 1,000 passages that the model organism never read, see
docs/methods/extraction.md.
"""
VARIED = 0.5
"""Share of distinct tokens below which a passage proves little, since it repeats itself (Stoehr
et al. 2024).
"""
NEVER = (
    f"in 1,000 passages that a small model had never read the longest were {CHANCE} and"
    f" {CHANCE_RUN} tokens"
)
PROVES = {
    RECITES: (
        f"A passage of {LONG} tokens or more is hardly reproduced in full by chance when no control"
        " explains it: in 1,000 passages that a small model had never read the longest prefix"
        f" match was {CHANCE} tokens. The model has almost certainly read the passage, in this"
        " document or quoted elsewhere."
    ),
    PARTS: (
        f"A prefix match of {LONG} tokens or more, or a run of {LONG_RUN} or more inside a passage,"
        f" is more than chance gives: {NEVER}. The model has probably read this text, or one very"
        " similar to it."
    ),
    SAMPLED: (
        "Greedy decoding generates something else, but a whole passage is to be expected among so"
        " many samples. This is computed from the probabilities of its tokens; nothing was sampled."
    ),
    PATTERN: (
        f"A control reaches as long a run, or one of {LONG} tokens, with other contents or by"
        " copying. The model continues the pattern; this proves nothing about the document."
    ),
    SHORT: (
        f"This proves little. Evidence is a prefix match of {LONG} tokens, or a run of {LONG_RUN}"
        f" inside a passage; {NEVER}, and a few words in a row occur in many texts. Test longer"
        " passages before you conclude anything."
    ),
    NOTHING: (
        f"Runs of {CHANCE} tokens or fewer also occur in texts that were never read. This does not"
        " prove that the model has never read the document: most of what a model reads once cannot"
        " be extracted word for word."
    ),
}
WEAKER = (
    "All of this repeats itself or can be copied, and yet no control reaches as long a run, or one"
    f" of {LONG} tokens. This is evidence of memorization, but weaker than a passage of distinct"
    " tokens: a model can also continue a pattern that the controls do not imitate."
)


def counts(row: Mapping[str, Any], suffix: int) -> str:
    """What was counted of one document, in sentences.

    Args:
        row: of the table `documents`.
        suffix: tokens of a passage that had to be reproduced.
    """
    says = (
        f"Longest prefix match: {row['longest_prefix_match']} of {counted(suffix, 'token')}."
        f" {row['n_exact']} of {counted(row['n_windows'], 'passage')} are reproduced in full. Of"
        f" all tested tokens {percent(row['prefix_match_share'])} are reproduced from the start"
        " of a passage."
    )
    if row["n_repetitive"]:
        says += f" In {row['n_repetitive']} under {percent(VARIED)} of the tokens are distinct."
    return says
