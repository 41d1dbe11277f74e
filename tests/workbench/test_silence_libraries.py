"""What libraries say of themselves does not reach a user; what they warn of does."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import workbench  # noqa: F401

ADVISER = logging.getLogger("bitsandbytes.backends.cpu.ops")


def test_only_the_advice_about_kernels_is_dropped(caplog):
    with caplog.at_level(logging.WARNING, logger=ADVISER.name):
        ADVISER.warning("Failed to load CPU gemm_4bit_forward from kernels-community: %s.", "none")
        ADVISER.warning("Something else is wrong.")
    assert [record.message for record in caplog.records] == ["Something else is wrong."]


@pytest.mark.process
@pytest.mark.parametrize(
    "source",
    [
        "import workbench, bitsandbytes",
        "import workbench as wb, sae_lens, transformer_lens, peft; wb.load",
        "import sys; sys.argv = ['benchmarks', 'nothing'];"
        "import benchmarks.__main__, benchmarks.features, benchmarks.sweep",
    ],
    ids=["bitsandbytes", "what imports it", "benchmarks"],
)
def test_nothing_is_said_on_import(source):
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantized`")
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout + done.stderr == ""
