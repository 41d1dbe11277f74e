"""Pattern controls: what they make of a passage, over tokenizers, and that they can be stopped."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from analyses.measures.pattern_controls import incremented, pattern_controls
from analyses.measures.windows import Window
from tests.helpers.text_tokenizers import KINDS
from workbench.models.tokenization import Tokenization


@pytest.mark.parametrize("kind", ["byte-level", "Llama 2", "Gemma", "prefixed bytes"])
def test_numbers_that_are_parted_by_a_space_stay_so(kind):
    text = Tokenization(KINDS[kind]())
    model = SimpleNamespace(text=text, continuation_tokens=text.continuation)
    before, behind = text.encode("9 10 11"), text.continuation(" 12 13")
    counted = incremented(model, Window(0, 0, (), tuple(before), tuple(behind)))
    said = text.decode_continuation(counted.suffix)
    assert said.startswith(" 112")
    whole = text.decode_continuation(counted.prefix)
    assert whole.endswith("111")


def test_the_controls_report_and_can_be_stopped(llama):
    class Stopped(Exception):
        pass

    def stop(fraction, says):
        raise Stopped

    ids = tuple(llama.continuation_tokens("1 2 3 4 5 6 7 8 9 10 11 12"))
    window = Window(0, 0, (), ids[:10], ids[10:])
    assert pattern_controls(llama, [window], 0)
    with pytest.raises(Stopped):
        pattern_controls(llama, [window], 0, stop)
