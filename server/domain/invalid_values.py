"""What is wrong with a value that does not have the shape it should have, in plain words.

The kinds and their bounds are pydantic's (`type` and `ctx` of its errors); its own words are for programmers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from server.domain.sentences import counted, said

_OBJECT: Final = said("It should be an object.")
_WHOLE_NUMBER: Final = said("It should be a whole number.")
_NUMBER: Final = said("It should be a number.")
_PLAIN: Final[Mapping[str, str]] = {
    "missing": said("It is missing."),
    "extra_forbidden": said("There is no such field."),
    "model_attributes_type": _OBJECT,
    "model_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": said("It should be a list."),
    "string_type": said("It should be text."),
    "string_unicode": said("It has half of a character (a lone surrogate), which cannot be stored."),
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "timezone_aware": said("It should name its time zone, such as 2027-01-31T09:00:00Z."),
}

# The name of the bound, and what to say of it.
_LENGTHS: Final[Mapping[str, tuple[str, Callable[[int], str]]]] = {
    "string_too_short": (
        "min_length",
        lambda n: counted("It needs at least 1 character.", "It needs at least %(n)s characters.", n),
    ),
    "string_too_long": (
        "max_length",
        lambda n: counted("It may have 1 character at most.", "It may have %(n)s characters at most.", n),
    ),
    "too_short": ("min_length", lambda n: counted("It needs at least 1 entry.", "It needs at least %(n)s entries.", n)),
    "too_long": (
        "max_length",
        lambda n: counted("It may have 1 entry at most.", "It may have %(n)s entries at most.", n),
    ),
}
_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("ge", said("It should be at least %(bound)s.")),
    "less_than_equal": ("le", said("It should be at most %(bound)s.")),
    "greater_than": ("gt", said("It should be more than %(bound)s.")),
    "less_than": ("lt", said("It should be less than %(bound)s.")),
}


def in_plain_words(kind: str, bounds: Mapping[str, Any], otherwise: str) -> str:
    """What to say. kind, bounds: of the error. otherwise: pydantic's words, for a kind that is not known here."""
    return _PLAIN.get(kind) or _of_bounds(kind, bounds) or otherwise.removeprefix("Value error, ")


def _of_bounds(kind: str, bounds: Mapping[str, Any]) -> str | None:
    if kind in _LENGTHS:
        name, say = _LENGTHS[kind]
        return say(bounds[name])
    if kind in _LIMITS:
        name, pattern = _LIMITS[kind]
        limit = bounds[name]
        return said(pattern, bound=f"{limit:,}" if isinstance(limit, int | float) else limit)
    return None
