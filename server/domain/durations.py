"""Lengths of time as a person would say them."""


def in_words(seconds: float) -> str:
    """A length of time in the unit that fits, a second at least."""
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
