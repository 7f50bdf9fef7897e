"""What a benchmark says: a figure beside its ceiling, measured in the same run."""

import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """rate, ceiling: in `unit`; the ceiling is the bare operation that the rate is built on, None for none."""

    what: str
    rate: float
    unit: str
    ceiling: float | None = None
    remark: str = ""

    @property
    def ratio(self) -> float | None:
        """How much of its ceiling is reached; None where it has none."""
        return self.rate / self.ceiling if self.ceiling else None


def figure(value: float) -> str:
    """A number for people: as many digits as a measurement has."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def peak_megabytes() -> float:
    """The most memory that this process ever had, in MB of 1,048,576 bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux a process begins with what its parent had when it was started.
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
