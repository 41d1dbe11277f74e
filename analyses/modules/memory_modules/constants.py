"""Names that the tables of a run use."""

NAME = "memory-modules"

TOP = 16
"""Of a memory that reads every slot (neurons), those that count as read: the largest."""
TEXTS = 6
"""Texts that are drawn token by token."""
SHARED = 100
"""Facts that are asked without each part of the model."""
DRAWS = 200
"""Permutations of labels."""
LOST = 0.3
"""Recall under which a fact counts as lost."""
KEPT = 0.02
"""Recall of other facts that may be lost while one's own is: more is not local."""

OWN, OTHERS, RANDOM = ARMS = (
    "the fact itself", "other facts", "the fact, random used slots masked instead",
)  # fmt: skip
B_SAID, A_SAID, ELSE_SAID = ("the other fact's answer", "its own answer", "something else")
SWAPPED, RANDOM_VALUES = ("values of another fact's slots", "values of random used slots")
ANSWER_RANK, OTHER_RANK = "the fact's answer", "another fact's answer"
FEWEST = 8
"""Facts without which no claim is judged."""

WHOLE, OFF, GOLD, ANOTHER, SWAP = CHANGES = (
    "as it is", "memory off", "its definition masked", "another definition masked",
    "another definition's value in its place",
)  # fmt: skip
"""What is changed of a memory in which definitions stand."""

OWN_SLOT, OTHER_SLOT, WRITE_SKIPPED = (
    "its slot masked", "another key's slot masked", "its last update not written",
)  # fmt: skip
UPDATE_CHANGES = (WHOLE, OWN_SLOT, OTHER_SLOT, WRITE_SKIPPED, OFF)
"""What is changed of a memory that keeps up with updates."""

OF_DOMAIN, RANDOM_SLOT, SOME_SLOT = (
    "the slot that tells {}", "a random slot", "another slot",
)  # fmt: skip
"""Which slot is masked while texts of domains are asked."""
DOMAIN_TEXTS, DOMAIN_TOKENS = 60, 48
"""Texts of a domain that choose a slot, and as many that are held out; their tokens, about."""
EVERY_SLOT = 16
"""Slots of which each is masked; of more, some by lot."""

NO_MEMORY, ALL_TOKENS, NEAREST, BY_LOT = (
    "no memory", "every token", "the nearest tokens", "random tokens",
)  # fmt: skip
INVENTED, COUNTERFACTUAL = ("invented", "counterfactual")
"""What a question reads of a document outside of the prompt."""
