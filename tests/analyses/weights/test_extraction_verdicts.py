"""Verdicts about texts of which it is known what a model reproduces: a tiny one that was trained on
some of them for seconds.

What is said is compared with plain greedy decoding, one token at a time.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures.document_verdicts import (
    CHANCE,
    LONG,
    LONG_RUN,
    NOTHING,
    PARTS,
    PATTERN,
    PROVES,
    RECITES,
    SHORT,
    WEAKER,
)
from analyses.measures.pattern_controls import copied_run, incremented, pattern_controls, permuted
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from analyses.weights.extraction import documents, findings
from analyses.weights.extraction.scored_windows import ScoredWindows
from tests.helpers import tiny
from workbench import registry
from workbench.draw.view import still_parts
from workbench.texts import Document
from workbench.wording import counted

PREFIX = SUFFIX = 30
PI = (
    "1415926535897932384626433832795028841971693993751058"
    "2097494459230781640628620899862803482534211706798214808651"
)
NEVER = tuple(
    int(i) for i in np.random.default_rng(7).permutation(np.arange(260, 345))[: PREFIX + SUFFIX]
)


def learned(model: Any) -> dict[str, tuple[int, ...]]:
    """What it is trained on: distinct tokens, few distinct ones without a pattern, a count, and
    what repeats itself.
    """
    return {
        "speech": tuple(
            int(i) for i in np.random.default_rng(1).permutation(np.arange(260, 345))[:80]
        ),
        "pi": tuple(model.continuation_tokens(PI))[:80],
        "count": tuple(model.continuation_tokens(" ".join(map(str, range(1, 60)))))[:80],
        "form": tuple(model.continuation_tokens("| yes | no "))[:6] * 12,
    }


@pytest.fixture(scope="module")
def model() -> Any:
    """It knows the texts of `learned` by heart, and nothing else."""
    module = tiny.tiny_llama(n_layers=2, n_heads=4, n_kv_heads=4, d_model=64, seed=1)
    model = wb.load((module, tiny.tiny_tokenizer()))
    texts = [torch.tensor(ids) for ids in learned(model).values()]
    draw = torch.Generator().manual_seed(0)
    length = PREFIX + SUFFIX
    known = torch.stack([text[:length] for text in texts])
    with torch.enable_grad():
        for parameter in module.parameters():
            parameter.data.mul_(0.3)
        optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.0)
        for _ in range(30):
            if (
                module(input_ids=known).logits[:, PREFIX - 1 : -1].argmax(-1) == known[:, PREFIX:]
            ).all():
                break
            for _ in range(20):
                # Other places too: what is recited must not hang on where a text began.
                starts = [
                    int(torch.randint(len(text) - length + 1, (1,), generator=draw))
                    for text in texts
                ]
                others = torch.stack(
                    [
                        text[start : start + length]
                        for text, start in zip(texts, starts, strict=True)
                    ]
                )
                batch = torch.cat([known, others])
                optimizer.zero_grad()
                module(input_ids=batch, labels=batch).loss.backward()
                optimizer.step()
    return model


def window(ids: tuple[int, ...], document: int = 0) -> Window:
    return Window(document, 0, (), tuple(ids[:PREFIX]), tuple(ids[PREFIX : PREFIX + SUFFIX]))


def run(model: Any, cut: list[Window], **params: Any) -> Any:
    asked = {
        "text": "x",
        "context": [len(cut[0].prefix)],
        "suffix": len(cut[0].suffix),
        "top_k": 0,
        "tries": 1,
        **params,
    }
    asked = registry.get("extraction").Params(**asked)
    names = [Document(f"text {n}", "") for n in range(1 + max(w.document for w in cut))]
    found = ScoredWindows(model, asked, names, cut, score(model, cut, asked.sampler))
    result = wb.Result("extraction", params=asked.model_dump())
    findings.add_extracted(result, found)
    documents.add_documents(result, found)
    return result


def judged(model: Any, cut: list[Window], **params: Any) -> Any:
    """The row of a single document."""
    (row,) = run(model, cut, **params).tables["documents"].to_dict("records")
    return row


def decoded(model: Any, window: Window) -> tuple[int, int]:
    """(leading tokens of the suffix that greedy decoding says, longest run of tokens right after
    the text before them).
    """
    said, right = list(window.prompt), []
    with torch.no_grad():
        for _ in window.suffix:
            said.append(int(model.module(input_ids=torch.tensor([said])).logits[0, -1].argmax()))
        for at, token in enumerate(window.suffix):
            before = torch.tensor([[*window.prompt, *window.suffix[:at]]])
            right.append(int(model.module(input_ids=before).logits[0, -1].argmax()) == token)
    words = said[len(window.prompt) :]
    match = next(
        (i for i, (a, b) in enumerate(zip(words, window.suffix, strict=True)) if a != b), len(words)
    )
    runs = re.findall("1+", "".join("01"[r] for r in right))
    return match, max(map(len, runs), default=0)


@pytest.mark.parametrize(
    ("text", "verdict", "proves"),
    [
        ("speech", RECITES, PROVES[RECITES]),
        ("pi", RECITES, WEAKER),
        ("count", RECITES, WEAKER),
        ("form", PATTERN, PROVES[PATTERN]),
    ],
)
def test_what_is_known_by_heart_is_said_to_be_recited(
    model: Any, text: str, verdict: str, proves: str
) -> None:
    one = window(learned(model)[text])
    assert decoded(model, one) == (SUFFIX, SUFFIX)
    row = judged(model, [one])
    assert row["verdict"] == verdict
    assert row["explanation"].startswith("Greedy decoding reproduces the one tested passage")
    assert row["explanation"].endswith(proves)
    assert (row["n_exact"], row["longest_run"], row["evidence"]) == (
        1,
        SUFFIX,
        model.tokenizer.decode(one.suffix),
    )
    assert (
        "something is reproduced and under 50\u00a0% of the tokens are distinct"
        in row["explanation"]
    ) == (text != "speech")


def test_what_it_never_read_shows_no_sign(model: Any) -> None:
    row = judged(model, [window(NEVER)])
    assert row["verdict"] == NOTHING
    assert "does not reproduce the one tested passage" in row["explanation"]
    assert decoded(model, window(NEVER))[1] == row["longest_run"] <= CHANCE


def test_a_sentence_says_the_longest_run_wherever_a_passage_departs(model: Any) -> None:
    """The speech with a token of the suffix changed, or two: known are the tokens before and
    perhaps those behind.
    """
    ids = learned(model)["speech"]
    seen = set()
    for place, another in [
        *((place, place) for place in range(0, SUFFIX, 4)),
        (18, 18),
        (10, 20),
        (0, 11),
    ]:
        altered = [*ids[: PREFIX + SUFFIX]]
        altered[PREFIX + place] = altered[PREFIX + another] = 7
        one = window(tuple(altered))
        match, longest = decoded(model, one)
        row = judged(model, [one])
        assert (row["longest_prefix_match"], row["longest_run"], row["n_exact"]) == (
            match,
            longest,
            0,
        )
        assert match == place
        words = (
            "Not one token is reproduced"
            if not longest
            else f"The longest run is {counted(longest, 'token')}"
        )
        assert words in row["explanation"]
        expected = (
            PARTS
            if match >= LONG or longest >= LONG_RUN
            else SHORT
            if longest > CHANCE
            else NOTHING
        )
        assert row["verdict"] == expected
        assert row["evidence"] in model.tokenizer.decode(one.suffix)
        seen.add(expected)
    assert seen == {PARTS, SHORT, NOTHING}


def test_sentences_at_their_boundaries(model: Any) -> None:
    """No, one and all windows; some that count, some that are patterns; several documents."""
    texts = learned(model)
    speech, form, never = window(texts["speech"]), window(texts["form"]), window(NEVER)
    assert "reproduces all 2 in full" in judged(model, [speech, speech])["explanation"]
    assert "reproduces none in full" in judged(model, [never, never])["explanation"]
    row = judged(model, [never, speech, never])
    assert (
        "Of 3 passages (30 tokens after a prefix of 30 tokens each) greedy decoding reproduces 1 in"
        " full" in row["explanation"]
    )
    row = judged(model, [form, speech])
    assert row["verdict"] == RECITES  # by the speech alone
    assert row["window"] == 1
    assert (
        "1 of the 2 passages reproduced (in full, in part or by sampling) may be a pattern"
        in row["explanation"]
    )
    assert "They explain all of 1." in row["explanation"]
    result = run(model, [window(texts[name], n) for n, name in enumerate(texts)])
    assert dict(result.tables["documents"][["name", "verdict"]].values) == {
        "text 0": RECITES,
        "text 1": RECITES,
        "text 2": RECITES,
        "text 3": PATTERN,
    }
    assert result.findings["documents"].values[PATTERN.replace(" ", "_")] == 1
    assert len(result.tables["pattern_controls"]) == 3
    assert result.findings["pattern_controls"].values == {
        "explained": 1,
        "n": 3,
        "longest_run": SUFFIX,
    }


def test_thresholds_stand_in_the_json_as_numbers(model: Any) -> None:
    said = run(model, [window(NEVER)]).to_json()["findings"]["verdict_thresholds"]
    assert (
        said["prefix_match"],
        said["longest_run"],
        said["nonmember_prefix_match"],
        said["nonmember_longest_run"],
    ) == (
        20,
        30,
        11,
        20,
    )
    assert (said["distinct_share"], said["queries"]) == (0.5, 1)
    for number in ("20 tokens", "a run of 30", "11 and 20", "50\u00a0%"):
        assert number in said["says"]


def test_short_numbers_are_said_to_be_recited_and_to_prove_little(model: Any) -> None:
    ids = learned(model)["pi"]
    one = Window(0, 0, (), ids[:PREFIX], ids[PREFIX : PREFIX + 8])
    row = judged(model, [one])
    assert row["verdict"] == SHORT
    assert "reproduces the one tested passage (8 tokens" in row["explanation"]
    assert row["explanation"].endswith(PROVES[SHORT])


def test_samples_are_said_only_where_there_are_samples(model: Any) -> None:
    speech = window(learned(model)["speech"])
    assert (
        "With 500 samples each (temperature 1) 1 of 1"
        in judged(model, [speech], tries=500)["explanation"]
    )
    assert (
        "samples"
        not in judged(model, [speech], temperature=0)["explanation"]
        .split("after a prefix")[1]
        .split("A passage")[0]
    )


def test_the_controls_are_what_they_say(model: Any) -> None:
    """Their runs against plain decoding of the altered windows, which are altered as they should
    be.
    """
    for name in ("pi", "count", "speech"):
        one = window(learned(model)[name])
        (measured,) = pattern_controls(model, [one], 0)
        other, counted = permuted(model, one, random.Random("0 0")), incremented(model, one)
        assert other is not None
        assert measured.permuted_run == decoded(model, other)[1]
        assert measured.incremented_run == (None if counted is None else decoded(model, counted)[1])
        pairs = set(zip([*one.prefix, *one.suffix], [*other.prefix, *other.suffix], strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})  # one for one
        if name != "speech":
            moved = {a for a, b in pairs if a != b}
            assert moved == {a for a, _ in pairs if model.token_strings([a])[0].strip().isdigit()}
    counted = incremented(model, window(learned(model)["count"]))
    assert counted is not None
    numbers = [
        int(n)
        for n in re.findall(r"\d+", model.tokenizer.decode([*counted.prefix, *counted.suffix]))[:9]
    ]
    assert numbers == list(range(numbers[0], numbers[0] + 9))
    assert (
        incremented(model, window(learned(model)["pi"])) is None
    )  # one long number: nothing to count
    same = Window(0, 0, (), (5,) * 9, (5,) * 9)
    assert permuted(model, same, random.Random(0)) is None
    assert copied_run(same.prefix, same.suffix) == 9


def test_documents_without_a_passage_are_named(model: Any, tmp_path: Path) -> None:
    """Too short for a window, or without one in the even sample: neither goes without a word."""
    for n in range(9):
        (tmp_path / f"{n}.txt").write_text(
            "The safe opens with 7 4 1 9, and the other one with 2 8 6 3. " * 6
        )
    (tmp_path / "short.txt").write_text("The safe.")
    found = wb.run(
        "extraction",
        model,
        {"path": str(tmp_path), "context": [30], "suffix": 30, "stride": 10, "max_windows": 3},
    )
    left, judged_ = found.tables["left_out"], found.tables["documents"]
    assert set(left["name"]) | set(judged_["name"]) == {
        *(f"{n}.txt" for n in range(9)),
        "short.txt",
    }
    assert not set(left["name"]) & set(judged_["name"])
    assert set(left["reason"]) == {
        "shorter than one window",
        "none of its windows is in the even sample",
    }


def test_the_page_shows_the_sentence_and_an_older_run_opens(model: Any) -> None:
    result = run(model, [window(learned(model)["pi"]), window(NEVER, 1)])
    view = registry.get("extraction").views(result)["Documents"]
    page = "".join(map(str, still_parts(view)))
    for says in result.tables["documents"]["explanation"]:
        assert says.split(".")[0] in page
    old = result.tables["documents"].drop(
        columns=["explanation", "longest_run", "n_sampled", "read_share", "n_patterns"]
    )
    result.tables["documents"] = old.assign(verdict="reproduces it")
    del result.findings["verdict_thresholds"], result.tables["pattern_controls"]
    view = registry.get("extraction").views(result)["Documents"]
    assert "reproduces it" in "".join(map(str, still_parts(view)))


def test_tokens_are_right_by_their_ids(model: Any) -> None:
    """Two tokens that are parts of characters look alike; only one of them is the text's."""
    one, other = [
        i for i in range(1, 257) if model.token_strings([i])[0] == "\N{REPLACEMENT CHARACTER}"
    ][:2]
    cut = [window((*NEVER[:PREFIX], one, *NEVER[PREFIX + 1 :]))]
    params = registry.get("extraction").Params(text="x")
    found = ScoredWindows(
        model, params, [Document("a", "")], cut, score(model, cut, params.sampler)
    )
    found.scores.likeliest[0, 0] = other
    result = wb.Result("extraction")
    findings.add_extracted(result, found)
    token = result.tables["tokens"].query("part == 'suffix'").iloc[0]
    assert token["greedy_token"] == token["token"]
    assert not token["is_greedy"]
