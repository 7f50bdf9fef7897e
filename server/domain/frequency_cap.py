"""How many marketing messages one person may get from a business within so many days, over all its broadcasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.domain.errors import BadInput, Problem
from server.domain.sentences import counted, said

MOST_MESSAGES: Final = 1_000
MOST_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """messages: at most, 1 or more. days: of 24 hours, counted back from now."""

    messages: int
    days: int

    def __str__(self) -> str:
        days = counted("1 day", "%(n)s days", self.days, n=self.days)
        return counted(
            "1 marketing message in %(days)s",
            "%(n)s marketing messages in %(days)s",
            self.messages,
            n=self.messages,
            days=days,
        )

    @property
    def reason(self) -> str:
        """Why somebody was skipped, as their row says it."""
        return said("has had %(cap)s", cap=self)

    def as_json(self) -> dict[str, Any]:
        """The shape of docs/api.md."""
        return {"messages": self.messages, "days": self.days}


def parse(raw: Mapping[str, Any], pointer: str = "/frequency_cap") -> FrequencyCap:
    """A cap as JSON has it: `messages`, `days`. Raises `BadInput` that names each wrong field."""
    problems = []
    for name, most in (("messages", MOST_MESSAGES), ("days", MOST_DAYS)):
        value = raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            detail = said(
                "%(name)s is %(value)s; it should be a whole number from 1 to %(most)s.",
                name=name,
                value=f"{value!r:.20}",
                most=most,
            )
            problems.append(Problem(f"{pointer}/{name}", detail))
    if problems:
        raise BadInput(problems[0].detail, problems=problems)
    return FrequencyCap(raw["messages"], raw["days"])
