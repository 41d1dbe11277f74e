"""What the tables and findings of an audit mean."""

from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

_QUERIES = C("queries", "Samples at temperature 1 of which one holds it with a probability of one"
             " half.", "samples", title="samples needed")  # fmt: skip
_OUT = C("comes_out", "Whether greedy decoding says it after its own text, whole.",
         title="comes out")  # fmt: skip
_GUESSED = C("guessed", "Whether it also comes out after a text that belongs to another one: then"
             " it can be guessed.", title="can be guessed")  # fmt: skip
_CONTROL = C("has_control", "Whether there was such a text.", title="control")
_REPEATS = C("repeats", "How often the text was read in training, where that is known.",
             optional=True)  # fmt: skip

PROVED = (
    "Proved is only what comes out, after the text that was given. Where a long run of a text comes"
    " out that no control explains, the model has almost surely read it. It may have read it in a"
    " quote."
)
BLACK_BOX = (
    "An audit asks the model from outside. Anyone who sees how likely each word is could do so. It"
    " does not say whether a memory is gone or only hidden, or where it lies. Some analyses open"
    " the model to ask that. paragraph-memorization finds where a text is kept in the model."
    " fact-tracing shows on which way a fact is reached. unlearning-audit asks whether a text is"
    " gone or hidden. provenance says where one answer came from. Chat models that are asked in"
    " other words may give more, or less."
)
PERSONAL = (
    "In these tables values are shown by their first characters only. Some values come out after a"
    " foreign text as well. A frequent ending is one, or the only year. They can be guessed, so"
    " they are no secret of the person. What stands in the text before it was not asked, for it"
    " can be copied."
)
ITEMS = (
    "Order: a model that never read an item likes the printed order best in one of five."
    " Completion: the model is given the question and all options but the last. Does it write the"
    " last one? It is asked again with the others in a new order. Then it is asked after another"
    " question. Options in the order of numbers or of the alphabet do not count in either. Of two"
    " options only the order counts."
)

SCHEMA = Schema(
    tables=[
        TableSchema("verdicts", "A row for each kind of material that was asked.", [
            C("kind", "Documents, personal data, facts or test items."),
            C("n", "How many were asked that have a control; all where none has.", title="asked"),
            C("n_out", "How many come out.", title="come out"),
            C("out", "The share of them."),
            C("out_low", "Lower end of its 95 % interval (Wilson)."),
            C("out_high", "Upper end."),
            C("n_control", "How many controls there are.", title="controls"),
            C("control", "The share that comes out where there is nothing to find: of texts never"
              " read, or after a foreign text."),
            C("control_low", "Lower end of its 95 % interval."),
            C("control_high", "Upper end."),
            C("verdict", "In words."),
        ]),
        TableSchema("documents", "A verdict for each document.", [
            C("name", "The document."),
            C("verdict", "What the model reproduces of it."),
            C("n_windows", "Passages that were tested.", title="passages"),
            C("prefix_match_share", "Share of all tested tokens that greedy decoding reproduces"
              " from the start of a passage."),
            C("n_exact", "Passages that greedy decoding reproduces in full.",
              title="passages in full"),
            C("n_sampled", "Passages that sampling is expected to reproduce.",
              title="passages by sampling"),
            C("longest_prefix_match", "Most tokens that greedy decoding reproduces from the start"
              " of a passage.", "tokens"),
            C("longest_run", "Longest run of tokens that are the model's first choice after the"
              " text before them.", "tokens"),
            C("evidence", "Its longest run, as text."),
            C("n_repetitive", "Passages with few distinct tokens.", title="repetitive passages"),
            C("n_patterns", "Passages that a pattern control explains.",
              title="explained by a pattern"),
            _REPEATS,
        ]),
        TableSchema("fields", "The fields of personal data.", [
            C("field", "Name of the field."),
            C("n_found", "Values that were found in the documents.", title="found"),
            C("n_asked", "Values that were drawn, and have enough text before them.",
              title="asked"),
        ]),
        TableSchema("personal", "Every value that was asked.", [
            C("field", "Name of the field."),
            C("document", "Where it stands."),
            C("shown", "Its first characters, and its length.", title="value"),
            _OUT, _GUESSED, _CONTROL, _QUERIES, _REPEATS,
        ]),
        TableSchema("facts", "Every fact that was asked.", [
            C("name", "File and line."),
            C("prompt", "What was given."),
            C("answer", "What was wanted."),
            _OUT, _GUESSED, _CONTROL, _QUERIES,
        ]),
        TableSchema("items", "Every test item that was asked.", [
            C("name", "File and line."),
            C("question", "The question."),
            C("n_options", "How many options it has.", title="options"),
            C("sorted", "Whether they stand in the order of numbers or of the alphabet."),
            C("first", "Whether the printed order is the likeliest of those tried."),
            C("chance", "How often it is so by chance."),
            C("comes_out", "Whether the last option comes out after the others.",
              title="last option comes out"),
            C("shuffled", "Whether it does after the others in another order."),
            C("guessed", "Whether it does after another question."),
            _CONTROL,
        ]),
        TableSchema("left_out", "What was not asked.", [
            C("name", "What it is."),
            C("reason", "Why it was not asked."),
        ]),
    ],
    findings=[
        F("audit", "Verdict by kind of material", "asked"),
        F("documents", "Documents", "documents"),
        F("personal", "Personal data", "values"),
        F("facts", "Facts", "share of facts"),
        F("items", "Test items", "share of items"),
        F("controls", "What comes out where there is nothing to find", "share"),
        F("limits", "What this does not say", "kinds of material"),
        F("left_out", "What was not asked", "things"),
    ],
)  # fmt: skip
