"""Lengths of time as a person would say them."""

from server.domain.sentences import said


def in_words(seconds: float) -> str:
    """A length of time in the unit that fits, a second at least."""
    if seconds < 120:
        return said("%(number)s s", number=f"{max(seconds, 1):.0f}")
    if seconds < 5_400:
        return said("%(number)s min", number=f"{seconds / 60:.0f}")
    return said("%(number)s h", number=f"{seconds / 3600:.1f}")
