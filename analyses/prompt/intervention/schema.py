"""What the tables and findings of an intervention on one prompt mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

SCHEMA = Schema(
    tables=[
        TableSchema("next_tokens", "The likeliest tokens after the prompt, of either model.", [
            C("rank", "Place among all tokens; 1 is the likeliest."),
            C("token", "The token that the model as it is puts there.", title="unchanged"),
            C("p", "Its probability.", title="probability"),
            C("changed_token", "The token that the changed model puts there.", title="changed"),
            C("changed_p", "Its probability.", title="probability, changed"),
        ]),
        TableSchema("likeliest", "Tokens among the likeliest of either model.", [
            C("token", "The token."),
            C("p", "Its probability in the model as it is.", title="probability"),
            C("changed_p", "Its probability in the changed model.", title="probability, changed"),
        ]),
        TableSchema("answers", "The two answers that are compared.", [
            C("side", "`memory`: what it should know; `context`: what the prompt claims."),
            C("answer", "The answer as text."),
            C("first_token", "Its first token."),
            C("p", "Probability of the first token.", title="probability"),
            C("changed_p", "The same in the changed model.", title="probability, changed"),
            C("logp", "Log-probability of the whole answer.", "nats", "whole answer"),
            C("changed_logp", "The same in the changed model.", "nats", "whole answer, changed"),
        ]),
        TableSchema("random_heads", "As many other heads off instead, drawn at random.", [
            C("set", "Number of the draw."),
            C("heads", "The heads that were off."),
            C("token", "The likeliest next token.", title="likeliest token"),
            C("p", "Probability of the token that is likeliest in the model as it is.",
              title="probability"),
            C("memory_p", "Probability of the memory answer's first token.",
              title="memory answer, probability", optional=True),
            C("context_p", "Probability of the context answer's first token.",
              title="context answer, probability", optional=True),
        ]),
        TableSchema("texts", "How the text goes on, by greedy decoding.", [
            C("model", "The model as it is, or as changed."),
            C("text", "The continuation."),
        ]),
    ],
    findings=[
        F("next_token", "Probability of the likeliest next token", "probability"),
        F("memory_answer", "Probability of the memory answer", "probability"),
        F("context_answer", "Probability of the context answer", "probability"),
        F("random_heads", "Random heads off instead", "draws; probability"),
    ],
)  # fmt: skip
