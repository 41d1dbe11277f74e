"""A verdict for each document, for somebody who wants to know whether the model can recite it.

The verdicts are about what comes out, and only that: a document that does not come out may have been read all the same, and
a text anybody would guess (a form, a list of numbers) comes out without having been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.result import Finding, Result

if TYPE_CHECKING:
    from analyses.extraction.report import Found

RECITES, PARTS, SAMPLED = "recites it", "recites parts", "may say it when asked often"
SHORT, NOTHING = "says short passages of it", "no sign of it"
LONG = 20
"""Leading tokens that count as a part: of 1,000 texts that were never read the longest match is 11, see docs/extraction.md."""
VARIED = 0.5
"""Share of different tokens below which a passage proves little, since it repeats itself (Stoehr et al. 2024)."""
PROVES = {
    RECITES: "Given the words before it, the model says at least one whole passage of this document word for word. It has"
    " almost certainly read it, here or quoted elsewhere.",
    PARTS: f"Given the words before it, the model says {LONG} tokens or more of a passage word for word, then departs. It has"
    " probably read it, or something much like it.",
    SAMPLED: "The likeliest continuation is another, but among so many samples a whole passage is to be expected.",
    SHORT: f"Passages of fewer than {LONG} tokens come out word for word. So few words are found in many texts, and guessed"
    " now and then: ask for longer passages before concluding anything.",
    NOTHING: "No passage of it came out of the model. That does not prove that the model has never read it: most of what a"
    " model reads once cannot be pulled out of it word for word.",
}


def say_documents(result: Result, found: Found) -> None:
    """The table `documents`, one row per document, and how many got which verdict."""
    import pandas as pd

    windows = result.tables["windows"]
    different = np.array([len(set(w.suffix)) / len(w.suffix) for w in found.windows])
    rows = []
    for name, part in windows.groupby("name", sort=False):
        at = part.index.to_numpy()
        telling = different[at] >= VARIED
        # The evidence is the longest match among those the verdict rests on.
        best = int(at[np.argmax(np.where(telling, part["match"], -1))])
        exact, long_, likely = (
            (mark & telling).any() for mark in (part["exact"], part["match"] >= LONG, part["tries"] <= found.params.tries)
        )
        enough = found.params.suffix >= LONG
        if enough:
            verdict = RECITES if exact else PARTS if long_ else SAMPLED if likely else NOTHING
        else:
            verdict = SHORT if exact or likely else NOTHING
        ids = found.windows[best].suffix[: int(windows.loc[best, "match"])]
        rows.append(
            {
                "name": name,
                "verdict": verdict,
                "windows": len(part),
                "recited": float(part["match"].sum()) / (len(part) * found.params.suffix),
                "exact": int(part["exact"].sum()),
                "longest": int(part["match"].max()),
                "window": best,
                "evidence": found.text(ids),
                "repetitive": int((~telling).sum()),
            }
        )
    rank = {verdict: i for i, verdict in enumerate(PROVES)}
    table = pd.DataFrame(rows).sort_values(
        ["verdict", "longest"], key=lambda c: c.map(rank) if c.name == "verdict" else -c, kind="stable"
    )
    result.tables["documents"] = table.reset_index(drop=True)
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in PROVES}
    listed = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    result.add(
        Finding(
            "documents",
            {verdict.replace(" ", "_"): count for verdict, count in counts.items()},
            f"Of {len(table)} document{'s' if len(table) > 1 else ''} – {listed}.",
            unit="documents",
        )
    )
