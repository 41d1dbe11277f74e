"""What the tables, arrays and findings of a run mean."""

from analyses.claims import FINDING as CLAIMS_FINDING
from analyses.claims import TABLE as CLAIMS_TABLE
from workbench.schema import ArraySchema as A
from workbench.schema import Column as C
from workbench.schema import FindingSchema as F
from workbench.schema import Schema, TableSchema

FREE = (
    "Each word of a list in turn is the last one that was recalled, and the likeliest of the others"
    " comes next. Of a lag counts the share of the places that have a word so far away: a guess"
    " gives all lags alike."
)
_RATE = C("rate", "Share of questions whose answer is the likeliest of its candidates.")
_LOW, _HIGH = C("low", "Lower end of its 95 % interval."), C("high", "Upper end.")
_EXACT = C("exact", "Share whose whole answer greedy decoding says.")
_LOGPROB = C("logprob", "Mean log-probability of the answer.", "nats", title="log-probability")
_N = C("n", "Questions.", title="questions")
_DEPTH = C("depth", "Where the fact stands: 0 is the beginning of the text, 1 its end.")
_LENGTH = C("length", "Length of the text, at most.", "tokens")
_KIND = C("kind", "`made up`, `agrees` with what the world says, or `disagrees`.")
_OUTCOME = C("outcome", "`correct`; `intrusion`, another item's answer; `prior`, what it says"
             " without the text; `other`.")  # fmt: skip
_QUESTION = (
    C("ask", "What is asked behind the text."),
    C("answer", "What the text says."),
    C("choice", "The likeliest candidate."),
)
_SCORED = (
    _OUTCOME,
    C("correct", "Whether the answer is the likeliest of its candidates."),
    C("exact", "Whether greedy decoding says the whole answer."),
    C("rank", "Candidates that are as likely or likelier."),
)
_OWN_LOGPROB = C("logprob", "Log-probability of the answer.", "nats", title="log-probability")
_SHARE_LOW = C("low", "Lower end, facts drawn again (95 %).")

NEEDLES = (
    "A fact stands among whole sentences of other text, and is asked for behind it. Found is an"
    " answer that is the likeliest of its candidates (eight, so a guess finds 12 %); two wordings"
    " of the question are asked of each text. Depth 0 is the very beginning of the text, 100 % the"
    " very end, right before the question."
)
MATTERS = (
    "Every fact is combined with every wording, text, question and depth. Shown is how much each"
    " alone makes of the variance of what the text adds to the answer's log-probability (variance"
    " components of a crossed analysis of variance); what only combinations make is in “all else”."
    " Intervals draw the facts again; of three or four facts they say little."
)
POSITION = (
    "A list of lines “name: word” is read once, and every name is asked for. A guess among all"
    " candidates, the list's words and others, is right less than one time in {chance}. The same"
    " pairs in another order tell places from contents; numbered lines give every place a label."
)
INTRUSIONS = (
    "Rows: the place that was asked for. Columns: the place whose word is the likeliest. The"
    " diagonal is right; what a row lacks to 100 is a word of no place."
)
DISTANCE = (
    "Beginnings of one list, each followed by more or less neutral text: items between and distance"
    " vary apart from each other. A pair has four tokens in most tokenizers, so distance counts in"
    " fours."
)
COMPETITION = (
    "Two lists, Monday's and Tuesday's, four pairs each. With the same names twice, each name has"
    " two words: an earlier one gets in the way of the later (proactive interference) and a later"
    " one of the earlier (retroactive). With other names each time there is no such pair. And lists"
    " of full names, all with one first name or each with its own."
)
HEADS = (
    "The true answer is read behind the question. Retrieval is the share of answers at whose"
    " prediction a head looks most at that very token in the sentence that says it (Wu et al."
    " 2024); attention is how much it looks there. Induction is how much it looks, in random"
    " tokens read twice, at the token behind the earlier copy. Causal is what the answer loses"
    " without the head at the last token of the question."
)
ABLATION = (
    "Heads are switched off for the whole text and question. They were ranked on other facts than"
    " those that are asked here. Random heads are drawn from all but the first retrieval heads; the"
    " band goes from the least to the most harmful draw. Repeated text is the share of tokens of a"
    " second reading that are said; closed book are capitals that the model knows."
)
TASKS = (
    "Each task has a closed set of candidates, so a guess is right now and then. Documents are"
    " about villages and their mayors; special words are hidden in other text; variables are set to"
    " numbers or to the variable before. In “order” both orders of the two sentences are shown, so"
    " what always says A is right half of the time. In sessions the answer to what was never said"
    " is “unknown”, and a standing rule is to end every answer with a star."
)

