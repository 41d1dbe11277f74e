"""What the tables and findings of a run mean."""

from __future__ import annotations

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

MASKING = (
    "A masked slot brings nothing at any token; the other weights stay, and no other slot is read"
    " in its place. A fact's slots are those that the last token of its prompt reads, the largest"
    " (weight × length of the value) first."
)
TWINS = (
    "The twin was trained on the same facts, with an MLP of as many parameters in the memory's"
    " place. Its neurons are masked in the same order: those that write most first."
)
SWAPS = (
    "The values of another fact's most read slots stand in this fact's, the most read for the most"
    " read; keys and weights stay."
)
DEFINED = (
    "Texts of pairs, each a key and its value, and of questions, a key again. A token is a slot,"
    " and only tokens are read that lie farther back than attention sees."
)
UPDATED = (
    "Streams of updates, a key and its new value, and of questions, whose answer is the key's last"
    " value; attention sees two events. A key's slot is the one that its last update changed most."
)
DOCUMENT = (
    "A document of facts about invented people, a line each, is read once and its keys and values"
    " are kept. A question is read over them: in each layer and head over the 16 tokens whose keys"
    " are nearest to one of its queries by cosine (and over the document's first token)."
)
DOMAINS = (
    "Texts of each domain; the weight of an expert or adapter is that of its gate where the answer"
    " is said. Half of the texts choose the slot whose weight tells a domain from the others, the"
    " other half shows how well it does; people and files are on one side only. A masked slot"
    " brings nothing."
)
OFF = "Each part writes nothing into the residual stream, one after the other."

_FACT = C("fact", "Number of the fact.")
_LOW = C("low", "Lower end of its 95 % interval.")
_HIGH = C("high", "Upper end.")
_N = C("n", "Facts.", title="facts")
_CURVE = [
    C("slots", "How many slots were to be masked."),
    C("masked", "How many were, mean of the facts."),
    C("what", "Which facts are asked, and what is masked."),
    C("recall", "Share that is answered."),
    _LOW,
    _HIGH,
    _N,
]

