"""What the pages of a run show of its tables, and what is looked at while nothing is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.features.function_tokens.constants import BINS
from workbench.draw.tokens import CONTENT, FUNCTION, TEMPLATE, Peak
from workbench.views import AGAIN
from workbench.wording import counted, percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

SHOWN = 2000
"""Token types, the most frequent ones, in the table of tokens."""
_COLUMNS = [
    "feature",
    "n_tokens",
    "function_share",
    "degree",
    "max_activation",
    "top_tokens",
    "positive_logits",
]
_AROUND = 14
"""Tokens of a context before the strongest one; half as many follow."""
_ENOUGH = 100
"""Tokens at which a feature has to be active for its share of function tokens to tell anything."""


def places(result: Result) -> list[str]:
    """The places that have an autoencoder, from the bottom up."""
    return list(result.tables["autoencoders"]["sae"])


def middle(result: Result) -> str:
    labels = places(result)
    return labels[len(labels) // 2]


def of_place(result: Result, at: str) -> pd.DataFrame:
    """The living features of a place, those with the most token types first."""
    table = result.tables["features"]
    rows = table[(table["sae"] == at) & (table["n_tokens"] > 0)]
    return rows.sort_values(["degree", "feature"], ascending=[False, True]).reset_index(drop=True)


def listed(result: Result, at: str) -> pd.DataFrame:
    """`of_place` as it is looked through, shares in percent."""
    table = of_place(result, at)[_COLUMNS]
    return table.assign(function_share=100 * table["function_share"]).rename(
        columns={"function_share": "function_share, %"}
    )


def specific(living: pd.DataFrame) -> pd.DataFrame:
    """Features on few types of content tokens, the fewest first, of those that are active often
    enough to tell.
    """
    some = living[(living["function_share"] < 0.1) & (living["n_tokens"] >= _ENOUGH)]
    return some.sort_values(["degree", "n_tokens"], ascending=[True, False])


def first_feature(result: Result, at: str) -> int:
    """The living feature on the most token types at a place."""
    living = of_place(result, at)["feature"]
    return int(living.iloc[0]) if len(living) else 0


def at_features(result: Result, pick: Pick) -> dict[str, tuple[str, int]]:
    """A place chooses its first feature; the chosen one stays at its own."""
    of_place = {at: (at, first_feature(result, at)) for at in places(result)}
    return of_place | {pick.feature[0]: pick.feature}


def numbers(result: Result, pick: Pick) -> dict[int, tuple[str, int]]:
    """The features of the chosen one's place by their number."""
    table, at = result.tables["features"], pick.feature[0]
    return {number: (at, number) for number in table.loc[table["sae"] == at, "feature"].tolist()}


def chosen_feature(result: Result, pick: Pick) -> tuple[str, int]:
    """The chosen feature, or one on few types at the middle place."""
    chosen = pick.selection.feature
    if chosen is not None and row_of(result, *chosen) is not None:
        return chosen
    at = middle(result)
    few = specific(of_place(result, at))["feature"]
    return at, int(few.iloc[0]) if len(few) else first_feature(result, at)


def chosen_place(result: Result, pick: Pick) -> str:
    return pick.kept("sae") or middle(result)


def chosen_token(result: Result, pick: Pick) -> int:
    """The id of the chosen token type; at first of the most frequent one."""
    ids = result.tables["tokens"]["id"].tolist()
    chosen = pick.kept("token")
    return chosen if chosen in ids else int(ids[0])


def chosen_prompt(result: Result, pick: Pick) -> int:
    numbers = list(prompts(result).values())
    chosen = pick.selection.prompt
    return chosen if chosen in numbers else numbers[0]


def chosen_pos(result: Result, pick: Pick) -> int:
    """The chosen token of the prompt; at first its last function token."""
    words, chosen = tokens_of(result, pick.prompt), pick.selection.pos
    if chosen is not None and chosen < len(words):
        return chosen
    function = words.loc[words["class"] == "function", "pos"]
    return int(function.max() if len(function) else words["pos"].max())


