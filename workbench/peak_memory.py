"""How much memory some work took beyond what was held before it."""

from __future__ import annotations

from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK_ONLY = "5"  # what Linux takes as: forget the peak, and nothing else


class PeakMemory:
    """Measures from its making on; of the graphics card where the work is there.

    Args:
        device: of the work, "cpu", "cuda:0".
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = self._held("VmRSS") if self._reset() else None

    def taken(self) -> int | None:
        """Bytes; None where this system does not tell."""
        if self._before is None or (peak := self._held("VmHWM")) is None:
            return None
        return max(0, peak - self._before)

    @property
    def _on_card(self) -> bool:
        return self._device.startswith("cuda")

    def _reset(self) -> bool:
        if self._on_card:
            import torch

            torch.cuda.reset_peak_memory_stats(self._device)
            return True
        try:
            _RESET.write_text(_PEAK_ONLY)
        except OSError:  # not Linux, or not allowed
            return False
        return True

    def _held(self, what: str) -> int | None:
        if self._on_card:
            import torch

            now = what == "VmRSS"
            return (torch.cuda.memory_allocated if now else torch.cuda.max_memory_allocated)(
                self._device
            )
        try:
            lines = _STATUS.read_text().splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith(what)), None)
