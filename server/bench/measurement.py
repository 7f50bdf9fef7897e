"""What a benchmark says: a figure beside its ceiling, measured in the same run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """rate, ceiling: in `unit`; the ceiling is the bare operation that the rate is built on, None for none."""

    what: str
    rate: float
    unit: str
    ceiling: float | None = None
    remark: str = ""
