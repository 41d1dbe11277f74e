"""Captured values recompute the model's own output."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from hooks import capture_batch, capture_plan, shard_job, sites, streaming
from tests.helpers import tiny
from workbench import disk_space
from workbench.errors import BadInput, BadRun, Cancelled, SiteNotFound, WorkbenchError
from workbench.trace_files import shard

PROMPTS = [
    "The capital of France is",
    "Nobody remembers",
    "The safe opens with 7 4 1 9 <script>é\n",
]


def test_residual_stream_adds_up(llama, gpt2):
    for model in (llama, gpt2):
        trace = wb.capture(
            model,
            PROMPTS,
            sites=["resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post", "embed"],
        )
        np.testing.assert_allclose(
            trace["resid_pre"] + trace["attn_out"], trace["resid_mid"], atol=1e-5
        )
        np.testing.assert_allclose(
            trace["resid_mid"] + trace["mlp_out"], trace["resid_post"], atol=1e-5
        )
        np.testing.assert_array_equal(
            trace["resid_post"].isel(layer=slice(None, -1)),
            trace["resid_pre"].isel(layer=slice(1, None)),
        )


def test_parallel_block_adds_up_without_a_middle(neox):
    trace = wb.capture(neox, PROMPTS, sites=["resid_pre", "attn_out", "mlp_out", "resid_post"])
    np.testing.assert_allclose(
        trace["resid_pre"] + trace["attn_out"] + trace["mlp_out"], trace["resid_post"], atol=1e-5
    )
    with pytest.raises(SiteNotFound, match="has no site 'resid_mid'"):
        wb.capture(neox, PROMPTS, sites="resid_mid")


def test_z_times_w_o_is_attn_out(model):
    trace = wb.capture(model, PROMPTS, sites=["z", "attn_out"])
    for layer, block in enumerate(model.layout.blocks):
        z = torch.as_tensor(trace["z"].sel(layer=layer).values).flatten(-2)
        with torch.no_grad():
            out = block.out_proj(z.nan_to_num()).numpy()
        want = trace["attn_out"].sel(layer=layer).values
        real = ~np.isnan(want)
        np.testing.assert_allclose(out[real], want[real], atol=1e-5)


def test_pattern_times_v_is_z(model):
    trace = wb.capture(model, PROMPTS, sites=["pattern", "v", "z"])
    pattern, v, z = (trace[s].fillna(0.0) for s in ("pattern", "v", "z"))
    groups = model.n_heads // model.n_kv_heads
    v = v.values.repeat(groups, axis=3)
    got = np.einsum("plhqk,plkhd->plqhd", pattern.values, v)
    np.testing.assert_allclose(got, z.values, atol=1e-5)
    for row, n in enumerate(trace.lengths):
        np.testing.assert_allclose(trace["pattern"][row, :, :, :n, :n].sum("key"), 1.0, atol=1e-5)


def test_logits_and_final_norm_are_the_models_own(model):
    ids = torch.tensor([model.tokens(PROMPTS[0])])
    with torch.no_grad():
        want = model.module(ids).logits[0].numpy()
    trace = wb.capture(model, PROMPTS[0], sites=["logits", "ln_final"])
    np.testing.assert_allclose(trace["logits"][0], want, atol=1e-5)


def test_prompts_of_different_length_in_one_batch_equal_each_alone(model):
    together = wb.capture(model, PROMPTS, sites=["resid_post", "pattern", "rot_q", "rot_k"])
    for row, prompt in enumerate(PROMPTS):
        alone = wb.capture(model, prompt, sites=["resid_post", "pattern", "rot_q", "rot_k"])
        n = alone.lengths[0]
        for site in ("resid_post", "rot_q", "rot_k"):
            np.testing.assert_allclose(together[site][row, :, :n], alone[site][0], atol=1e-5)
            assert np.isnan(together[site][row, :, n:]).all()
        np.testing.assert_allclose(
            together["pattern"][row, :, :, :n, :n], alone["pattern"][0], atol=1e-5
        )


def test_positions_count_from_either_end_of_each_prompt(model):
    whole = wb.capture(model, PROMPTS, sites=["z", "pattern"])
    some = wb.capture(model, PROMPTS, sites=["z", "pattern"], positions=[0, -1])
    for row, n in enumerate(whole.lengths):
        np.testing.assert_allclose(
            some["z"][row].isel(pos=1), whole["z"][row].isel(pos=n - 1), atol=1e-6
        )
        np.testing.assert_allclose(
            some["z"][row].isel(pos=0), whole["z"][row].isel(pos=0), atol=1e-6
        )
        np.testing.assert_allclose(
            some["pattern"][row].isel(query=1)[..., :n],
            whole["pattern"][row].isel(query=n - 1)[..., :n],
            atol=1e-6,
        )


def test_full_names_choose_one_layer(llama):
    trace = wb.capture(llama, PROMPTS[0], sites=["blocks.1.attn.hook_z", "hook_embed"])
    assert trace["z"].layer.values.tolist() == [1]
    assert "layer" not in trace["embed"].dims


def test_looking_changes_nothing_and_leaves_nothing(model):
    ids = torch.tensor([model.tokens(PROMPTS[0])])
    with torch.no_grad():
        before = model.module(ids).logits
        wb.capture(model, PROMPTS, sites=list(model.sites))
        after = model.module(ids).logits
    assert torch.equal(before, after)
    assert hooks_on(model) == 0
    assert model.module.config._attn_implementation == "sdpa"


def test_a_crash_in_the_middle_leaves_nothing(llama):
    def broken(call):
        raise RuntimeError("boom")

    from hooks.attention import attention_taps

    with pytest.raises(RuntimeError, match="boom"), attention_taps(llama.layout, {1: broken}):
        llama.next_logits(PROMPTS[0])
    assert hooks_on(llama) == 0
    assert llama.module.config._attn_implementation == "sdpa"


def test_errors_name_what_there_is(llama, gpt2):
    with pytest.raises(SiteNotFound, match=r"Did you mean 'resid_post'"):
        wb.capture(llama, PROMPTS, sites="resid_pots")
    with pytest.raises(BadInput, match="has no layer 7"):
        wb.capture(llama, PROMPTS, sites="z", layers=[7])
    with pytest.raises(SiteNotFound, match="0 to 2"):
        wb.capture(llama, PROMPTS, sites="blocks.9.attn.hook_z")
    with pytest.raises(BadInput, match="has no position 99"):
        wb.capture(llama, PROMPTS, sites="z", positions=[99])
    with pytest.raises(BadInput, match="empty"):
        wb.capture(llama, "", sites="z")
    with pytest.raises(BadInput, match="at most 256"):
        wb.capture(gpt2, "word " * 2000, sites="z")


def test_every_site_can_be_captured_where_the_model_has_it(model):
    for short in model.sites:
        trace = wb.capture(model, PROMPTS[:2], sites=short)
        assert trace[short].dims[0] == "prompt"
        assert tuple(trace[short].dims[-len(sites.SITES[short].dims) :]) == sites.SITES[short].dims


def hooks_on(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules())


def test_what_is_overwritten_later_in_the_pass_is_captured_as_it_was(llama):
    want = wb.capture(llama, PROMPTS[0], sites=["resid_post", "z"], layers=[0])

    def spoil(module, args):
        args[0].mul_(2)

    handle = llama.layout.blocks[1].module.register_forward_pre_hook(spoil)
    try:
        got = wb.capture(llama, PROMPTS[0], sites=["resid_post", "z"], layers=[0])
    finally:
        handle.remove()
    for site in want:
        np.testing.assert_array_equal(got[site], want[site])


def test_an_array_does_not_follow_the_weights(gpt2):
    prompt = [[1] * gpt2.card.context_length]  # as long as the matrix of positions
    trace = wb.capture(gpt2, prompt, sites=list(gpt2.sites))
    weight = gpt2.module.transformer.wpe.weight
    assert not any(np.shares_memory(trace[site].values, weight.detach().numpy()) for site in trace)


# -- streamed to a folder --------------------------------------------------------------------------

MANY = [f"{text} {n}" for n in range(4) for text in PROMPTS]
ASKED = {
    "sites": ["z", "resid_post", "pattern", "logits", "embed"],
    "reduce": {"resid_post": "norm", "pattern": "last", "logits": "topk:5"},
}


@pytest.fixture
def small_shards(monkeypatch):
    """A few prompts per shard, so that little text makes many."""
    monkeypatch.setattr(shard_job, "SHARD_TOKENS", 30)


def same(got, want, atol=1e-5):
    assert list(got) == list(want)
    assert (got.prompts, got.tokens, got.lengths) == (want.prompts, want.tokens, want.lengths)
    for name in want:
        np.testing.assert_allclose(got[name].values, want[name].values, atol=atol, err_msg=name)
        assert got[name].dims == want[name].dims
        assert got[name].attrs == want[name].attrs
        assert all(got[name][dim].equals(want[name][dim]) for dim in want[name].coords)


def test_streamed_is_what_is_captured_in_memory(model, tmp_path, small_shards):
    streamed = wb.capture(model, MANY, **ASKED, out=tmp_path / "t", batch_tokens=40)
    assert len(list((tmp_path / "t").glob("shard-*"))) > 3
    assert streamed.complete
    same(streamed, wb.capture(model, MANY, **ASKED, batch_tokens=40))
    assert {f.name for f in (tmp_path / "t").iterdir() if not f.name.startswith("shard-")} == {
        "manifest.json"
    }


def test_every_site_streams(model, tmp_path):
    streamed = wb.capture(model, PROMPTS, sites=list(model.sites), out=tmp_path / "t")
    assert list((tmp_path / "t").glob("shard-*"))
    same(streamed, wb.capture(model, PROMPTS, sites=list(model.sites)))


@pytest.mark.parametrize("positions", [[-1], [0, -1], [1, 0, -2]])
def test_streamed_positions(model, tmp_path, positions):
    sites = ["z", "pattern", "logits"]
    streamed = wb.capture(model, MANY, sites=sites, positions=positions, out=tmp_path / "t")
    assert list((tmp_path / "t").glob("shard-*"))
    same(streamed, wb.capture(model, MANY, sites=sites, positions=positions))


@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7), batch_tokens=st.integers(1, 60)
)
@settings(max_examples=15, deadline=None)
def test_batching_changes_nothing(llama, lengths, batch_tokens):
    ids = [[(7 * n + i) % 384 for i in range(n)] for n in lengths]
    together = wb.capture(llama, ids, sites=["z", "pattern"], batch_tokens=batch_tokens)
    for row, prompt in enumerate(ids):
        alone, n = wb.capture(llama, [prompt], sites=["z", "pattern"]), len(prompt)
        np.testing.assert_allclose(together["z"][row, :, :n], alone["z"][0], atol=1e-5)
        np.testing.assert_allclose(
            together["pattern"][row, :, :, :n, :n], alone["pattern"][0], atol=1e-5
        )
        assert together["z"][row, :, n:].isnull().all()


@pytest.mark.parametrize("lengths", [[3], [5, 5, 5], [1, 9, 2, 9, 30]])
def test_a_batch_is_not_larger_than_asked(llama, lengths):
    for budget in (1, 10, 18, 1000):
        batches = capture_plan.batches(llama, lengths, budget)
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= budget for b in batches)


def test_prompts_as_token_ids_and_as_a_stream(llama, tmp_path, small_shards):
    ids = [llama.tokens(text) for text in MANY]
    want = wb.capture(llama, MANY, sites="z")
    same(wb.capture(llama, ids, sites="z"), want)
    once = wb.capture(llama, (row for row in ids), sites="z", out=tmp_path / "t")
    assert once.complete
    same(once, want)
    same(
        wb.capture(llama, iter(MANY), sites="z", out=tmp_path / "t"), want
    )  # the same again: nothing to do
    with pytest.raises(BadInput, match="Prompt 2 has the token id 999"):
        wb.capture(llama, [[1], [999]], sites="z")
    same(
        wb.capture(llama, ids[0], sites="z"), wb.capture(llama, MANY[0], sites="z")
    )  # one prompt's ids, by themselves
    with pytest.raises(BadInput, match="Prompt 1 is 5"):
        wb.capture(llama, iter([5, 6]), sites="z")
    with pytest.raises(BadInput, match="no prompt"):
        wb.capture(llama, [], sites="z", out=tmp_path / "u")


def test_windows_cut_long_texts(llama, tmp_path):
    ids = llama.tokens("Nobody remembers what the model was trained on. " * 60)
    assert len(ids) > 256
    cut = list(wb.windows(llama, [ids], 100, overlap=10))
    assert max(map(len, cut)) == 100
    assert cut[0] + [i for row in cut[1:] for i in row[10:]] == ids
    text = llama.tokenizer.decode(ids)
    trace = wb.capture(
        llama, wb.windows(llama, text, 100), sites="z", reduce="norm", out=tmp_path / "t"
    )
    assert sum(trace.lengths) == len(llama.tokens(text))
    with pytest.raises(BadInput, match="cannot overlap by 5"):
        wb.windows(llama, text, 5, overlap=5)


def test_smaller_numbers(llama, tmp_path):
    want = wb.capture(llama, MANY, sites="z")["z"]
    for dtype, bits in (("float16", 11), ("bfloat16", 8)):
        streamed = wb.capture(llama, MANY, sites="z", dtype=dtype, out=tmp_path / dtype)
        assert streamed.nbytes == sum(want.notnull().values.ravel()) * 2
        for trace in (streamed, wb.capture(llama, MANY, sites="z", dtype=dtype)):
            assert trace["z"].dtype == {"float16": np.float16, "bfloat16": np.float32}[dtype]
            np.testing.assert_allclose(trace["z"], want, rtol=2.0**-bits, atol=1e-6)
    with pytest.raises(BadInput, match="stored as 'int8'"):
        wb.capture(llama, MANY, sites="z", dtype="int8")


def test_what_float16_cannot_hold_is_said(llama, tmp_path):
    loud = torch.full((llama.card.d_model,), 1e5)
    with (
        wb.add(llama, loud, site="resid_post", layers=[1]),
        pytest.raises(BadInput, match="which float16 cannot"),
    ):
        wb.capture(llama, PROMPTS, sites="resid_post", dtype="float16", out=tmp_path / "t")
    assert wb.Trace.open(tmp_path / "t").lengths == []
    assert hooks_on(llama) == 0


def test_the_estimate_is_what_is_written(model, tmp_path, small_shards):
    for n, about in enumerate(
        [
            {"sites": ["z", "pattern"]},
            ASKED,
            {"sites": "resid_post", "reduce": "norm", "dtype": "float16"},
            {"sites": "logits"},
        ]
    ):
        wb.capture(model, MANY, **about, out=tmp_path / str(n))
        written = sum(file.stat().st_size for file in (tmp_path / str(n)).iterdir())
        assert wb.estimate(model, MANY, **about) == pytest.approx(written, rel=0.1)


def test_over_a_gigabyte_needs_agreement(llama, tmp_path, monkeypatch, small_shards):
    monkeypatch.setattr(streaming, "AGREED", 10_000)
    asked = []
    refuse = {"out": tmp_path / "t", "sites": "z"}
    for confirm in (False, lambda nbytes: asked.append(nbytes)):
        with pytest.raises(WorkbenchError, match=r"kB would be written to .*nobody has agreed"):
            wb.capture(llama, MANY, **refuse, confirm=confirm)
    assert asked == [wb.estimate(llama, MANY, sites="z")]
    assert not (tmp_path / "t").exists()
    # How long an iterator is shows only as it goes: what is finished by then stays.
    with pytest.raises(WorkbenchError, match="nobody has agreed"):
        wb.capture(llama, iter(MANY), **refuse)
    begun = wb.Trace.open(tmp_path / "t")
    assert 0 < len(begun.lengths) < len(MANY)
    assert not begun.complete
    assert "so far (unfinished)" in repr(begun)
    same(
        wb.capture(llama, MANY, **refuse, confirm=lambda nbytes: True),
        wb.capture(llama, MANY, sites="z"),
    )


def test_a_full_disk_and_a_full_memory_are_said_before(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(WorkbenchError, match=r"on disk; 1.0 MB are free"):
        wb.capture(llama, MANY, out=tmp_path / "t")
    assert not (tmp_path / "t").exists()
    monkeypatch.setattr(disk_space, "memory_free", lambda: 10_000)
    with pytest.raises(WorkbenchError, match=r"'z' of 12 prompts needs .* are free"):
        wb.capture(llama, MANY, sites="z")


def test_a_disk_that_fills_up_keeps_what_is_finished(llama, tmp_path, monkeypatch, small_shards):
    write, calls = os.write, []

    def until_full(file, data):
        calls.append(file)
        if len(calls) > 25:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(shard.os, "write", until_full)
        with pytest.raises(WorkbenchError, match="The disk is full"):
            wb.capture(llama, MANY, sites="z", out=tmp_path / "t")
    assert 0 < len(wb.Trace.open(tmp_path / "t").lengths) < len(MANY)
    assert not list((tmp_path / "t").glob(".writing-*"))
    same(wb.capture(llama, MANY, sites="z", out=tmp_path / "t"), wb.capture(llama, MANY, sites="z"))


# -- stopped and continued -------------------------------------------------------------------------


def stopped(model, folder, batches, prompts=MANY, **about):
    """Begin a capture and stop it after so many batches."""
    seen = []

    def show(update):
        seen.append(update)
        if len(seen) > batches:
            progress.cancel()

    progress = wb.Progress(show)
    with pytest.raises(Cancelled):
        wb.capture(
            model, prompts, **{**ASKED, **about}, out=folder, batch_tokens=15, progress=progress
        )
    return seen


def test_stopped_and_continued(model, tmp_path, small_shards, monkeypatch):
    stopped(model, tmp_path / "t", 5)
    begun = wb.Trace.open(tmp_path / "t")
    assert 0 < len(begun.lengths) < len(MANY)
    assert not begun.complete
    assert f"of {len(MANY)} (unfinished)" in repr(begun)
    want = wb.capture(model, MANY, **ASKED)
    for n, text in enumerate(begun.prompts):
        assert text == MANY[n]
        np.testing.assert_allclose(
            begun["z"][n, :, : begun.lengths[n]], want["z"][n, :, : want.lengths[n]], atol=1e-5
        )
    old = {file: file.stat().st_mtime_ns for file in (tmp_path / "t").glob("shard-*")}
    ran = []
    run = capture_batch.run
    monkeypatch.setattr(
        capture_batch,
        "run",
        lambda m, plans, ids, *more: (ran.extend(ids), run(m, plans, ids, *more)),
    )
    done = wb.capture(model, MANY, **ASKED, out=tmp_path / "t", batch_tokens=50)
    assert done.complete
    same(done, want)
    assert len(ran) == len(MANY) - len(begun.lengths)
    assert all(file.stat().st_mtime_ns == when for file, when in old.items())
    ran.clear()
    same(wb.capture(model, MANY, **ASKED, out=tmp_path / "t"), want)
    assert not ran


def test_progress_counts_what_was_left_to_do(llama, tmp_path, small_shards):
    first = stopped(llama, tmp_path / "t", 5)
    fractions = []
    progress = wb.Progress(lambda update: fractions.append(update.fraction))
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t", batch_tokens=15, progress=progress)
    assert first[0].fraction == fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": [0]}, "layers was"),
        ({"sites": ["z"], "reduce": None}, "asked for was"),
        ({"positions": [-1], "reduce": {"resid_post": "norm"}}, "positions was"),
        (
            {"reduce": {"resid_post": "mean", "pattern": "last", "logits": "topk:5"}},
            "'norm' there and is 'mean' now",
        ),
        ({"dtype": "float16"}, "dtype was 'float32' there and is 'float16' now"),
        ({"prompts": MANY[:-1]}, "other prompts"),
        ({"prompts": MANY[::-1]}, "other prompts"),
        ({"prompts": iter(MANY[::-1])}, "other prompts"),
        ({"prompts": iter(MANY[:2])}, "other prompts"),
    ],
)
def test_another_request_does_not_continue(llama, tmp_path, small_shards, change, says):
    stopped(llama, tmp_path / "t", 5)
    before = {file: file.read_bytes() for file in (tmp_path / "t").iterdir()}
    asked = {"prompts": MANY, **ASKED, **change}
    with pytest.raises(WorkbenchError, match=says):
        wb.capture(llama, **asked, out=tmp_path / "t")
    assert {
        file: file.read_bytes() for file in (tmp_path / "t").iterdir() if file.name != ".lock"
    } == {file: data for file, data in before.items() if file.name != ".lock"}


def test_another_model_does_not_continue(llama, tmp_path, small_shards):
    stopped(llama, tmp_path / "t", 5)
    other = wb.load((tiny.tiny_llama(seed=1), tiny.tiny_tokenizer()))
    with pytest.raises(WorkbenchError, match="model weights was"):
        wb.capture(other, MANY, **ASKED, out=tmp_path / "t")


def test_a_folder_of_something_else_is_left_alone(llama, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="exists already"):
        wb.capture(llama, PROMPTS, out=tmp_path)
    with pytest.raises(WorkbenchError, match="exists already"):
        wb.capture(llama, PROMPTS, out=tmp_path / "notes.txt")
    wb.capture(llama, PROMPTS).save(tmp_path / "saved")
    with pytest.raises(WorkbenchError, match="holds another capture"):
        wb.capture(llama, PROMPTS, out=tmp_path / "saved")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "damage",
    [lambda f: f.unlink(), lambda f: f.write_bytes(b""), lambda f: f.write_bytes(b"\0" * 9999)],
)
def test_a_damaged_shard_is_written_anew(llama, tmp_path, small_shards, damage):
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    want = wb.capture(llama, MANY, **ASKED)
    damage(sorted((tmp_path / "t").glob("shard-*"))[1])
    with pytest.raises(BadRun):
        wb.Trace.open(tmp_path / "t")
    same(wb.capture(llama, MANY, **ASKED, out=tmp_path / "t"), want)


def test_two_captures_do_not_write_to_one_folder(llama, tmp_path):
    def show(update):
        with pytest.raises(WorkbenchError, match="Another capture is writing"):
            wb.capture(llama, PROMPTS, out=tmp_path / "t")
        tried.append(update)

    tried = []
    wb.capture(llama, PROMPTS, out=tmp_path / "t", progress=wb.Progress(show))
    assert tried


def test_a_link_in_a_strangers_folder_leads_nowhere(llama, tmp_path, small_shards):
    stopped(llama, tmp_path / "t", 5)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in (".writing-shard-00000000.safetensors", ".writing-manifest.json"):
        (tmp_path / "t" / name).symlink_to(outside)
    wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    assert outside.read_text() == "mine"
    (tmp_path / "t" / ".lock").symlink_to(outside)
    with pytest.raises(BadRun, match="leads elsewhere"):
        wb.capture(llama, MANY, **ASKED, out=tmp_path / "t")
    assert outside.read_text() == "mine"


CHILD = """
import sys
import workbench as wb
from tests.helpers import tiny
from hooks import shard_job
shard_job.SHARD_TOKENS = 30
model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
def show(update): print(update.says, flush=True)
prompts = [f"The capital of country {n} is" + " not" * (n % 7) for n in range(400)]
watched = wb.Progress(show)
options = {"batch_tokens": 20, "progress": watched}
wb.capture(model, prompts, sites=["z", "pattern"], out=sys.argv[1], **options)
"""


def child(code, *arguments, **options):
    root = Path(__file__).parents[2]
    env = {
        **os.environ,
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=env,
        stdout=subprocess.PIPE,
        **options,
    )


@pytest.mark.verify
@pytest.mark.process
def test_killed_in_the_middle_and_continued(llama, tmp_path, small_shards):
    prompts = [f"The capital of country {n} is" + " not" * (n % 7) for n in range(400)]
    finished = 0
    for lines in (3, 14):  # killed while another batch runs, each time further on
        process = child(CHILD, tmp_path / "t", text=True)
        for _ in range(lines):
            assert process.stdout.readline().startswith("Capturing prompt")
        process.kill()
        process.wait()
        begun = wb.Trace.open(tmp_path / "t")
        assert finished <= len(begun.lengths) < 400
        assert begun.prompts == prompts[: len(begun.prompts)]
        assert not begun.complete
        assert bool(begun["z"].sizes["prompt"]) == bool(begun.lengths)
        finished = len(begun.lengths)
    assert finished > 0
    done = wb.capture(llama, prompts, sites=["z", "pattern"], out=tmp_path / "t")
    assert done.complete
    same(done, wb.capture(llama, prompts, sites=["z", "pattern"]))


MEMORY = """
import resource, sys
import workbench as wb
from tests.helpers import tiny
model = wb.load((tiny.tiny_llama(), tiny.tiny_tokenizer()))
prompts = (f"The capital of country {n} is" + " not" * (n % 7) for n in range(int(sys.argv[2])))
wb.capture(model, ["warm"] * 40, sites=["logits"], out=sys.argv[1] + "-warm")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
wb.capture(model, prompts, sites=["logits", "z"], out=sys.argv[1], confirm=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.verify
@pytest.mark.process
def test_memory_stays_flat_however_many_prompts(tmp_path):
    grown = []
    for n in (400, 2400):
        process = child(MEMORY, tmp_path / str(n), n)
        grown.append(int(process.communicate()[0].split()[-1]) * 1024)
        assert process.returncode == 0
    written = sum(file.stat().st_size for file in (tmp_path / "2400").iterdir())
    assert written > 50e6
    assert grown[1] < grown[0] + 20e6  # of six times as much


def test_the_docs_python_runs(llama, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "capture.md").read_text(
        encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wb, "load", lambda: llama, raising=False)
    shared = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "capture.md", "exec"), shared)
    assert capsys.readouterr().out.splitlines() == [
        "('prompt', 'layer', 'pos', 'head', 'd_head')",
        "('prompt', 'layer', 'head', 'query', 'rank')",
        "int32",
        "True",
    ]
    assert shared["part"].sizes["prompt"] == 1
