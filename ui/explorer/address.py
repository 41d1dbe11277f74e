"""The address of the Explorer's page: it says what is chosen, and Back and Forward lead there.

Panel's own `Location` writes an address but does not hear Back and Forward, and each step would be
one of the history: holding an arrow key on a grid leaves dozens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode

import panel as pn

Step = Literal["go", "choose", "say"]
"""How the history takes it. `go`: a step of its own (another run, another tab). `choose`: a step,
but for those that follow at once. `say`: the same step, in other words.
"""

# What is shown says "STEP?QUERY" here; what the browser went back to says "back?QUERY".
_IN_BROWSER = """
if (!window.wbFollows) {
  window.wbFollows = true;
  addEventListener("popstate", () => { address.value = "back" + location.search; });
}
const step = address.value.split("?", 1)[0], query = address.value.slice(step.length);
if (step !== "back") {
  const url = new URL(location.href), theme = url.searchParams.get("theme");
  url.search = query;
  if (theme) url.searchParams.set("theme", theme);
  const now = Date.now(), follows = now - (window.wbStepped || 0) < 1000;
  if (url.href !== location.href) {
    const replaced = step === "say" || (step === "choose" && follows);
    history[replaced ? "replaceState" : "pushState"](null, "", url);
  }
  if (step !== "say") window.wbStepped = now;
}
"""


class Address:
    """Says what is chosen, and hears where the browser went back to.

    Args:
        follow: called with the parameters of the address that the browser went back to.
    """

    def __init__(self, follow: Callable[[dict[str, str]], None]) -> None:
        self._follow = follow
        self.panel: Any = pn.widgets.TextInput(visible=False, max_length=100_000)
        self.panel.jscallback(value=_IN_BROWSER, args={"address": self.panel})
        self.panel.param.watch(self._heard, "value")

    def say(self, query: Mapping[str, str], step: Step) -> None:
        """Make the address say this."""
        told = "?" + urlencode(query)
        if not self.panel.value.endswith(told):
            self.panel.value = step + told

    def _heard(self, event: Any) -> None:
        step, _, query = event.new.partition("?")
        if step == "back":
            self._follow(dict(parse_qsl(query)))
