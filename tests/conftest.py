"""Fixtures shared by all tests. Slow things are built once per session."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# Before anything imports a Hugging Face library: no test may reach for the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Before anything imports torch: one thread for each process of the suite, and none that waits
# spinning. Two processes of two threads each are slower on two cores than either alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers import addresses, serving, shapes, tiny

shapes.install()
# A busy machine is no error of what is tested.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

TIERS = ("process", "browser", "model")
REAL_MODELS = {"smollm", "gemma"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test is in a tier: what takes a real model or a browser says so by its fixtures. What
    takes minutes is left out unless it is asked for: `-m verify`.
    """
    if "verify" not in config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("verify")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if asked & REAL_MODELS:
            item.add_marker("model")
        if "browser" in asked:
            item.add_marker("browser")
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker("unit")
    _long_files_first(items)


def _long_files_first(items: list[pytest.Item]) -> None:
    """Two processes end together only where the last files are short ones: files that drive a
    browser come first, then those that load a real model, then those that start processes.
    """
    ranks: dict[Path, int] = {}
    for item in items:
        tiers = ("browser", "model", "process")
        rank = next((n for n, tier in enumerate(tiers) if item.get_closest_marker(tier)), 3)
        ranks[item.path] = min(rank, ranks.get(item.path, 3))
    items.sort(key=lambda item: ranks[item.path])


def pytest_collection_finish() -> None:
    _keep_what_is_there()


@pytest.fixture(scope="module", autouse=True)
def what_a_file_leaves_is_kept():
    yield
    _keep_what_is_there()


def _keep_what_is_there() -> None:
    """What is imported, or left by a server, by now stays: no collection of garbage need look
    through it again and again, which took two seconds each, and minutes where memory is said to run
    out.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session", autouse=True)
def reports_are_drawn_by_one_process():
    """Two sets of tests run side by side: another process would take time, not give it."""
    from ui.runs import two_processes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_processes, "processors", lambda: 1)
        yield


@pytest.fixture(scope="session")
def organism():
    """The small model with planted passages, loaded once."""
    import workbench as wb

    return wb.load("organism/planted")


# Not for the session: while Playwright is open an event loop runs in this thread, and what runs
# one of its own (a notebook, a client) could not be tested beside it.
@pytest.fixture(scope="module")
def chromium():
    with serving.chromium() as opened:
        yield opened


@pytest.fixture
def browser(chromium):
    """One browser for a file of tests; what a test opens in it is closed after the test."""
    yield chromium
    for context in chromium.contexts:
        context.close()


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


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server on this machine."""
    yield from addresses.s3_server()


@pytest.fixture(params=addresses.KINDS)
def place(request, tmp_path, monkeypatch):
    """An address of each kind below which nothing is."""
    return addresses.new_place(request.param, request, tmp_path, monkeypatch)
