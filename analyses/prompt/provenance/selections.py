"""What is looked at of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.provenance.constants import (
    DRAWN,
    GUESSED,
    PROMPT,
    RANDOM,
    SLOTS,
    STATE,
    WEIGHTS,
)

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_WORDS = {
    PROMPT: "the prompt",
    WEIGHTS: "the weights",
    STATE: "the recurrent state",
    SLOTS: "memory modules",
}
MEASURED, BY_CHANCE = "effect on the answer", "largest by chance"
_SHOWN = 16  # features
_PULLING = 12  # texts
WAS_READ, NEVER = "read in training", "never read"
PUSHED, BY_LOT = "pushes the answer, as the gradient guesses", "drawn by lot"
_ROLES = {PROMPT: "context", WEIGHTS: "memory"}
_OFF = {PROMPT: "look at the context", WEIGHTS: "look at the subject"}


def sources(run: Result) -> pd.DataFrame:
    """Effects and their nulls, a row each, as means with intervals."""
    import numpy as np
    import pandas as pd

    rows = []
    for row in run.tables["effects"].itertuples():
        name = _WORDS[str(row.source)]
        rows.append((name, MEASURED, row.effect, row.low, row.high))
        if np.isfinite(row.null):
            rows.append((name, BY_CHANCE, row.null, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["source", "what", "mean", "low", "high"])


def answer_words(run: Result) -> list[str]:
    return list(run.tables["answer"]["token"])


def prompt_words(run: Result) -> list[str]:
    return list(run.tables["prompt"]["token"])


def sentence(run: Result, pick: Pick) -> int:
    """The sentence that costs most, which is chosen first."""
    return int(run.tables["sentences"]["cost"].fillna(-1).idxmax())


def sentences(run: Result) -> dict[str, int]:
    """Numbers of sentences by their beginnings."""
    return {
        f"{row.sentence}. {str(row.text)[:60]}": int(row.sentence)
        for row in run.tables["sentences"].itertuples()
    }


def sentence_costs(run: Result) -> list[float]:
    """What each token's sentence costs the answer; 0 outside the context."""
    cost = run.tables["sentences"]["cost"].to_dict()
    return [float(cost.get(n, 0.0)) for n in run.tables["prompt"]["sentence"]]


