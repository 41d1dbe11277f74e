"""The Playground's Features tab: a prompt read, a feature chosen, and set at a token; and what
cannot be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import torch

import workbench as wb
from tests.helpers.autoencoders import made, saved
from ui.playground import feature_service, features_tab
from workbench import registry
from workbench.errors import BadInput, NotFound
from workbench.playground import FeaturesForm

WAIT = 60_000
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def ref(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A random autoencoder of the tiny model, that explains nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hooks.features.load.LEAST", -1e9)
        yield str(
            saved(
                made("jumprelu", 32, 64, hook="blocks.1.hook_resid_post"),
                tmp_path_factory.mktemp("sae"),
            )
        )


@pytest.fixture
def reader(llama: Any) -> feature_service.Reader:
    app = SimpleNamespace(
        slot=SimpleNamespace(model=llama, name=llama.card.name, need=lambda: llama), entries=list
    )
    analysis = registry.get("function-tokens")
    form = analysis.playground.form
    assert isinstance(form, FeaturesForm)
    return feature_service.Reader(app, analysis, form)  # type: ignore[arg-type]


def test_a_prompt_is_read_as_the_hook_layer_reads_it(
    reader: feature_service.Reader, llama: Any, ref: str
) -> None:
    found = reader.read(ref, "The capital of France is")
    features = wb.open_features(ref, llama)
    x = wb.capture(llama, "The capital of France is", sites="resid_post", layers=1)[
        "resid_post"
    ].values[0, 0]
    assert np.allclose(found.active.numpy(), features.encode(torch.as_tensor(x)).numpy(), atol=1e-5)
    assert found.classes[-1] == "function" or "is" not in found.tokens[-1]
    assert not found.by_run
    pos = found.place(None)
    strongest = found.strongest(pos)
    assert [v for _, v in strongest] == sorted((v for _, v in strongest), reverse=True)
    assert f"Feature {strongest[0][0]}" in found.strip(strongest[0][0])


def test_steering_writes_both_texts(reader: feature_service.Reader, llama: Any, ref: str) -> None:
    prompt = "The capital of France is"
    found = reader.read(ref, prompt)
    steps = list(reader.steer(found, prompt, 5, 50.0, len(found.ids) - 1, 6))
    before, after = steps[-1]
    assert before == llama.generate(prompt, max_new_tokens=6)
    with wb.open_features(ref, llama).steer({5: 50.0}, positions=[len(found.ids) - 1]):
        assert after == llama.generate(prompt, max_new_tokens=6)
    assert before != after
    assert len(steps) > 2  # as it is written


def test_what_cannot_be_asked(reader: feature_service.Reader, ref: str) -> None:
    with pytest.raises(BadInput, match="No autoencoder is chosen"):
        reader.read("", "text")
    with pytest.raises(BadInput, match="empty"):
        reader.read(ref, "  ")
    with pytest.raises(BadInput, match="at most 256"):
        reader.read(ref, "word " * 400)
    with pytest.raises(NotFound, match="There is no autoencoder"):
        reader.read("nothing-like-it", "text")
    found = reader.read(ref, "text")
    with pytest.raises(NotFound, match="no feature 64"):
        list(reader.steer(found, "text", 64, 1.0, 0, 2))
    for text in ("", "twelve", "-3", "²"):
        with pytest.raises(BadInput, match="no number of a feature"):
            features_tab._number(text)
    assert features_tab._number("12 · 3.4 · “the”") == 12


@pytest.mark.browser
def test_a_feature_is_steered_in_the_browser(browser: Any, address: str, ref: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/?features={ref}&feature=5")
    page.locator("#features-text .wb-strip").first.wait_for()
    page.get_by_text("Feature 5 at blocks.1.hook_resid_post").wait_for()
    page.locator("#features-prompt textarea").fill(f"The capital {HOSTILE} is")
    page.locator("#features-read").click()
    page.locator("#features-text .wb-strip", has_text="hacked").first.wait_for()
    page.locator("#features-to input").fill("60")
    page.locator("#features-steer").click()
    page.locator("#features-compared section h3", has_text="Steered").wait_for()
    page.wait_for_function(
        "document.querySelectorAll('#features-compared .continuation')[1].textContent.length > 3"
    )
    assert page.evaluate("window.hacked") is None


@pytest.mark.browser
def test_the_address_of_a_feature_page_steers_at_once(browser: Any, address: str, ref: str) -> None:
    asked = urlencode(
        {"features": ref, "feature": 5, "text": f"The capital {HOSTILE} is", "to": 60}
    )
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/?{asked}")
    page.locator("#features-compared section h3", has_text="Steered").wait_for()
    page.get_by_text("feature 5 set to 60 at token").wait_for()
    assert page.locator("#features-to input").input_value() == "60"
    assert page.evaluate("window.hacked") is None
    page.goto(f"{address}/playground/?{urlencode({'features': ref, 'feature': 5, 'to': 'nan'})}")
    page.get_by_text("is no number").wait_for()