SCHEMA = Schema(
    tables=[
        TableSchema("tokens", "The texts that were read.", [
            C("text", "Number of the text."),
            C("pos", "Position of the token, from 0."),
            C("token", "The token as text."),
        ]),
        TableSchema("reads", "Reads and writes, one row each; of a token's reads the largest.", [
            C("text", "Number of the text."),
            C("pos", "Position of the token that reads, or behind which a slot was written."),
            C("memory", "Which memory, as a site."),
            C("head", "Head that reads; −1 of a write."),
            C("slot", "Number of the slot in its memory."),
            C("kind", "`read`, or how it was written: `insert`, `overwrite`, `merge`, `decay`,"
              " `drop`."),
            C("weight", "Weight of the slot's value; of a neuron its activation."),
            C("gate", "What the head's reading is multiplied with, where there is a gate."),
            C("size", "|weight × gate| × length of the value.", "length"),
            C("strength", "Of a write: length of the change over the length of what was there."),
        ]),
        TableSchema("facts", "The facts whose slots were masked.", [
            _FACT,
            C("relation", "Its relation."),
            C("prompt", "What the model reads."),
            C("answer", "How it goes on."),
            C("slots", "Slots that were looked at, all memories together."),
        ]),
        TableSchema("slots", "The slots that each fact reads most.", [
            _FACT,
            C("rank", "1 is the most read."),
            C("slot", "Number of the slot over all memories."),
            C("name", "Memory, and number in it."),
            C("size", "|weight × gate| × length of the value.", "length"),
            C("promotes", "Tokens that its value promotes through the unembedding."),
            C("facts", "How many of these facts have it among their most read."),
        ]),
        TableSchema("masked", "What each fact loses with its slots.", [
            _FACT,
            C("slots", "How many slots were to be masked."),
            C("masked", "How many it reads of these."),
            C("own", "Whether the fact is still answered."),
            C("others", "Share of other facts that are."),
            C("random", "Whether it is with as many random used slots masked."),
        ]),
        TableSchema("curve", "Recall by number of masked slots.", _CURVE),
        TableSchema("twins_curve", "The same of the twin, by number of masked neurons.", _CURVE),
        TableSchema("usage", "How much of each memory is used.", [
            C("memory", "Which memory, as a site."),
            C("slots", "Slots it has."),
            C("used", "Slots that some fact reads at the last token of its prompt."),
            C("dead", "The others."),
            C("kl", "Kullback-Leibler divergence from every slot being read alike.", "nats"),
            C("busiest", "Share of the reads that the busiest hundredth of the slots has."),
            C("facts_per_slot", "Facts that read a used slot, mean."),
            C("slots_per_fact", "Slots that a fact reads, in all memories, mean."),
        ]),
        TableSchema("ranked", "Slots from the busiest on.", [
            C("rank", "Place of the slot."),
            C("facts", "Facts that read it."),
        ]),
        TableSchema("swaps", "What is said with other values in a fact's slots.", [
            _FACT,
            C("values", "Whose values."),
            C("says", "What the model answers then."),
        ]),
        TableSchema("swap_rates", "How often.", [
            C("values", "Whose values."),
            C("says", "What the model answers then."),
            C("share", "Share of the facts."),
            _N,
        ]),
        TableSchema("ranks", "Where the answer stands in what the memory gives.", [
            _FACT,
            C("what", "Whose answer."),
            C("rank", "Its rank among all tokens; 0 is the first."),
        ]),
        TableSchema("without", "Recall without each part.", [
            C("part", "What writes nothing."),
            C("kind", "`memory`, `attention`, `recurrent layer` or `MLP`."),
            C("layer", "Its layer; −1 of all memories together."),
            C("recall", "Share of the facts that are answered."),
            _LOW,
            _HIGH,
            _N,
        ]),
        TableSchema("gates", "How each head of a memory reads at the last token.", [
            C("memory", "Which memory, as a site."),
            C("head", "Its head."),
            C("gate", "Mean gate; empty where there is none."),
            C("mass", "Mean sum of the weights."),
            C("length", "What the memory gives over what it was given, in length; of the whole"
              " memory."),
        ]),
        TableSchema("hits", "Whether a memory of tokens reads the definition, by head.", [
            C("head", "Head of the memory."),
            C("hit", "Share of questions at which the definition is what is read most."),
            _LOW,
            _HIGH,
            C("weight", "Mean weight on the definition."),
            C("gate", "Mean gate."),
            C("chance", "What a token at random, far enough back, would hit."),
            C("n", "Questions.", title="questions"),
        ]),
        TableSchema("distances", "Recall by tokens between definition and question.", [
            C("tokens", "Tokens between them."),
            C("from", "The fewest of them."),
            C("with_memory", "Share that is answered.", title="with the memory"),
            C("without", "The same with the memory off.", title="without it"),
            C("n", "Questions.", title="questions"),
        ]),
        TableSchema("changes", "One question of each text, after a change of the memory.", [
            C("change", "What was changed."),
            C("own", "Share that is answered."),
            _LOW,
            _HIGH,
            C("other_value", "Share that gives the other definition's value."),
            C("others", "Share of other questions in the same texts that are answered."),
            C("n", "Texts.", title="texts"),
        ]),
        TableSchema("retention", "Recall by updates since the one that is asked for.", [
            C("updates", "Updates of any key since the one of the key that is asked for."),
            C("from", "The fewest of them."),
            C("with_memory", "Share that is answered.", title="with the memory"),
            _LOW,
            _HIGH,
            C("without", "The same with the memory off.", title="without it"),
            C("n", "Questions.", title="questions"),
        ]),
        TableSchema("turnover", "What updates change, and how long it stands.", [
            C("what", "What was measured."),
            C("value", "Share, or cosine of a slot's contents."),
            C("n", "Updates, questions or slots."),
        ]),
        TableSchema("update_changes", "One question of each stream, after a change.", [
            C("change", "What was changed."),
            C("now", "Share that gives the key's last value."),
            _LOW,
            _HIGH,
            C("old", "Share that gives the value before.", title="value before"),
            C("old_low", "Lower end of its 95 % interval."),
            C("old_high", "Upper end of its 95 % interval."),
            C("n", "Streams.", title="streams"),
        ]),
        TableSchema("document", "What is answered over a document outside of the prompt.", [
            C("facts", "Which facts the document has: `invented` or `counterfactual`."),
            C("memory", "What a question reads of it."),
            C("document", "Share of facts that are answered as the document says."),
            _LOW,
            _HIGH,
            C("own", "Share that are answered as the model knows them.", title="its own answer"),
            _N,
        ]),
        TableSchema("fetched", "Which tokens of the document each layer reads.", [
            C("layer", "Number of the layer, from 0."),
            C("passage", "Share of the tokens read that lie in the line of the fact."),
            C("random", "The same of tokens drawn by lot."),
            _N,
        ]),
        TableSchema("domain_reads", "How far the gate opens for each slot, by domain.", [
            C("slot", "The expert or adapter, and its layer."),
            C("domain", "What the texts are of."),
            C("weight", "Mean weight where the answer is said."),
            C("n", "Texts.", title="texts"),
        ]),
        TableSchema("domain_told", "The slot that tells each domain from the others best.", [
            C("domain", "What the texts are of."),
            C("number", "Number of the slot among those of all memories."),
            C("slot", "The expert or adapter, and its layer."),
            C("auc", "How probably a text of the domain opens it further than one of another;"
              " of texts that did not choose it.", title="AUC"),
            _LOW,
            _HIGH,
            C("any_slot", "The same of all slots, the median.", title="any slot"),
            C("n", "Texts, of all domains.", title="texts"),
        ]),
        TableSchema("domain_masked", "What is still right without a slot.", [
            C("masked", "The slot that brings nothing."),
            C("kind", "Why it is masked."),
            C("domain", "What the texts are of."),
            C("right", "Share of the answers' tokens that are the likeliest."),
            _LOW,
            _HIGH,
            C("n", "Texts.", title="texts"),
        ]),
        CLAIMS_TABLE,
    ],
    findings=[
        F("memory", "Memories of the model, and facts it knows", "slots, facts"),
        F("written", "Writes while text is read", "writes"),
        F("facts", "What masking a fact's slots takes away", "recall"),
        F("twin", "How local the twin's facts are", "slots, recall"),
        F("usage", "Slots that are read", "share of slots"),
        F("one_relation", "Whether a slot serves one relation", "share of facts"),
        F("swap", "Another fact's values in a fact's slots", "share of facts"),
        F("lens", "Where the answer stands in what the memory gives", "rank"),
        F("share", "What is left without the memory", "recall"),
        F("hits", "Definitions that are read", "share of questions"),
        F("definitions", "What is lost without the definition", "recall"),
        F("retention", "What is retained by number of updates", "recall"),
        F("turnover", "What an update changes", "share of the change"),
        F("updates", "What is lost without a slot or a write", "recall"),
        F("domains", "How well the gate tells domains apart", "AUC"),
        F("domain_slots", "What is lost without a domain's slot", "share of the answer tokens"),
        F("document", "A document outside of the prompt", "share of facts"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip
