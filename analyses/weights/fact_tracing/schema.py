"""What the tables, arrays and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_LAYER = C("layer", "Number of the layer, from 0; of a window, the one it stands around.")
_FACT = C("fact", "Number of the fact, from 0.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_N = C("n", "Facts.", title="facts")
_CORRUPTION = C("corruption", "`noise` on the subject's embeddings, or `another subject` in its"
                " place.")  # fmt: skip
_TOKENS = C("tokens", "Class of token; `permuted tokens` is what shuffled labels would give.")

TRACE = (
    "The subject is corrupted, then one token's state (or a window of layers of what its MLPs or"
    " attention write) gets its clean value back. Numbers are percentage points of the answer's"
    " probability that come back (indirect effect). The state of a layer is what enters it; tokens"
    " before the subject are the same in both runs, so nothing comes back there."
)
KNOCKOUT = (
    "The last token is kept from seeing a span of the prompt, in all heads of a window of layers"
    " around each layer. The first token is a span of its own: many heads rest on it whatever it"
    " says. As many random tokens are the baseline."
)
SEVERED = (
    "The state of one token is restored, and what later MLPs (or attention) write at that token"
    " stays as it is in the corrupted run: what is missing then had to go through them."
)
SHARED = (
    "Maps are means over the facts known in each wording or language, from one draw of noise. Alike"
    " is their correlation over classes of tokens and layers; the null deals the labels of one"
    " side's tokens at random."
)

SCHEMA = Schema(
    tables=[
        TableSchema("facts", "The facts that were traced.", [
            _FACT,
            C("relation", "The relation it is of."),
            C("prompt", "What the model reads."),
            C("subject", "Whom it is about."),
            C("answer", "How it goes on; its first token is what is watched."),
            C("said", "What the model goes on with."),
            C("subject_tokens", "Tokens of the subject.", "tokens"),
            C("clean", "Probability of the answer.", title="probability"),
            C("corrupted", "The same with noise on the subject.", title="with noise"),
            C("resampled", "The same with another subject.", title="another subject"),
        ]),
        TableSchema("tokens", "Their tokens.", [
            _FACT,
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
            C("kind", "Its class."),
        ]),
        TableSchema("by_class", "What comes back, by class of token and layer.", [
            _CORRUPTION,
            C("kind", "What was restored: `state`, `MLP`, `attention`, or a state with later MLPs"
              " or attention at its token severed."),
            _TOKENS,
            _LAYER,
            C("effect", "Mean indirect effect.", "probability"),
            _LOW,
            _HIGH,
            C("share", "Of what corruption takes away: mean effect over mean total effect."),
            _N,
        ]),
        TableSchema("severed", "States of the last subject token, whole and with a path severed.", [
            C("kind", "The state, or the state with later MLPs or attention at its token severed."),
            _LAYER,
            C("effect", "Mean indirect effect under noise.", "probability"),
            _LOW,
            _HIGH,
            C("share", "Of what corruption takes away."),
            _N,
        ]),
        TableSchema("sites", "The early and the late site.", [
            _CORRUPTION,
            C("site", "`early`: MLPs at the last subject token, lower half of the layers; `early,"
              " above`: the same in windows without the first layer; `late`: attention at the"
              " last token, upper half; `early state`: states at the last subject token, of"
              " subjects of several tokens."),
            C("kind", "What was restored."),
            _TOKENS,
            C("layer", "Layer that was chosen on one half of the facts."),
            C("other_layer", "On the other half.", title="layer, other half"),
            C("effect", "Mean indirect effect on the halves that did not choose.", "probability"),
            C("contrast", "How much more than at the fact's other tokens.", "probability"),
            _LOW,
            _HIGH,
            C("null_low", "Lower end of the contrast under permuted tokens (95 %)."),
            C("null_high", "Upper end."),
            _N,
        ]),
        TableSchema("knockout", "What blocking attention from the last token does.", [
            C("span", "The tokens that it does not see; `subject's last` is the subject's last"
              " token, `itself` the prompt's last."),
            _LAYER,
            C("change", "Mean relative change of the answer's probability."),
            _LOW,
            _HIGH,
            _N,
        ]),
        TableSchema("events", "Which layers write the answer at the last token.", [
            C("part", "`attention`, `recurrent layer` or `MLP`."),
            _LAYER,
            C("rate", "Share of facts whose answer is the likeliest token of what is written."),
            C("low", "Lower end of its 95 % interval (Wilson)."),
            _HIGH,
            C("other", "The same of another fact's answer.", title="another's answer"),
            _N,
        ]),
        TableSchema("heads", "What each head writes at the last token.", [
            _LAYER,
            C("head", "Number of the head in its layer.", title="number"),
            C("label", "The head, by layer and number.", title="head"),
            C("rank", "Median rank of the answer, choosing half; 0 is the likeliest.",
              title="median rank"),
            C("chosen", "Share of the choosing half whose answer is among its ten likeliest."),
            C("rate", "The same on the other half.", title="other half"),
            C("low", "Lower end of its 95 % interval (Wilson)."),
            _HIGH,
            C("other", "The same of another fact's answer.", title="another's answer"),
            _N,
        ]),
        TableSchema("enrichment", "What can be read from the last subject token.", [
            _LAYER,
            C("rate", "Mean share of what is true of the subject among the 50 likeliest tokens of"
              " the state behind the layer."),
            C("low", "Lower end of its 95 % interval."),
            _HIGH,
            C("other", "The same of what is true of another subject.", title="another subject's"),
            C("random", "The same of random tokens.", title="random tokens"),
            _N,
        ]),
        TableSchema("shared", "How alike two maps are.", [
            C("by", "`wording` or `language`."),
            C("one", "One of them."),
            C("other", "The other."),
            C("kind", "What was restored."),
            C("r", "Correlation of the two maps."),
            C("low", "Lower end of its 95 % interval (bootstrap over facts)."),
            _HIGH,
            C("null_low", "Lower end under permuted tokens."),
            C("null_high", "Upper end."),
            C("facts", "Facts of the one."),
            C("other_facts", "Facts of the other."),
        ]),
        TableSchema("shared_maps", "Maps by wording and language.", [
            C("by", "`wording` or `language`."),
            C("name", "Which one."),
            C("kind", "What was restored."),
            _TOKENS,
            _LAYER,
            C("share", "Of what corruption takes away."),
        ]),
        TableSchema("edits", "Facts edited at one layer each time.", [
            _FACT,
            C("prompt", "The fact."),
            C("answer", "What it was changed to."),
            _LAYER,
            C("new", "Probability of the new answer behind the edit."),
            C("own", "Probability of the old one."),
            C("holds", "Whether the new one is likelier."),
            C("effect", "What restoring this layer at the last subject token gives back.",
              "probability"),
        ]),
        CLAIMS_TABLE,
    ],
    arrays=[
        A("effects", "Indirect effects under noise, mean over draws.",
          ("kind", "fact", "layer", "pos"), "probability"),
        A("effects_resampled", "Indirect effects with another subject in its place.",
          ("kind", "fact", "layer", "pos"), "probability"),
    ],
    findings=[
        F("known", "Facts that are traced", "facts"),
        F("total_effect", "What noise on the subject takes away", "probability"),
        F("total_effect_resampled", "What another subject takes away", "probability"),
        F("peak_*", "The largest effect", "probability"),
        F("early_site", "Early site, of MLPs", "probability"),
        F("early_above", "Early site, of MLPs above the first layer", "probability"),
        F("early_state", "Early site, of states", "probability"),
        F("late_site", "Late site, of attention", "probability"),
        F("severed", "What is kept without later MLPs or attention", "share of the effect"),
        F("knockout", "What the last token needs to see", "relative change"),
        F("order", "How much later the subject is read than the relation", "layers"),
        F("extraction", "Facts whose answer is written at the last token", "share of facts"),
        F("extracted_by", "Extraction by attention, less by MLPs", "share of facts"),
        F("head", "The head that writes most answers", "share of facts"),
        F("enrichment", "What can be read from the last subject token", "share of attributes"),
        F("shared_*", "How alike maps are", "correlation"),
        F("best_layer", "Whether tracing tells the layer to edit", "correlation, R²"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip
