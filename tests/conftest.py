"""Fixtures shared by all tests. Slow things are built once per session."""

from __future__ import annotations

import os

# Before anything imports a Hugging Face library: no test may reach for the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest

from tests.helpers import tiny


@pytest.fixture(scope="session")
def smollm():
    """The real default model, loaded once. Fetched if this machine does not have it yet."""
    import workbench as wb

    return wb.load("smollm2-135m")


@pytest.fixture(scope="session")
def gemma():
    """The second real model, loaded once.

    Never fetched: its terms of use are for a person to accept.
    """
    import workbench as wb
    from workbench.models import known
    from workbench.models.fetch import damage
    from workbench.models.terms import accepted, pull_command

    entry = known()["gemma3-270m"]
    if not accepted(entry) or damage(entry) is not None:
        pytest.skip(f"{entry.name} is not on this machine: {pull_command(entry)}")
    return wb.load(entry.name, device="cpu")


def _instrumented(module):
    import workbench as wb

    return wb.load((module, tiny.tiny_tokenizer()))


@pytest.fixture(scope="session")
def llama():
    return _instrumented(tiny.tiny_llama())


@pytest.fixture(scope="session")
def gpt2():
    return _instrumented(tiny.tiny_gpt2())


@pytest.fixture(scope="session")
def neox():
    return _instrumented(tiny.tiny_neox())


@pytest.fixture(params=["llama", "gpt2", "neox"])
def model(request):
    """One tiny random model of each kind: grouped queries and rotary; learned positions;
    parallel blocks.
    """
    return request.getfixturevalue(request.param)