def example_features(result: Result) -> list[dict[str, tuple[str, int]]]:
    """Of the middle place: the feature on the most token types, and two on the fewest."""
    at = middle(result)
    living = of_place(result, at)
    shown = [*living["feature"].head(1), *specific(living)["feature"].head(2)]
    return [{"feature": (at, int(feature))} for feature in shown]


def row_of(result: Result, at: str, feature: int) -> Any:
    """The feature's row of the table, or None."""
    table = result.tables["features"]
    found = table[(table["sae"] == at) & (table["feature"] == feature)]
    return found.iloc[0] if len(found) else None


def typical_activation(result: Result, at: str) -> np.ndarray:
    """An activation that is large for each feature: about nine tenths of its activations are below
    it, (feature,); 0 for dead ones.

    The largest one of all is no goal to steer to: it may stand on a token whose whole vector is
    huge.
    """
    table = result.tables["features"]
    peaks = table.loc[table["sae"] == at].sort_values("feature")["max_activation"].to_numpy()
    counts = result.arrays["activation_histogram"].sel(sae=at).values[: len(peaks)].cumsum(-1)
    bins = (counts < 0.9 * counts[:, -1:]).sum(-1)
    return np.where(
        counts[:, -1] > 0, np.minimum(BINS[np.minimum(bins + 1, len(BINS) - 1)], peaks), 0.0
    )


def described(result: Result, at: str, feature: int) -> list[str]:
    """What is known of a feature, a sentence each."""
    row = row_of(result, at, feature)
    if row is None or not row["n_tokens"]:
        near = "" if row is None else f" Nearest: {row['nearest_features']}."
        return [f"Feature {feature} at {at} was active nowhere in this text.{near}"]
    says = f"Raises: {row['positive_logits']}. Lowers: {row['negative_logits']}."
    return [
        f"Feature {feature} at {at}: active at {counted(row['n_tokens'], 'token')}"
        f" ({percent(row['density'])} of the text), {percent(row['function_share'])} of them"
        f" function tokens,"
        f" on {counted(row['degree'], 'token type')}; largest activation"
        f" {row['max_activation']:.1f}.",
        *([says] if row["positive_logits"] else []),
        f"Nearest by cosine of what they write: {row['nearest_features']}.",
    ]


def to_steer(result: Result, at: str, feature: int) -> tuple[str, int, float]:
    """The autoencoder's name, as it is opened by, the feature, and what to set it to: its typical
    activation, 10 for dead ones.
    """
    name = str(result.tables["autoencoders"].set_index("sae").loc[at, "name"])
    return name, feature, float(typical_activation(result, at)[feature]) or 10.0


