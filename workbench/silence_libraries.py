"""Silence for the libraries below: the workbench reports in its own words, and what they advise is
not for its users.

transformers advises kernels that crash it on a machine without a card, and counts up what it read;
bitsandbytes tells of every product that it rounds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OTHERS = "bitsandbytes"
_ADVISER = "bitsandbytes.backends.cpu.ops"


def drop_kernel_advice() -> None:
    """No advice of bitsandbytes to install a package of kernels, which it gives whenever it is
    imported, and several libraries import it; what else it says is heard.
    """
    logging.getLogger(_ADVISER).addFilter(_no_kernel_advice)


def _no_kernel_advice(record: logging.LogRecord) -> bool:
    return "kernels-community" not in str(record.msg)


def silence() -> None:
    """Only errors of the libraries below from now on: for a command, whose screen is its own.

    A level that was asked for in the environment (TRANSFORMERS_VERBOSITY) stays.
    """
    os.environ.setdefault(
        "TRANSFORMERS_VERBOSITY", "error"
    )  # read when transformers is imported, which is not yet
    logging.getLogger(_OTHERS).setLevel(logging.ERROR)


@contextmanager
def silenced() -> Iterator[None]:
    """No bars and only errors of the libraries below inside; their settings are put back
    afterwards.
    """
    from transformers.utils import logging as theirs

    other = logging.getLogger(_OTHERS)
    levels, bars = (theirs.get_verbosity(), other.level), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    other.setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.set_verbosity(levels[0])
        other.setLevel(levels[1])
        if bars:
            theirs.enable_progress_bar()
