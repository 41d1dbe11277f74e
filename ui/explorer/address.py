"""The address of the Explorer's page: it says what is chosen, and Back and Forward lead there.

Panel's own `Location` writes an address but does not hear Back and Forward, and each step would be
one of the history: holding an arrow key on a grid leaves dozens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode

import panel as pn

from workbench.result import Result

Step = Literal["go", "choose", "say"]
"""How the history takes it. `go`: a step of its own (another run, another tab). `choose`: a step,
but for those that follow at once. `say`: the same step, in other words.
"""

OF_OTHER = "with."
"""How the names begin that say what is chosen in the second of two runs."""

# What is shown says "STEP?QUERY#TITLE" here; what the browser went back to says "back?QUERY".
_IN_BROWSER = """
if (!window.wbFollows) {
  window.wbFollows = true;
  addEventListener("popstate", () => { address.value = "back" + location.search; });
}
const [said, title] = address.value.split("#");
const step = said.split("?", 1)[0], query = said.slice(step.length);
if (step !== "back") {
  document.title = decodeURIComponent(title);
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

    def say(self, query: Mapping[str, str], step: Step, title: str) -> None:
        """Make the address say this, and the page be called so."""
        # A stranger's texts may hold half of a character, which no address can.
        told = f"?{urlencode(query, errors='replace')}#{quote(title, errors='replace')}"
        if not self.panel.value.endswith(told):
            self.panel.value = step + told

    def _heard(self, event: Any) -> None:
        step, _, query = event.new.partition("?")
        if step == "back":
            self._follow(dict(parse_qsl(query)))


def as_text(run: Result | None, other: Result | None) -> dict[str, str]:
    """What is chosen in one run, or in two, as parameters of an address."""
    mine, theirs = ({} if one is None else one.selection.to_query() for one in (run, other))
    return mine | {OF_OTHER + name: text for name, text in theirs.items()}


def by_run(
    query: Mapping[str, str], run: Result | None, other: Result | None
) -> Iterator[tuple[Result, dict[str, str]]]:
    """The runs that are open, each with the parameters that speak of it."""
    theirs = {name: text for name, text in query.items() if name.startswith(OF_OTHER)}
    if run is not None:
        yield run, {name: text for name, text in query.items() if name not in theirs}
    if other is not None:
        yield other, {name.removeprefix(OF_OTHER): text for name, text in theirs.items()}
