"""Blocks in other orders: what is read, what is estimated, and what is refused."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch

import workbench as wb
from analyses.training import training_order
from analyses.training.training_order import constants as c
from analyses.training.training_order import tables
from analyses.training.training_order.blocks import half, reading
from analyses.training.training_order.estimates import _further
from analyses.training.training_order.params import Params
from analyses.training.training_order.trainee import trainee
from hooks.gradients.other_orders import AdamRule, Expansion, estimate
from hooks.mixed_weights import weights_copied
from tests.helpers import tiny
from workbench.errors import BadInput, NotFinite, Unfit
from workbench.progress import Progress
from workbench.result import Result

SMALL = {"blocks": 3, "orders": 4, "steps": 2, "rows": 2, "length": 24, "before": 10, "lead": 3,
         "tail": 2, "directions": 2}  # fmt: skip


def asked(model, **params):
    return training_order.run(model, Params(**SMALL | params), Progress())


@pytest.fixture(scope="module")
def found(organism):
    return asked(organism)


def test_tables_are_what_the_schema_says_and_pages_are_drawn(found, tmp_path):
    assert not list(training_order.SCHEMA.problems(found))
    again = Result.open(found.save(tmp_path / "run"))
    for view in training_order.VIEWS:
        assert not view.missing(again)
        assert view.still(again, training_order.SCHEMA)


def test_a_run_has_every_order_block_and_predictor(found):
    changes, orders = found.tables["changes"], found.tables["orders"]
    assert len(orders) == 4
    assert len(changes) == 4 * len(c.KINDS) * 3
    assert sorted(orders["reads"])[-1] == "3 2 1"
    assert changes["real"].abs().max() > 0
    told = found.tables["predictors"].set_index(["of", "predictor"])
    assert {c.FIRST, c.STORED, c.TRACIN, c.MIXED} <= {name for _, name in told.index}
    # Few small steps: the expansion holds.
    assert told.loc[(c.TEXT, c.FIRST), "explained"] > 0.9
    assert told.loc[(c.TEXT, c.FIRST), "r"] > 0.9
    error = orders["error"].mean()
    assert error < orders["error_zeroth"].mean()
    assert error < 0.2 * orders["changed"].mean()
    assert found.findings["price"].values["again"] == 0
    assert "Estimated from one run" in found.findings["estimate"].says


def test_position_and_other_orders_are_as_said(found):
    changes = found.tables["changes"]
    text = changes[changes["of"] == c.TEXT]
    reads = found.tables["orders"].set_index("order")["reads"]
    for row in text.to_dict("records"):
        order, position = int(row["order"]), int(row["position"])
        assert int(reads[order].split()[position - 1]) == row["block"]
        assert row[c.LATER] == row["block"] - row["position"]
    for _, rows in text.groupby("block"):
        real, others = rows["real"].to_numpy(), rows[c.OTHERS].to_numpy()
        np.testing.assert_allclose(others, (real.sum() - real) / (len(real) - 1), atol=1e-12)
    mixed = text.pivot(index="order", columns="block", values=c.MIXED).to_numpy()
    first = text.pivot(index="order", columns="block", values=c.FIRST).to_numpy()
    np.testing.assert_array_equal(mixed[1:], first[:-1])


def test_the_losses_are_those_of_a_plain_pass(organism):
    params = Params(**SMALL)
    with trainee(organism, reading(organism, params), params, Progress()) as trained:
        read = trained.reading
        weights = trained.trained([2, 0, 1], Progress())
        said = trained.says(weights)
        for n, block in enumerate(read.blocks):
            ids = torch.tensor(block.rows)
            with torch.no_grad():
                nats = trained.module(input_ids=ids, labels=ids).loss
                one = trained.module(input_ids=torch.tensor([block.sentence])).logits[0, :-1]
            assert said.loss[0, n] == pytest.approx(float(nats), abs=1e-4)
            wanted = torch.tensor(block.sentence[1:])
            at = half(block.sentence) - 1
            assert len(wanted[at:]) == c.ITEM_TOKENS // 2
            right = (one.argmax(-1) == wanted)[at:].float().mean()
            assert said.right[n] == pytest.approx(float(right))


def test_the_replay_has_the_rates_of_the_training(organism):
    """The reference order estimated from itself is the reference, lead, tail and warm-up too."""
    params = Params(**SMALL | {"lead": 5})
    with trainee(organism, reading(organism, params), params, Progress()) as trained:
        path: list[torch.Tensor] = []
        end = trained.trained([0, 1, 2], Progress(), path)
        batches = trained.reading.batches
        found = estimate(
            lambda weights, batch: trained.flat.loss(weights, batches[batch]), path,
            [trained.reading.numbers([0, 1, 2])], AdamRule(trained.rates), {"first": Expansion()},
        )["first"][0]  # fmt: skip
    assert (end - path[0]).abs().max() > 1e-3
    torch.testing.assert_close(found, end, atol=2e-5, rtol=0)


def test_influence_and_recency_are_their_sums(found):
    draw = np.random.default_rng(0)
    tracin, orders = draw.normal(size=(2, 4, 4, 4)), [(3, 1, 0, 2), (1, 0, 2, 3)]
    told = tables._by_influence(tracin, orders)
    for n, order in enumerate(orders):
        for kind in range(2):
            for target in range(4):
                own = tracin[kind, target]
                wanted = sum(own[order[p], p] - own[p, p] for p in range(4))
                assert told[n, kind, target] == pytest.approx(wanted)
    blocks, changes = found.tables["blocks"], found.tables["changes"]
    after = np.log2([3, 2, 1])  # of three blocks, by position
    slope = np.polyfit(after, blocks["loss"] - blocks["before"], 1)[0]
    for row in changes[changes["of"] == c.TEXT].to_dict("records"):
        wanted = slope * (after[int(row["position"]) - 1] - after[int(row["block"]) - 1])
        assert row[c.RECENCY] == pytest.approx(wanted)


def test_what_is_read_last_is_remembered_where_order_matters(organism):
    """Read often and at a high rate, the last block is known and the first is forgotten."""
    params = Params(**SMALL | {"steps": 30, "rate": 5e-3, "tail": 0})
    with trainee(organism, reading(organism, params), params, Progress()) as trained:
        forth = trained.says(trained.trained([0, 1, 2], Progress()))
        back = trained.says(trained.trained([2, 1, 0], Progress()))
    assert forth.right[2] == 1
    assert back.right[0] == 1
    assert forth.right[0] < 1
    assert back.right[2] < 1
    assert forth.loss[0, 2] < back.loss[0, 2] - 0.3
    assert back.loss[0, 0] < forth.loss[0, 0] - 0.3
    assert forth.twins[1].max() < 1


def test_own_texts_and_own_orders(organism, tmp_path):
    words = ["rose tulip daisy lily poppy", "iron copper silver gold lead", "north south east west"]
    file = tmp_path / "texts.txt"
    file.write_text("\n\n".join(f"{text} " * 30 for text in words), encoding="utf-8")
    result = asked(organism, texts=file, given="3 1 2; 2 1 3", directions=0)
    assert list(result.tables["orders"]["reads"]) == ["3 1 2", "2 1 3"]
    assert [text[:4] for text in result.tables["blocks"]["text"]] == ["rose", "iron", "nort"]
    assert c.STORED not in result.tables["changes"]
    assert not list(training_order.SCHEMA.problems(result))


def test_one_order_is_no_evidence_for_others(organism, tmp_path):
    result = asked(organism, given="3 1 2", directions=0)
    assert not list(training_order.SCHEMA.problems(result))
    told = result.tables["predictors"]
    assert told[["low", "high"]].isna().all(axis=None)
    assert told[told["predictor"].isin([c.MIXED, c.OTHERS])]["r"].isna().all()
    says = result.findings["estimate"].says
    assert "over 1 order really trained" in says
    assert "One order has no interval" in says
    assert not any("nan" in each.says for each in result.findings.values())
    assert "distance" not in result.findings
    over_orders = result.tables["claims"].iloc[:3]
    assert set(over_orders["verdict"]) == {"cannot be told"}
    assert not over_orders.astype(str).apply(lambda row: "nan" in " ".join(row), axis=1).any()
    again = Result.open(result.save(tmp_path / "run"))
    for view in training_order.VIEWS:
        assert view.still(again, training_order.SCHEMA)


def test_what_a_store_keeps_is_learned_from_orders_that_are_not_tested(organism):
    params = Params(**SMALL | {"blocks": 3})
    every = list(permutations(range(3)))
    tested = every[1:4]
    further = _further(tested, params)
    assert further
    assert set(further) <= set(every[4:])
    assert not _further(every[1:], params)
    result = asked(organism, orders=5)
    assert c.STORED not in result.tables["changes"]
    assert set(result.tables["times"]["what"]) == {"retraining", c.TRACIN, c.ESTIMATING}


def test_rows_past_a_table_of_positions_are_refused():
    model = wb.load((tiny.tiny_gpt2(), tiny.tiny_tokenizer()))
    with pytest.raises(BadInput, match="A row has 300 tokens"):
        asked(model, start="asked", length=300)


def test_texts_and_orders_that_do_not_do(organism, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one two three " * 40 + "\n\n" + "too short\n\nas well", encoding="utf-8")
    with pytest.raises(BadInput, match=r"make 1 block; 2 texts had fewer"):
        asked(organism, texts=file)
    with pytest.raises(BadInput, match="no order of 3 blocks"):
        asked(organism, given="1 2 2")
    with pytest.raises(BadInput, match="too short"):
        asked(organism, length=8)


def test_the_asked_model_is_trained_and_put_back():
    model = wb.load((tiny.tiny_llama(n_layers=1), tiny.tiny_tokenizer()))
    before = weights_copied(model.module)
    result = asked(model, start="asked", orders=2, directions=0)
    assert all(torch.equal(before[name], p) for name, p in weights_copied(model.module).items())
    assert result.tables["changes"]["real"].abs().max() > 0
    assert math.isfinite(result.findings["estimate"].values["explained"])


def test_training_that_goes_astray_says_where():
    model = wb.load((tiny.tiny_llama(n_layers=1), tiny.tiny_tokenizer()))
    with torch.no_grad():
        next(model.module.parameters())[5:].fill_(float("nan"))
    with pytest.raises(NotFinite, match="step 1 of stage 'the blocks'"):
        asked(model, start="asked")


def test_models_that_are_too_large_are_refused(organism, monkeypatch):
    from analyses.training.training_order import trainee as module

    monkeypatch.setattr(module.c, "MOST_WEIGHTS", 1000)
    with pytest.raises(Unfit, match="for every order"):
        asked(organism, start="asked")


def test_cost_grows_with_what_is_done(organism):
    small, more = (
        training_order.cost(organism, Params(**SMALL | change))
        for change in ({}, {"orders": 8, "steps": 4})
    )
    assert more.seconds > small.seconds > 0
    assert more.bytes > small.bytes
    # Every step of the run keeps its directions.
    stored = training_order.cost(organism, Params(**SMALL | {"directions": 10}))
    steps = 3 * SMALL["steps"] + SMALL["tail"]
    assert stored.bytes - small.bytes == pytest.approx(4.0 * 220_000 * 8 * steps)
