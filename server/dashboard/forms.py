"""A form that came back: what is wrong stands at its field, and what was typed is kept."""

from collections.abc import Mapping

from server.domain.errors import BadInput

# What is wrong with the form as a whole.
WHOLE = ""


def problems_of(error: BadInput) -> Mapping[str, str]:
    """What is wrong, by the name of the field; `WHOLE` for what is of none."""
    found: dict[str, str] = {}
    for problem in error.problems:
        found.setdefault(problem.pointer.strip("/"), problem.detail)
    return found
