"""What is measured of a model's logits: one protocol, `Metric`, for sweeps and for gradients.

A `Read` is a metric that still lacks the tokens it watches: a sweep gives it each prompt's targets,
and `read.of(tokens)` makes it a metric for gradients.

    wb.sweep(model, prompts, targets, read="logit_diff")
    wb.sweep(model, prompts, read=wb.KL(norm="frozen"))
    wb.sweep(model, texts, read=loss)                              # a metric
    wb.activation_gradients(model, prompts, wb.LogProb().of([5]))  # a read with its token
    wb.activation_gradients(model, prompts, lambda logits: logits.logsumexp(-1))

I want to write a metric, or know what one is   -> protocol.py
I want those that know what they watch          -> functions.py
I want those that a sweep gives its targets     -> reads.py
"""

from hooks.metrics.functions import continuation_loss, logit_difference, loss
from hooks.metrics.protocol import (
    AnyMetric,
    Metric,
    Metrics,
    OfNextToken,
    Read,
    as_metric,
    checked,
    per_prompt,
)
from hooks.metrics.reads import (
    KL,
    Continuation,
    Custom,
    Logit,
    LogitDiff,
    LogProb,
    NextToken,
    Normed,
    NormScale,
    Prob,
    ReadName,
    as_read,
)

__all__ = [
    "KL",
    "AnyMetric",
    "Continuation",
    "Custom",
    "LogProb",
    "Logit",
    "LogitDiff",
    "Metric",
    "Metrics",
    "NextToken",
    "NormScale",
    "Normed",
    "OfNextToken",
    "Prob",
    "Read",
    "ReadName",
    "as_metric",
    "as_read",
    "checked",
    "continuation_loss",
    "logit_difference",
    "loss",
    "per_prompt",
]