def histogram(result: Result, at: str, feature: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens by activation where it is active: counts (bin,) and edges (bin + 1,)."""
    counts = result.arrays["activation_histogram"].sel(sae=at).values[feature]
    bins = np.flatnonzero(counts)
    first, last = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 1)
    return counts[first:last], BINS[first : last + 1]


def contexts(result: Result, at: str, feature: int) -> list[Peak]:
    """Where it is strongest, from different windows; function tokens are marked."""
    table = result.tables["examples"]
    rows = table[(table["sae"] == at) & (table["feature"] == feature)]
    texts = result.tables["vocabulary"].set_index("id")["token"]
    classes = result.tables["tokens"].set_index("id")["class"]
    found = []
    for row in rows.itertuples():
        ids = result.arrays["windows"].sel(window=row.window).values
        start = max(0, row.pos - _AROUND)
        some = ids[start : row.pos + _AROUND // 2 + 1].tolist()
        spans = [FUNCTION if classes.get(i) == "function" else "" for i in some]
        words = [str(texts[i]) for i in some]
        found.append(Peak(words, row.pos - start, float(row.activation), spans))
    return found


def fires_on(result: Result, at: str, feature: int) -> pd.DataFrame:
    """The token types it is active on most often: columns token, class, active, of."""
    import pandas as pd

    pairs = result.arrays["feature_tokens"].sel(sae=at).values[feature]
    pairs = pairs[pairs[:, 0] >= 0]
    tokens = result.tables["tokens"].set_index("id").loc[pairs[:, 0]]
    return pd.DataFrame(
        {
            "token": [quoted(t) for t in tokens["token"]],
            "class": list(tokens["class"]),
            "active at": pairs[:, 1],
            "of its occurrences, %": 100 * pairs[:, 1] / tokens["occurrences"].to_numpy(),
        }
    )


def degrees(result: Result) -> pd.DataFrame:
    """The features of every token type, of all its occurrences and of equally many: columns where,
    token, occurrences, features, function (whether it is a function token).
    """
    import pandas as pd

    table, kinds = result.tables["tokens"], {"degree": "features of each token"}
    kinds |= {"matched": "in equal occurrences"}
    common = table[["token", "occurrences"]].assign(function=table["class"] == "function")
    each = [
        common.assign(features=table[f"{kind} {at}"], where=f"{at}: {what}")
        for at in places(result)
        for kind, what in kinds.items()
    ]
    return pd.concat(each).dropna()


def listed_tokens(result: Result) -> pd.DataFrame:
    """The most frequent types, as a person looks through them."""
    table = result.tables["tokens"].head(SHOWN)
    table = table[[*table.columns.drop("id"), "id"]]
    shown = table.assign(
        frequency=100 * table["frequency"], window_frequency=100 * table["window_frequency"]
    )
    return shown.rename(
        columns={"frequency": "frequency, %", "window_frequency": "window_frequency, %"}
    )


def of_token(result: Result, at: str, token: int) -> pd.DataFrame:
    """The features most often active on a token type: columns feature, of its occurrences (%),
    top_tokens, positive_logits.
    """
    import pandas as pd

    features = result.arrays["token_features"]
    if token not in features["type"].values:
        return pd.DataFrame(
            columns=["feature", "of its occurrences, %", "top_tokens", "positive_logits"]
        )
    pairs = features.sel(sae=at, type=token).values
    pairs = pairs[pairs[:, 0] >= 0]
    occurrences = int(result.tables["tokens"].set_index("id").loc[token, "occurrences"])
    described = result.tables["features"]
    described = described[described["sae"] == at].set_index("feature").loc[pairs[:, 0]]
    return pd.DataFrame(
        {
            "feature": pairs[:, 0],
            "of its occurrences, %": 100 * pairs[:, 1] / occurrences,
            "top_tokens": list(described["top_tokens"]),
            "positive_logits": list(described["positive_logits"]),
        }
    )


def about_token(result: Result, at: str, token: int) -> str:
    """Which token type's features `of_token` gives, in words."""
    row = result.tables["tokens"].set_index("id").loc[token]
    return (
        f"{quoted(row['token'])}, a {row['class']} token,"
        f" {counted(row['occurrences'], 'occurrence')}: the"
        f" features most often active on it at {at}. Choose one; the tab Features shows it."
    )


def prompts(result: Result) -> dict[str, int]:
    """The numbers of the prompts by their text, or as much of it as fits."""
    numbers = {}
    for prompt, table in result.tables["prompt_tokens"].groupby("prompt", sort=False):
        text = " ".join("".join(table.sort_values("pos")["token"]).split())
        text = text if len(text) < 60 else text[:59] + "…"
        numbers[f"{text} ({prompt})" if text in numbers else text] = int(str(prompt))
    return numbers


def every_prompt(result: Result) -> list[dict[str, int]]:
    return [{"prompt": number} for number in prompts(result).values()]


def tokens_of(result: Result, prompt: int) -> pd.DataFrame:
    table = result.tables["prompt_tokens"]
    return table[table["prompt"] == prompt].sort_values("pos")


def spans(words: pd.DataFrame) -> list[str]:
    """How each token of a prompt is underlined."""
    kinds = words["class"].map({"function": FUNCTION, "content": CONTENT})
    return list(kinds.mask(words["part"] == "template", TEMPLATE) if "part" in words else kinds)


def choices(at: str, table: pd.DataFrame) -> list[tuple[str, int]]:
    """The features that the rows of a table choose."""
    return [(at, int(number)) for number in table["feature"]]


def active(result: Result, at: str, prompt: int) -> pd.DataFrame:
    table = result.tables["prompt_features"]
    return table[(table["sae"] == at) & (table["prompt"] == prompt)]


def links(result: Result, at: str, prompt: int, pos: int) -> pd.DataFrame:
    """Features active at a token, each with the content tokens before it at which it was active:
    columns feature, activation, active_before (the tokens), max_before, top_tokens.
    """
    import pandas as pd

    rows, words = active(result, at, prompt), tokens_of(result, prompt).set_index("pos")
    described = result.tables["features"]
    described = described[described["sae"] == at].set_index("feature")["top_tokens"]
    active_here = rows[rows["pos"] == pos].sort_values("activation", ascending=False)
    before = rows[(rows["pos"] < pos) & rows["pos"].map(words["class"]).eq("content")]
    places: dict[int, list[str]] = {}
    for feature, at_pos in before.sort_values("pos")[["feature", "pos"]].itertuples(index=False):
        word = words.loc[at_pos, "token"].strip()
        places.setdefault(int(feature), []).append(f"{quoted(word)} ({at_pos})")
    features = active_here["feature"].astype(int).tolist()
    return pd.DataFrame(
        {
            "feature": pd.array(features, "int64").to_numpy(),
            "activation": active_here["activation"].to_numpy(float),
            "active_before": [", ".join(places.get(f, [])) for f in features],
            "max_before": before.groupby("feature")["activation"]
            .max()
            .reindex(features)
            .to_numpy(float),
            "top_tokens": [described.get(f, "") for f in features],
        }
    )


def counted_links(table: pd.DataFrame, pos: int) -> str:
    """How many features `links` has, in words."""
    again = int((table["active_before"] != "").sum())
    return (
        f"{counted(len(table), 'feature')} {'is' if len(table) == 1 else 'are'} active at token"
        f" {pos}; {again} of them {'was' if again == 1 else 'were'} active at a content token"
        " before."
    )


def shared(result: Result, at: str, prompt: int, pos: int) -> list[float]:
    """For each token, the share of its features that are active at the one at `pos`; 0 there."""
    rows = active(result, at, prompt)
    is_shared = rows["feature"].isin(rows.loc[rows["pos"] == pos, "feature"])
    share = is_shared.groupby(rows["pos"]).mean().drop(pos, errors="ignore")
    return [float(share.get(p, 0.0)) for p in tokens_of(result, prompt)["pos"]]


def strengths(result: Result, at: str, prompt: int, feature: int) -> list[float]:
    """A feature's activation at each token."""
    rows = active(result, at, prompt)
    values = rows[rows["feature"] == feature].set_index("pos")["activation"]
    return [float(values.get(p, 0.0)) for p in tokens_of(result, prompt)["pos"]]


def no_facts(result: Result) -> str | None:
    """Why no facts were tested; None where some were."""
    is_requested = "retrieval" in result.params.get("parts", ["retrieval"])
    not_run = "The part retrieval was not run: no facts were tested."
    return None if "ablation_means" in result.tables else AGAIN if is_requested else not_run


def no_losses(result: Result) -> str | None:
    """Why no losses were measured; None where some were."""
    if "transitions" in result.tables or "training_losses" in result.tables:
        return None
    requested = {"coverage", "untrained", "training"} & set(
        result.params.get("parts", ["coverage"])
    )
    not_run = "The parts coverage and training were not run: no losses were measured."
    return AGAIN if requested else not_run


def in_percent(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The same with these shares in percent."""
    return frame.assign(**{c: 100 * frame[c] for c in columns})
