"""Function tokens: the most frequent ones that make up a share of the text; and beside them what
grammar calls function words.

The two lists are not the same. The first belongs to a tokenizer and a corpus (Zhang et al. 2025);
the second is the closed word classes of English, with punctuation and white space: nothing in it
was counted.
"""

from __future__ import annotations

import unicodedata

import numpy as np

_CLASSES = {
    "determiner": (
        "a an the this that these those each every either neither some any no all both half such"
        " another other what which whose many much few several most more less least own same"
    ),
    "pronoun": (
        "i me my mine myself you your yours yourself yourselves he him his himself she her hers"
        " herself it its itself we us our ours ourselves they them their theirs themselves one who"
        " whom whoever whatever whichever someone somebody something anyone anybody anything"
        " everyone everybody everything nobody nothing none thou thee thy thine thyself ye"
    ),
    "preposition": (
        "about above across after against along amid among amongst around as at before behind below"
        " beneath beside besides between beyond by concerning despite down during except for from"
        " in inside into like near of off on onto out outside over past per regarding since than"
        " through throughout till to toward towards under underneath until unto up upon via with"
        " within without"
    ),
    "conjunction": (
        "and but or nor so yet if because although though while whereas unless when whenever where"
        " wherever why how whether lest"
    ),
    "auxiliary": (
        "be am is are was were been being have has had having do does did doing done can could may"
        " might must shall should will would ought hath doth hast dost wast wert shalt wilt 's 're"
        " 've 'll 'd 'm n't ’s ’re ’ve ’ll ’d ’m n’t"
    ),
    "particle": (
        "not there here then thus therefore however also too very just only even still again ever"
        " never now else"
    ),
}
_CLASS_OF = {word: name for name, words in _CLASSES.items() for word in words.split()}


def word_class(token: str) -> str:
    """The class of a function word, "punctuation" or "white space"; "" for whatever carries
    content.

    A token counts as the word that it spells, with or without a space in front, whatever it may be
    a part of elsewhere.
    """
    bare = token.strip()
    if not bare:
        return "white space"
    if all(unicodedata.category(c)[0] in "PS" for c in bare):
        return "punctuation"
    return _CLASS_OF.get(bare.lower(), "")


def most_frequent(occurrences: np.ndarray, share: float) -> np.ndarray:
    """Ids of the fewest types, most frequent first, that together make up the share of all tokens.

    Equally frequent ones come in the order of their ids.
    """
    order = by_frequency(occurrences)
    reached = np.cumsum(occurrences[order])
    return order[: int(np.searchsorted(reached, share * occurrences.sum())) + 1]


def by_frequency(occurrences: np.ndarray) -> np.ndarray:
    """Ids of all types that occur, most frequent first."""
    order = np.argsort(-occurrences, kind="stable")
    return order[occurrences[order] > 0]