def long_sentences(run: Result) -> pd.DataFrame:
    """Costs by sentence, for a picture: hidden from all, and from the question alone."""
    import pandas as pd

    table = run.tables["sentences"]
    parts = []
    for column, what in (("cost", "hidden from all that follows"),
                         ("late_cost", "hidden from the question")):  # fmt: skip
        rows = table.dropna(subset=[column])
        names = [f"{n}. {str(text)[:44]}" for n, text in zip(rows["sentence"], rows["text"],
                                                            strict=True)]  # fmt: skip
        parts.append(pd.DataFrame({
            "sentence": names, "what": what, "mean": rows[column].to_numpy(),
            "low": float("nan"), "high": float("nan"),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def chosen_sentence(run: Result, pick: Pick) -> str:
    row = run.tables["sentences"].iloc[pick["sentence"]]
    still = row["still"]
    then = (
        "was not hidden alone" if still != still
        else "leaves the answer as it is" if still
        else "changes what the model says"
    )  # fmt: skip
    said = f" Cut out of the prompt, the model says “{row['without']}”." if row["without"] else ""
    return f"“{row['text']}” {then}. Cost: {row['cost']:.2f} nats.{said}"


def marks(run: Result) -> dict[tuple[int, int], str]:
    """Heads that were switched off together, with what they look at."""
    from workbench.selection import parse_head

    found: dict[tuple[int, int], str] = {}
    for row in run.tables["groups"].itertuples():
        if row.group in _OFF:
            found |= dict.fromkeys(
                (head for name in str(row.heads).split() if (head := parse_head(name))),
                _ROLES[row.group],
            )
    return found


def switched_off(run: Result) -> pd.DataFrame:
    """What the answer loses with each group off, and as many random heads."""
    import pandas as pd

    table = run.tables["groups"]
    whole = float(table.loc[table["group"] == "none", "logp"].iloc[0])
    rows = []
    for name in table.loc[~table["group"].isin(["none", RANDOM]), "group"]:
        mine, words = table[table["group"] == name], _OFF.get(name, name)
        lost = whole - float(mine["logp"].iloc[0])
        drawn = whole - table.loc[(table["group"] == RANDOM) & (table["of"] == name), "logp"]
        rows.append((words, "these heads", lost, float("nan"), float("nan")))
        if len(drawn):
            rows.append((words, "as many random ones", float(drawn.mean()), float(drawn.min()),
                         float(drawn.max())))  # fmt: skip
    return pd.DataFrame(rows, columns=["heads", "what", "mean", "low", "high"])


def no_context(run: Result) -> str:
    return "the prompt has no context before its question" if "no_context" in run.findings else ""


def no_corpus(run: Result) -> str | None:
    """What a reader can do for the places of the answer in a corpus."""
    if "spans" in run.tables:
        return None
    return (
        "No corpus was named. With one (the parameter corpus: an index, a folder of texts, or an"
        " organism) the places where the answer stands are shown here."
    )


def trace_words(run: Result) -> list[str]:
    """Tokens of the question that was traced."""
    return list(run.tables["trace_tokens"]["token"])


def trace_pos(run: Result, pick: Pick) -> int:
    """The chosen token of the question; its last where none is chosen."""
    n, chosen = run.arrays["trace"].sizes["pos"], pick.selection.pos
    return chosen if chosen is not None and 0 <= chosen < n else n - 1


def trace_layer(run: Result, pick: Pick) -> int:
    """The chosen layer; the middle one where none is chosen."""
    n, chosen = run.arrays["trace"].sizes["layer"], pick.selection.layer
    return chosen if chosen is not None and 0 <= chosen < n else n // 2


def trace_along(run: Result, pick: Pick) -> pd.DataFrame:
    """What comes back at the chosen token, by layer."""
    values = run.arrays["trace"].isel(pos=pick.pos)
    return values.to_dataframe("back").reset_index()[["layer", "back"]]


def covered(run: Result) -> pd.DataFrame:
    """Shares by model and beginning, in percent, as means with intervals."""
    table = run.tables["coverage"]
    shares = {name: 100 * table[column] for name, column in
              (("mean", "share"), ("low", "low"), ("high", "high"))}  # fmt: skip
    return table.assign(start=[f"after {start}" for start in table["start"]], **shares)


def taken_out(run: Result) -> pd.DataFrame:
    """What the answer loses without the features that changed it most."""
    import pandas as pd

    table = run.tables["features"].dropna(subset=["effect"])
    table = table.loc[table["effect"].abs().nlargest(_SHOWN).index].sort_values("effect")
    names = [f"{row.feature} of {str(row.autoencoder).rsplit('/', 1)[-1]}"
             for row in table.itertuples()]  # fmt: skip
    what = table["why"].map({GUESSED: PUSHED, DRAWN: BY_LOT})
    lost = -table["effect"].to_numpy()
    frame = pd.DataFrame({"feature": names, "what": what.to_numpy(), "mean": lost})
    return frame.assign(low=float("nan"), high=float("nan"))


def pulls(run: Result) -> pd.DataFrame:
    """The texts that pull most, of those that were read and of those that never were."""
    import pandas as pd

    table = run.tables["training"]
    read, never = table[table["repeats"] > 0], table[table["repeats"] == 0]
    some = pd.concat([read.head(_PULLING), never.head(_PULLING // 3)])
    some = some.sort_values("pull", ascending=False)
    what = [WAS_READ if repeats else NEVER for repeats in some["repeats"]]
    frame = pd.DataFrame({"text": some["text"].to_numpy(), "what": what, "mean": some["pull"]})
    return frame.assign(low=float("nan"), high=float("nan"))


def group_rows(run: Result) -> pd.DataFrame:
    """The groups of heads, without the random draws."""
    table = run.tables["groups"]
    return table[table["group"] != RANDOM].drop(columns="of")
