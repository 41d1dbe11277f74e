"""What an analysis says of itself to the Playground, in its attribute `playground`: a tab with a
form of its own, and the heads that its runs found.

Nothing here draws. The Playground has a page for each kind of form and walks the registry, so an
analysis of a third party gets a tab in the same way as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.draw.tokens import Span
    from workbench.result import Result

Head = tuple[int, int]
FIRST_TAB = "try"
"""*Try a prompt*, which is always there."""


@dataclass(frozen=True)
class HeadRole:
    """What a finished run found heads to be for.

    Attributes:
        name: as `Playground.heads` names it.
        head: what one of these heads is called, "memory head".
        off: the button that switches all of them off, "Memory heads off".
        colour: the category that outlines them.
    """

    name: str
    head: str
    off: str
    colour: Literal["memory", "context", "function", "other"]


@dataclass(frozen=True)
class Form:
    """A tab of the Playground.

    Attributes:
        tab: begins the ids of its elements; lower-case letters, digits and hyphens.
        title: on the tab.
    """

    tab: str
    title: str


@dataclass(frozen=True)
class RunForm(Form):
    """A form whose button runs the analysis, and opens the run's Explorer below.

    Attributes:
        button: what is on it.
        empty: HTML of what stands there before the first run: what a person will see.
        frame: names the run below for those who cannot see it.
        view: the tab at which it opens; "" is the answer.
    """

    button: str
    empty: str
    frame: str
    view: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class PromptPiece:
    """What can be taken away from a prompt, or from the model while it answers.

    Attributes:
        name: as `PromptTest.ask` takes it.
        label: what a person reads.
        text: what stands in the prompt, where something else can be put there; else "".
    """

    name: str
    label: str
    text: str = ""


@dataclass(frozen=True)
class AskedAgain:
    """What a model says after a prompt.

    Attributes:
        says: how it goes on, greedily.
        logp: log-probability of the run's answer, in nats.
        likely: the likeliest next tokens, with their probabilities.
    """

    says: str
    logp: float
    likely: Sequence[tuple[str, float]]


class PromptTest(Protocol):
    """A prompt that was asked, and is asked again with changes.

    Attributes:
        answer: of the run.
        pieces: what can be taken away.
        further: what else can be named to be switched off, as an example.
    """

    @property
    def answer(self) -> str: ...

    @property
    def pieces(self) -> Sequence[PromptPiece]: ...

    @property
    def further(self) -> str: ...

    def ask(
        self, off: Sequence[str] = (), further: str = "", instead: str = "", of: str = ""
    ) -> AskedAgain:
        """The prompt as it is, or with changes.

        Args:
            off: names of pieces that are taken away.
            further: parts of the model, typed, that are switched off as well.
            instead: words that stand in the place of the piece `of`.

        Raises:
            BadInput: no such piece, or nothing is left to be asked.
        """
        ...


@dataclass(frozen=True)
class PromptForm(RunForm):
    """One prompt.

    `Params` have a `prompt`; `chat`, `answer`, `other`, `subject` and `sites` get a box where they
    are there.

    Attributes:
        limit: how long the prompt may be.
        leads: its tab stands before all others, and is open when nothing else is asked for.
        test: the prompt of a finished run, to be asked again with parts taken away.
    """

    limit: str
    leads: bool = field(default=False, kw_only=True)
    test: Callable[[InstrumentedModel, Result], PromptTest] | None = field(
        default=None, kw_only=True
    )


@dataclass(frozen=True)
class DocumentsForm(RunForm):
    """Files of several kinds, or a pasted text, and fields of personal data to look for in them.

    Attributes:
        fields: those that stand there at first, each a name, a colon and a regular expression.
        depths: how much can be looked at, as (what a person reads, value); the first is chosen.
        params: values for `Params` from the fields and the depth. `path` (a folder) or `text` is
            added to them.
    """

    fields: Sequence[str]
    depths: Sequence[tuple[str, str]]
    params: Callable[[list[str], str], dict[str, Any]]


@dataclass(frozen=True)
class FactForm(RunForm):
    """A fact and its new answer: the run changes it, and gives a control from the original to the
    changed model, under which anything can be asked.

    Attributes:
        prompt, subject, answer: what stands in the boxes at first; the prompt has {subject}.
        methods: what a person reads, to what `params` takes.
        params: values for `Params` from subject, prompt, answer and method.
    """

    prompt: str
    subject: str
    answer: str
    methods: Mapping[str, str]
    params: Callable[[str, str, str, str], dict[str, Any]]


@dataclass(frozen=True)
class FeatureInfo:
    """What a finished run knows of an autoencoder.

    Attributes:
        classes: the class of each token id.
        otherwise: the class of all other ids.
        fires_on: what each feature fires mostly on.
        typical: an activation that is large for each feature.
    """

    classes: Mapping[int, str] = field(default_factory=dict)
    otherwise: str = ""
    fires_on: Mapping[int, str] = field(default_factory=dict)
    typical: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FeaturesForm(Form):
    """A prompt read through an autoencoder, and one of its features set; finished runs say what
    the features are.

    Attributes:
        prompt: what stands in the box at first.
        marks: how tokens of each class are underlined.
        start: the last token of this class is looked at first.
        class_of: the class of a token where no run says it.
        autoencoders: names of those a run was made with.
        describe: what a run knows of an autoencoder; None where it knows nothing.
        by_run: says that a run's classes are shown.
        by_itself: says that those of `class_of` are.
    """

    prompt: str
    marks: Mapping[str, Span]
    start: str
    class_of: Callable[[str], str]
    autoencoders: Callable[[Result], Sequence[str]]
    describe: Callable[[Result, str], FeatureInfo | None]
    by_run: str
    by_itself: str


@dataclass(frozen=True)
class PairAnswer:
    """What a model answers where the key of a pair is asked for.

    Attributes:
        answer: its likeliest token.
        p: the probability of it.
        own: the probability of the value that was read with the key.
        right: whether the answer is that value.
    """

    answer: str
    p: float
    own: float
    right: bool


@dataclass(frozen=True)
class ChangedPair:
    """All pairs of a list, asked for again after one of them was changed.

    Attributes:
        new: the value that was written; empty where the pair was erased.
        after: a place for each pair.
        random: the same after a change of equal size at random.
    """

    new: str
    after: Sequence[PairAnswer]
    random: Sequence[PairAnswer]


class AskedPairs(Protocol):
    """Pairs that a model has read, and holds.

    Attributes:
        pairs: key and value of each.
        before: what the model answers.
    """

    pairs: Sequence[tuple[str, str]]
    before: Sequence[PairAnswer]

    def rewrite(self, pair: int, new: str, layer: int | None) -> ChangedPair:
        """One pair gets another value, in one layer or in all; an empty one is chosen.

        Raises:
            BadInput: no such value or layer.
        """
        ...

    def erase(self, pair: int, layer: int | None) -> ChangedPair:
        """One pair is taken out."""
        ...


@dataclass(frozen=True)
class PairsForm(Form):
    """A list of pairs that a model reads: what it holds of them, and one of them erased or
    rewritten there.

    Attributes:
        unavailable_reason: why a model cannot be asked, or None.
        example: pairs for a model to begin with.
        layers: that can be changed.
        read: the pairs that were typed.
    """

    unavailable_reason: Callable[[InstrumentedModel], str | None]
    example: Callable[[InstrumentedModel], str]
    layers: Callable[[InstrumentedModel], Sequence[int]]
    read: Callable[[InstrumentedModel, str], AskedPairs]


def _none(result: Result) -> Mapping[str, Sequence[Head]]:
    return {}


@dataclass(frozen=True)
class Playground:
    """All that an analysis says to the Playground.

    Attributes:
        form: its own tab; None: it is asked with the form of its parameters, like all.
        roles: what its runs find heads to be for, in the order of the buttons.
        heads: the heads of a run by the name of their role.
    """

    form: Form | None = None
    roles: tuple[HeadRole, ...] = ()
    heads: Callable[[Result], Mapping[str, Sequence[Head]]] = _none

    @property
    def leads(self) -> bool:
        """Whether its tab opens the Playground."""
        return isinstance(self.form, PromptForm) and self.form.leads