SCHEMA = Schema(
    tables=[
        TableSchema("needles", "Every question about a hidden fact.", [
            C("task", "`needle`, or `absent` where the text has none."),
            C("needle", "What the fact is about.", title="fact"),
            _KIND,
            C("filler", "The text around it."),
            _DEPTH, _LENGTH,
            C("wording_of_question", "`as stated` in the text, or `other words`.",
              title="question"),
            C("evidence", "The sentence that says it.", title="in the text"),
            *_QUESTION,
            C("closed_book", "What it says without the text.", title="closed-book"),
            *_SCORED, _OWN_LOGPROB,
            C("gain", "How much likelier the text makes it than it is closed-book.", "nats"),
        ]),
        TableSchema("cells", "Facts that are found, by depth and length.", [
            _DEPTH, _LENGTH, _RATE, _LOW, _HIGH, _EXACT, _LOGPROB, _N,
        ]),
        TableSchema("matters", "What explains recall over depths and lengths.", [
            C("factor", "What is varied."), C("share", "Share of the variance."),
            _SHARE_LOW, _HIGH, C("levels", "How many of them."),
        ]),
        TableSchema("wordings", "What explains recall in short texts.", [
            C("factor", "What is varied."), C("share", "Share of the variance."),
            _SHARE_LOW, _HIGH, C("levels", "How many of them."),
        ]),
        TableSchema("controls", "Texts whose truth is known.", [
            C("control", "What was done."), C("expected", "What has to come out."),
            _RATE, _LOW, _HIGH, _EXACT,
            C("exact_low", "Lower end of its 95 % interval."), C("exact_high", "Upper end."),
            _LOGPROB, _N,
        ]),
        TableSchema("position", "Recall of lists by place.", [
            C("condition", "Which lists."), C("position", "Place in the list, from 1."),
            _RATE, _LOW, _HIGH, _EXACT, _LOGPROB, _N,
        ]),
        TableSchema("ends", "Ends of a list less its middle third.", [
            C("condition", "Which lists."), C("effect", "`primacy` or `recency`."),
            C("mean", "How much more often.", "share"), _LOW, _HIGH,
            C("n", "Lists.", title="lists"),
        ]),
        TableSchema("distance", "Recall by items and neutral text between.", [
            C("items", "Pairs between a pair and its question."),
            C("neutral", "Tokens of neutral text between the list and the question.", "tokens"),
            _RATE, _LOW, _HIGH, _EXACT, _LOGPROB, _N,
        ]),
        TableSchema("distance_fit", "Logistic regression of recall.", [
            C("what", "What changes."), C("mean", "Change of the log-odds.", "log-odds"),
            C("low", "Lower end, lists drawn again (95 %)."), _HIGH, _N,
        ]),
        TableSchema("competition", "Pairs that compete.", [
            C("kind", "`proactive`, `retroactive`, or `similar names`."),
            C("condition", "With competition, or its control."),
            _RATE, _LOW, _HIGH, _EXACT, _LOGPROB, _N,
            C("partner", "Share answered with the competing pair's word; in the control, that of"
              " the pair in the same place of the other list."),
        ]),
        TableSchema("heads", "Where each head looks.", [
            C("layer", "Layer of the head."), C("head", "Number of the head.", title="number"),
            C("label", "The head, by layer and number.", title="head"),
            C("retrieval", "Share of answers at which it looks most at the answer in the text."),
            C("attention", "How much it looks there."),
            C("sentence", "Share of answers at which it looks most at the sentence."),
            C("other", "Retrieval while another fact is asked for.", title="another fact's"),
            C("held_out", "Retrieval on other facts.", title="other facts"),
            C("causal", "What the answer loses without it.", "nats"),
            C("induction", "How much it looks behind the earlier copy in repeated text."),
        ]),
        TableSchema("ablation", "What is lost with heads off.", [
            C("off", "Which heads."), C("count", "How many.", title="heads off"),
            C("draw", "Number of the random draw."), C("task", "What is asked."),
            C("rate", "Share that greedy decoding says right."), _LOW, _HIGH, _LOGPROB, _N,
            C("heads", "The heads."),
        ]),
        TableSchema("passkey", "Passkeys that are found, by depth and length.", [
            _DEPTH, _LENGTH, _RATE, _LOW, _HIGH, _EXACT, _LOGPROB, _N,
        ]),
        TableSchema("tasks", "Tasks that were asked for.", [
            C("part", "Part of the run."), C("task", "The task."),
            C("condition", "What was varied."), C("kind", "Kind of question."),
            _RATE, _LOW, _HIGH, _EXACT, _LOGPROB,
            C("guess", "What a guess among the candidates gives."),
            C("intrusions", "Share answered with another item of the context."),
            C("first", "Share of answers that are A, where the question offers A and B."),
            _N,
        ]),
        TableSchema("contiguity", "Free recall: which word comes after which.", [
            C("condition", "Which lists."),
            C("lag", "Places from the word that was recalled to the next one; negative is back."),
            C("share", "Share of the places that have a word so far away from which it comes"
              " next."),
            _LOW, _HIGH,
            C("guess", "What a guess among the other words gives."),
            C("n", "Lists.", title="lists"),
        ]),
        TableSchema("own", "Your own questions.", [
            C("line", "Line of the file."),
            *_QUESTION, *_SCORED,
            C("candidates", "How many; where the file names none, the answers of all questions."),
            _OWN_LOGPROB,
            C("stands", "How often the answer stands in the context.", title="times in context"),
            C("cut", "Tokens cut off at the context's beginning.", "tokens"),
        ]),
        CLAIMS_TABLE,
    ],
    arrays=[
        A("intrusions", "Share of questions after each place that are answered with the word of"
          " each place.", ("asked", "answered"), "share"),
    ],
    findings=[
        F("found", "Needles that are found", "share of needles"),
        F("kinds", "By what the world says", "share of needles"),
        F("matters", "What explains recall", "share of the variance"),
        F("wordings", "What explains recall in short texts", "share of the variance"),
        F("question", "By the question's wording", "share of needles"),
        F("false_alarms", "Answers to what is not there", "share of questions"),
        F("lists", "Pairs of lists that are recalled", "share of pairs"),
        F("primacy", "The first of a list", "share of pairs"),
        F("recency", "The last of a list", "share of pairs"),
        F("last_word", "The last pair's word, whatever is asked", "share of questions"),
        F("interference", "Items between, and distance", "log-odds"),
        F("competition", "Pairs that compete", "share of pairs"),
        F("heads", "Retrieval heads", "heads"),
        F("ablation", "What is lost without them", "share right"),
        F("passkey", "Passkeys that are found", "share of questions"),
        F("contiguity", "Which word is recalled after which", "share of places"),
        F("task_*", "A further task", "share of questions"),
        F("own", "Your own questions", "share of questions"),
        CLAIMS_FINDING,
    ],
)  # fmt: skip
