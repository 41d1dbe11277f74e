"""Home: what it says of the model, the questions and the runs, and that nothing in it can be
more than text.
"""

from __future__ import annotations

import re
import threading

import pytest

from sample_runs.make import HERE, RUNS, place_of
from tests.helpers import fake_package
from tests.helpers.synthetic import synthetic_result
from ui import home
from ui.app_state import AppState
from ui.jobs import Jobs
from ui.model_shelf import ModelShelf
from workbench import run_labels
from workbench.errors import WorkbenchError
from workbench.result import Result


def app(model, root, load=None) -> AppState:
    shelf = ModelShelf(model, load)
    return AppState(shelf, Jobs(shelf, root), root)


@pytest.fixture
def no_samples(monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [])


def test_the_models_card(llama, tmp_path):
    page = home.page(app(llama, tmp_path))
    for label, value in home.model_facts(llama.card):
        assert f"<dt>{label}</dt>" in page
        assert value in page
    labels = {label for label, _ in home.model_facts(llama.card)}
    assert {
        "Layers",
        "Heads",
        "Key-value heads",
        "Width",
        "Vocabulary",
        "Parameters",
        "Number type",
        "Device",
        "Weights",
    } <= labels


def test_a_dequantized_model_says_so():
    class Card:
        dtype, quantized_from, n_params = "torch.float32", "Q4_1", 134_515_008

    assert ("Number type", "float32, de-quantized from Q4_1") in home.model_facts(Card)
    assert ("Parameters", "135 M") in home.model_facts(Card)


def test_while_the_model_loads_the_page_is_there(tmp_path):
    gate = threading.Event()
    waiting = app("some/model", tmp_path, lambda ref, progress: gate.wait(600))
    waiting.shelf.start()
    page = home.page(waiting)
    gate.set()
    assert 'data-model="loading"' in page
    assert "some/model" in page
    assert "aria-busy" in page


def test_a_model_that_does_not_load_says_what_to_do(tmp_path):
    def load(ref, progress):
        raise WorkbenchError("There is no <model>.", "one of a, b", "Choose one.")

    failed = app("<model>", tmp_path, load)
    failed.shelf.start()
    assert failed.slot.wait(60)
    page = home.page(failed)
    assert "There is no &lt;model&gt;." in page
    assert "Expected: one of a, b" in page
    assert "What to do: Choose one." in page


def test_what_a_library_raises_is_explained_too(tmp_path):
    failed = app("x", tmp_path, lambda ref, progress: {}["weights"])
    failed.shelf.start()
    assert failed.slot.wait(60)
    assert "KeyError" in home.page(failed)
    with pytest.raises(WorkbenchError, match="could not be loaded"):
        failed.slot.need()


def test_questions_third_parties_and_what_does_not_load(llama, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    fake_package.install(folder, monkeypatch)
    fake_package.install(
        folder, monkeypatch, "raise ImportError('<i>no wings</i>')", "broken_package", "fly"
    )
    page = home.page(app(llama, tmp_path / "runs"))
    assert "How many sheep does it take?" in page
    assert 'href="playground/?analysis=count-sheep"' in page
    assert "from count-sheep" in page
    assert "does not load" in page
    assert "&lt;i&gt;no wings&lt;/i&gt;" in page
    monkeypatch.undo()
    fake_package.forget()


def test_an_unfit_model_gets_the_reason_in_place_of_the_button(llama, tmp_path, monkeypatch):
    source = fake_package.SOURCE + "\ndef unavailable_reason(model):\n    return 'it has no wool'\n"
    fake_package.install(tmp_path, monkeypatch, source)
    page = home.page(app(llama, tmp_path / "runs"))
    assert "Not for this model: it has no wool" in page
    assert "analysis=count-sheep" not in page
    source = (
        fake_package.SOURCE + "\ndef unavailable_reason(model):\n    raise TypeError('mistake')\n"
    )
    other = tmp_path / "other"
    other.mkdir()
    fake_package.install(other, monkeypatch, source)
    assert "its check of the model failed: TypeError: mistake" in home.page(
        app(llama, tmp_path / "runs")
    )
    monkeypatch.undo()
    fake_package.forget()


def test_without_runs_it_says_what_to_do_next(llama, tmp_path, no_samples):
    page = home.page(app(llama, tmp_path))
    assert "No runs yet" in page
    assert "workbench run" in page
    assert "Compare" not in page


def test_runs_as_cards(llama, tmp_path, no_samples):
    whole, part = synthetic_result(), synthetic_result(seed=1)
    part.partial = True
    whole.save(tmp_path / "a&b")
    part.save(tmp_path / "half")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "result.json").write_text("{")
    page = home.page(app(llama, tmp_path))
    assert 'href="explorer?run=a%26b"' in page
    assert 'src="runs/a%26b/picture.png"' in page
    assert "runs/half/report.html" in page
    assert page.count('type="checkbox"') == 2
    assert ">partial<" in page
    assert "cannot be read" in page
    assert whole.findings["base"].says in page  # the answer, not the first finding
    assert "2 min 3 s" in page


def test_home_shows_the_latest_and_the_pinned_ones_first(llama, tmp_path, no_samples):
    last = home.LATEST + 4
    for day in range(1, last + 1):
        result = synthetic_result()
        result.provenance.started = f"2026-01-01T00:00:{day:02}+00:00"
        result.save(tmp_path / f"day-{day}")
    run_labels.write(tmp_path / "day-1", pinned=True)
    run_labels.write(tmp_path / f"day-{last}", hidden=True)
    page = home.page(app(llama, tmp_path))
    shown = ["1", *(str(day) for day in range(last - 1, 4, -1))]
    assert re.findall(r'data-run="day-(\d+)"', page) == shown
    assert f'href="runs">All {last - 1} runs<' in page


def test_home_shows_a_sample_of_every_question_before_a_second_one(llama, tmp_path):
    page = home.page(app(llama, tmp_path))
    named = re.findall(r'data-run="([a-z0-9-]+)"', page)
    assert len(named) == home.LATEST
    asked = [Result.open(place_of(name)).analysis for name in named]
    first = asked[: len(set(asked))]
    assert len(set(first)) == len(first)
    assert set(first) == {analysis for _, analysis, _ in RUNS.values()}
    # Those that come with the workbench, and not what a later model says.
    assert {place_of(name).parent for name in named[: len(first)]} == {HERE}


def test_strangers_text_stays_text(llama, tmp_path, no_samples):
    result = synthetic_result(hostile=True)
    result.provenance.started = "<script>1</script>"
    result.save(tmp_path / "<img src=x onerror=alert(1)>")
    page = home.page(app(llama, tmp_path))
    assert "<script>1" not in page
    assert not re.search(r"<img (?!src=\"runs/)", page)
    assert "&lt;script&gt;" in page
    assert "{{7*7}}" in page  # a template in a text is not evaluated either
