"""Sentences for people, made of a pattern and its values; and the way back, from a sentence to its pattern.

The API, the command line and the rows of the database have the finished English. A page tells it in its reader's
language, also years after it was kept: it finds the pattern that the sentence was made of, and with it the values. So

- a pattern is a literal where it is said: `frontend/messages.py` collects it for the translators;
- a value in quotation marks is somebody's own word, and stays as it is. Any other may be a phrase of ours.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple


def said(pattern: str, **values: object) -> str:
    """A sentence. pattern: `%(name)s` in it stands for a value, and `%%` for a percent sign where there are values."""
    return pattern % values if values else pattern


def counted(one: str, many: str, n: int, /, **values: object) -> str:
    """A sentence about a number, which `%(n)s` in it shows. one: for 1, and may leave the number out.

    `n` among the values: the number as it is to be written, where that is not 1,234.
    """
    return (one if n == 1 else many) % {"n": f"{n:,}", **values}


class Value(NamedTuple):
    """What stands in the place of a name. is_quoted: it stands in quotation marks."""

    text: str
    is_quoted: bool


class Made(NamedTuple):
    """What a sentence is made of. one: the pattern, or the one of the singular. many: that of the plural, if it counts.

    n: how many it counts, and 1 where its words alone say so.
    """

    one: str
    many: str | None
    n: int
    values: Mapping[str, Value]


class _Pattern(NamedTuple):
    literal: str
    literals_length: int
    expression: re.Pattern[str]
    quoted: frozenset[str]
    one: str
    many: str | None


# Patterns look at any text, also of others: no sentence is longer, and none may keep a page waiting.
_LONGEST: Final = 400
_NAME: Final = re.compile(r"%\((\w+)\)s")
_QUOTED: Final = re.compile(r'"%\((\w+)\)s"')
# As `counted` writes it. Somebody's own words may have commas alone there, or more digits than any count.
_NUMBER: Final = r"[0-9][0-9,]{0,30}"


class Patterns:
    """All patterns that sentences may be made of."""

    def __init__(self, patterns: Iterable[str | tuple[str, str]]) -> None:
        """patterns: those with values in them; two where it counts, for one and for many."""
        found = [
            _compiled(form, *((pattern, None) if isinstance(pattern, str) else pattern))
            for pattern in patterns
            for form in ((pattern,) if isinstance(pattern, str) else pattern)
        ]
        # The one that leaves the least to its values is the one that was meant.
        self._patterns = sorted(found, key=lambda pattern: -pattern.literals_length)

    def find(self, sentence: str) -> Made | None:
        """What a sentence is made of; None where it is of none of these patterns."""
        if len(sentence) > _LONGEST:
            return None
        for pattern in self._patterns:
            if pattern.literal in sentence and (match := pattern.expression.fullmatch(sentence)):
                groups = match.groupdict()
                if any(text.count("(") != text.count(")") for text in groups.values()):
                    continue  # a piece of a longer sentence
                n = int(groups.get("n", "1").replace(",", "")) if pattern.many is not None else 1
                values = {name: Value(text, name in pattern.quoted) for name, text in groups.items()}
                return Made(pattern.one, pattern.many, n, values)
        return None


def _compiled(form: str, one: str, many: str | None) -> _Pattern:
    pieces = [piece.replace("%%", "%") for piece in _NAME.split(form)]
    literals, names = pieces[::2], pieces[1::2]
    seen: set[str] = set()
    expression = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        value = _NUMBER if name == "n" and many is not None else ".+?"
        expression += (f"(?P={name})" if name in seen else f"(?P<{name}>{value})") + re.escape(literal)
        seen.add(name)
    quoted = frozenset(_QUOTED.findall(form))
    length = sum(map(len, literals))
    return _Pattern(max(literals, key=len), length, re.compile(expression, re.DOTALL), quoted, one, many)


# So many parts may stand together in one pattern.
_MOST_PARTS: Final = 6
_END_OF_PART: Final = frozenset(".!?)")


def retold(text: str, tell: Callable[[str], str | None]) -> str:
    """A text of one or several sentences in other words. tell: those of one sentence; None: they stay as they are.

    The first that is known alone is told alone; others together, as one pattern has them.
    """
    parts = list(_parts(text))
    told: list[str] = []
    begin = 0
    while begin < len(parts):
        ends = range(begin + 1, min(len(parts), begin + _MOST_PARTS) + 1)
        found = ((end, tell(" ".join(parts[begin:end]))) for end in ends)
        end, words = next(((end, words) for end, words in found if words is not None), (begin + 1, None))
        told.append(parts[begin] if words is None else words)
        begin = end
    return " ".join(told)


def _parts(text: str) -> Iterator[str]:
    """A text, cut where a sentence may end: behind a full stop or a bracket, but not within brackets."""
    part: list[str] = []
    depth = 0
    for word in text.split(" "):
        part.append(word)
        depth = max(depth + word.count("(") - word.count(")"), 0)
        if not depth and word[-1:] in _END_OF_PART:
            yield " ".join(part)
            part = []
    if part:
        yield " ".join(part)


def in_the_middle(sentence: str) -> str | None:
    """A whole sentence as the phrase that it may have been made of: without its capital and its full stop."""
    is_whole = sentence.endswith(".") and not sentence[:1].islower()
    return sentence[:1].lower() + sentence[1:-1] if is_whole else None


def told_each(text: str, tell: Callable[[str], str | None], between: str = ", ") -> list[str] | None:
    """The phrases of an enumeration in other words, each told by itself; None where they are not all known.

    A piece that is none belongs to the phrase before it: `tagged vip, new and old, whose city is Haifa` are two.
    """
    phrases: list[str] = []
    for piece in text.split(between):
        if phrases and tell(piece) is None:
            phrases[-1] += between + piece
        else:
            phrases.append(piece)
    told = [words for phrase in phrases if (words := tell(phrase)) is not None]
    return told if 1 < len(told) == len(phrases) else None
