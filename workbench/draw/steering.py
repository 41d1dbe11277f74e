"""From a feature to steering with it: a line of code, and a form for the Playground."""

from __future__ import annotations

from markupsafe import Markup

from workbench.draw.view import is_served, paragraph

_PROMPT = "Yesterday my brother and I went to the"


def steer_code(features: str, feature: int, to: float) -> Markup:
    """How to set a feature at the last token in Python.

    Args:
        features: the autoencoder's name.
    """
    code = (
        f'with wb.open_features("{features}", model).steer({{{feature}: {to:.3g}}},'
        ' positions=[-1]): model.generate("…")'
    )
    return paragraph("Steer with it:", small=True) + Markup(
        '<pre class="wb-small" style="white-space:pre-wrap"><code>{}</code></pre>'
    ).format(code)


def steer_form(features: str, feature: int, to: float) -> Markup:
    """A form that takes a feature to the Playground, which sets it at the prompt's last function
    token and goes on; nothing where no server of the workbench is behind the page.
    """
    if not is_served():
        return Markup("")
    return Markup(
        '<form class="wb-steer" action="/playground" method="get" target="_blank"><input'
        ' type="hidden" name="features" value="{}"><input type="hidden" name="feature"'
        ' value="{}"><label>Steer with it now: prompt <input name="text" value="{}"'
        ' maxlength="2000" required></label><label>set to <input name="to" type="number" step="any"'
        ' value="{:.1f}" required></label><button>Steer and compare</button></form>'
    ).format(features, feature, _PROMPT, to)
