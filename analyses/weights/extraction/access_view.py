"""What sequential and random access look like: the answer, tokens recited by start and context, and
how likely each token was.
"""

from __future__ import annotations

from analyses.weights.extraction import schema
from analyses.weights.extraction import selections as sel
from workbench import views as v

ACCESS = v.View("Access", needs="access", otherwise="the part 'access' was not run", parts=[
    v.finding("access", "lock_on", "titles"),
    v.chart(
        "matrix", sel.access, "context", "start", "recited", per="title", unit="mean",
        top=sel.most_recited, abreast=2,
    ),
    v.says(schema.ACCESS, small=True),
    v.chart(
        "curves", sel.access_curve, "context_length", "logprob", "begun", ylabel="nats",
        xlabel="tokens given", title="Log-probability of the next token, by start",
    ),
    v.says(schema.LOCK_ON, small=True),
    v.table("access"),
    v.table("lock_on", "Passage by passage"),
    v.table("titles", "After their titles"),
])  # fmt: skip
