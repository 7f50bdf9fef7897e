"""How many marketing messages one person may get from a business within so many days, over all its broadcasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.domain.errors import BadInput, Problem

MOST_MESSAGES: Final = 1_000
MOST_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """messages: at most, 1 or more. days: of 24 hours, counted back from now."""

    messages: int
    days: int

    def __str__(self) -> str:
        return f"{_some(self.messages, 'marketing message')} in {_some(self.days, 'day')}"

    @property
    def reason(self) -> str:
        """Why somebody was skipped, as their row says it."""
        return f"has had {self}"

    def as_json(self) -> dict[str, Any]:
        """The shape of docs/api.md."""
        return {"messages": self.messages, "days": self.days}


def parse(raw: Mapping[str, Any], pointer: str = "/frequency_cap") -> FrequencyCap:
    """A cap as JSON has it: `messages`, `days`. Raises `BadInput` that names each wrong field."""
    problems = []
    for name, most in (("messages", MOST_MESSAGES), ("days", MOST_DAYS)):
        value = raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            detail = f"{name} is {value!r:.20}; it should be a whole number from 1 to {most}."
            problems.append(Problem(f"{pointer}/{name}", detail))
    if problems:
        raise BadInput(problems[0].detail, problems=problems)
    return FrequencyCap(raw["messages"], raw["days"])


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
