"""The memory that one network takes while it is built, checked and run."""

from __future__ import annotations

from typing import Optional

from pydantic import Field

from .base import Reading


class Memory(Reading):
    """Peaks of one cell, from its build to the end of its warm-up. Unknown is null, with the reason."""

    host_peak_bytes: Optional[int] = Field(
        None, ge=0, description="Resident memory of the measuring process, as if this network were alone in it."
    )
    host_reason: Optional[str] = Field(None, description="Why it is not known.")
    host_method: Optional[str] = Field(None, description="How it was found, in words.")
    device_peak_bytes: Optional[int] = Field(None, ge=0, description="Memory of the GPU or accelerator.")
    device_reason: Optional[str] = Field(None, description="Why it is not known, or that there is none.")
    device_method: Optional[str] = Field(None, description="How it was found, in words.")
    total_peak_bytes: Optional[int] = Field(
        None, ge=0, description="Both together; of a backend on the CPU the host's. null where a part is unknown."
    )

    @property
    def why_unknown(self) -> Optional[str]:
        """Why the total is not known; None if it is."""
        if self.total_peak_bytes is not None:
            return None
        return self.host_reason or self.device_reason or "no reason is given"
