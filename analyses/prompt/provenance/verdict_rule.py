"""The rule by which a source is named; reading a saved run needs no more of it."""

LEAST = 0.69
"""Nats of an answer's log-probability that a source gives at least, to be one: it makes the answer
twice as likely.
"""

SAYABLE = 0.03
"""Probability per token (geometric mean) that an answer has at least from a source alone: what is
made a little less improbable is not given.
"""

RULE = (
    "A source is named where its effect on the answer is above 0 (95 % interval over the neutral"
    " texts), above every matched random part, and at least doubles the answer's probability (0.7"
    " nats). The weights must also leave it at least 3 % likely per token where the prompt says"
    " nothing of it (neutral text before the question, or nothing); the prompt must double it with"
    " the subject seen, beside neutral text and beside nothing, or double it with the subject"
    " blocked and leave it that likely."
)
