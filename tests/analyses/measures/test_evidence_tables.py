"""Tables: what is read, what is known by heart by a model that was trained on one, and chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.measures import evidence_table_shots as shots
from analyses.measures import evidence_table_tests as tests
from analyses.measures import evidence_tables as tables
from tests.helpers import tiny
from workbench.errors import BadInput

SHOWN = 2


def quiet(fraction: float, says: str) -> None:
    """Nobody waits."""


def _table(n: int = 16, seed: int = 0) -> tables.DataTable:
    rng = np.random.default_rng(seed)
    rows = [
        (str(rng.integers(100, 999)), f"{rng.random():.2f}", str(rng.choice(["red", "blue"])))
        for _ in range(n)
    ]
    return tables.DataTable("toy.csv", ("id", "size", "colour"), tuple(rows))


@pytest.fixture(scope="module")
def reader():
    """A tiny model that was trained on windows of the table, and nothing else."""
    table = _table()
    module = tiny.tiny_llama(n_layers=2, d_model=64)
    model = wb.load((module, tiny.tiny_tokenizer()))
    texts = [
        "\n".join([table.heading, *(table.line(r) for r in range(start, end))]) + "\n"
        for start, end in [(0, 8), *((row - SHOWN, row + 1) for row in range(SHOWN, 16))]
    ]
    rows = [[*model.text.beginning, *model.text.encode(text)] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    is_text = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    labels = ids.masked_fill(is_text == 0, -100)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    module.train()
    for _ in range(100):
        module(input_ids=ids, attention_mask=is_text, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    module.eval()
    return model


def test_a_table_that_was_read_is_known_and_its_copies_are_not(reader) -> None:
    table = _table()
    rows = tests.draw_rows(table, 14, SHOWN, seed=0)
    known = tests.next_rows(reader, table, rows, SHOWN, quiet)
    assert known.whole.mean() > 0.8
    assert known.share_of_bits > 0.8
    assert tests.opening(reader, table, 6, quiet).whole.mean() > 0.5
    for copy in (tables.perturbed(table, 0), tables.redealt(table, 0)):
        other = tests.next_rows(reader, copy, rows, SHOWN, quiet)
        assert other.whole.mean() < 0.3
        assert other.share_of_bits < known.share_of_bits - 0.3


def test_whole_rows_are_what_greedy_decoding_says(reader) -> None:
    table = _table()
    rows = [3, 9]
    hits = tests.next_rows(reader, table, rows, SHOWN, quiet)
    for row, whole in zip(rows, hits.whole, strict=True):
        lines = [table.heading, *(table.line(r) for r in range(row - SHOWN, row))]
        wanted = table.line(row) + "\n"
        said = reader.generate("\n".join(lines) + "\n", max_new_tokens=len(wanted) + 2)
        assert said.startswith(wanted) == whole


def test_a_value_is_right_only_with_its_end(llama, monkeypatch) -> None:
    """Where every token but one is right, one value is wrong: the one that this token is of."""
    table = tables.DataTable("t", ("a", "b"), (("11", "22"), ("33", "44")) * 6)
    for wrong in range(6):  # of "33,44↵" as single characters

        def marked(scores, windows, wrong=wrong):
            right = np.ones((len(windows), 12), bool)
            right[:, wrong] = False
            return right

        monkeypatch.setattr(tests, "is_greedy", marked)
        hits = tests.next_rows(llama, table, [3], 1, quiet)
        ids = llama.text.encode("33,44\n")
        assert len(ids) == 6
        assert hits.right[0].tolist() == [wrong > 2, wrong <= 2]


def test_bits_are_those_of_the_value() -> None:
    assert tables.surprise(["a", "a", "a", "b"]) == pytest.approx({"a": np.log2(4 / 3), "b": 2})
    hits = tests.CellHits(np.arange(2), np.array([[True, False], [True, True]]),
                          np.array([[1.0, 3.0], [0.0, 4.0]]), np.array([False, True]))  # fmt: skip
    assert hits.share_of_bits == pytest.approx(5 / 8)


def test_the_best_guess_needs_no_model() -> None:
    rows = tuple((str(n // 4), str(n), "x") for n in range(40))
    table = tables.DataTable("t", ("block", "number", "same"), rows)
    assert tests.best_guess(table, 2)[1] == pytest.approx(41 / 42)
    name, rate = tests.best_guess(table, 0)
    assert name in ("the row before", "the nearest row")
    assert rate > 0.7
    assert tests.best_guess(table, 1)[1] < 0.1


def test_the_binomial_is_exact() -> None:
    from scipy.stats import binomtest

    for hits, n, chance in ((3, 10, 0.1), (0, 5, 0.5), (25, 25, 0.9)):
        expected = binomtest(hits, n, chance, alternative="greater").pvalue
        assert tests.binomial(hits, n, chance) == pytest.approx(expected)


def test_rows_that_follow_from_rows_are_told() -> None:
    rng = np.random.default_rng(0)
    walk, noise = np.cumsum(rng.normal(size=200)), rng.normal(size=200)
    trend = tables.DataTable("t", ("x",), tuple((f"{x:.3f}",) for x in walk))
    random = tables.DataTable("t", ("x",), tuple((f"{x:.3f}",) for x in noise))
    assert tests.rows_predict_rows(trend)[1] > 0.3
    mean, low, _, columns = tests.rows_predict_rows(random)
    assert low < 0
    assert mean < 0.1
    assert columns == 1
    words = tables.DataTable("t", ("x",), (("a",),) * 20)
    assert np.isnan(tests.rows_predict_rows(words)[0])


def test_perturbed_cells_differ_in_their_last_digit() -> None:
    table = _table(60)
    copy = tables.perturbed(table, 3, keep=2)
    assert copy.column(2) == table.column(2)
    for k in (0, 1):
        for old, new in zip(table.column(k), copy.column(k), strict=True):
            assert old != new
            assert old[:-1] == new[:-1]
            assert abs(int(old[-1]) - int(new[-1])) <= 2
    dealt = tables.perturbed(table, 3)
    assert sorted(dealt.column(2)) == sorted(table.column(2))
    assert dealt.column(2) != table.column(2)


def test_the_statistical_version_has_no_names_and_no_scale() -> None:
    table = tables.statistical(_table(60))
    assert table.header == ("X1", "X2", "X3")
    values = np.array(table.column(0), float)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    assert set(table.column(2)) == {"group 0", "group 1"}
    kept = tables.statistical(_table(60), keep=0)
    assert kept.column(0) == _table(60).column(0)
    assert kept.column(1) == table.column(1)


def test_guesses_from_shown_rows(reader) -> None:
    table = _table()
    assert shots.can_be_guessed(table, 2)
    assert not shots.can_be_guessed(table, 0)
    rows = tests.draw_rows(table, 10, SHOWN, seed=0)
    found = shots.guess(reader, table, 2, rows, 3, 0, quiet)
    assert set(found.right) == set(tables.VERSIONS)
    shown = shots.shown_rows(table, rows, 3, 0)
    colours = table.column(2)
    for n, (row, before) in enumerate(zip(rows, shown, strict=True)):
        assert row not in before
        assert len(set(before)) == 3
        words = [colours[r] for r in before]
        assert found.commonest[n] == (max(words, key=words.count) == colours[row])
        lines = ["".join(shots.example(table, r, tables.TASK, 2)) for r in before]
        prompt = "\n".join([*lines, shots.example(table, row, tables.TASK, 2)[0]])
        said = reader.generate(prompt, max_new_tokens=8)
        assert said.startswith(f" {colours[row]}\n") == found.right[tables.TASK][n]


def test_cells_with_delimiters_are_quoted_again() -> None:
    text = 'name,n\n"Braund, Mr. O.",1\n' + 'x "y",2\n' * 0 + "z,3\n" * 12
    table = tables.from_text(text, "t")
    assert table.rows[0] == ("Braund, Mr. O.", "1")
    assert table.line(0) == '"Braund, Mr. O.",1'


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"a\n" + b"1\n" * 20, "one column"),
        (b"a,b\n" + b"1,2\n" * 5, "5 rows"),
        (b"a,b\n" + b"1,2\n" * 12 + b"1,2,3\n", "Row 14"),
        (b"a,b\n" + b"\xe4,2\n" * 12, "is not UTF-8: line 2"),
        ("a,b\nä,1\n".encode() + b"\xe4,2\n" * 12, "mixes encodings"),
        ("a,b\n".encode("utf-16") + b"1,2\n" * 12, "is not UTF-8"),
        (b'a,b\n"1,2\n' * 12, "cannot be read|cells"),
        (b"a,b\n1,\x002\n" * 12, "zero bytes"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, raw: bytes, says: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(raw)
    with pytest.raises(BadInput, match=says):
        tables.from_file(file)


@pytest.fixture(params=["llama", "gpt2"])
def any_window(request):
    """With a table of positions that ends, and without one."""
    return request.getfixturevalue(request.param)


def test_what_does_not_fit_is_refused(any_window) -> None:
    table = tables.DataTable("t", ("a", "b"), (("x" * 200, "1"),) * 12)
    with pytest.raises(BadInput, match="do not fit"):
        tests.next_rows(any_window, table, [3], 2, quiet)
    with pytest.raises(BadInput, match="too few to show"):
        tests.draw_rows(table, 5, 12, 0)
    with pytest.raises(BadInput, match="no table"):
        tables.from_file(tables.Path("/nowhere/table.csv"))
