"""An audience: whom of the contacts a broadcast goes to. Read, checked, described; looked up elsewhere.

    {"tags": ["vip"], "any_tags": ["north", "centre"], "not_tags": ["staff"],
     "where": [{"attribute": "city", "is": "Haifa"}]}

All of it must hold: every tag, one at least of `any_tags`, none of the tags that are ruled out, every condition. An
attribute that a person does not have meets no condition but `exists: false`; so a name that is misspelt finds nobody
rather than everybody.
An audience without any of it is everybody. `{"segment_id": 3}` is an audience that was saved under a name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from server.domain.contacts import LONGEST_ATTRIBUTE, LONGEST_VALUE, NAME, PHONE, clean_tag, one_way
from server.domain.errors import BadInput, Problem
from server.domain.sentences import said

MOST_TAGS: Final = 50
MOST_CONDITIONS: Final = 50
_LARGEST_ID: Final = 2**63 - 1
_KEYS: Final = ("tags", "any_tags", "not_tags", "where", "segment_id")


class Operator(StrEnum):
    """How an attribute is looked at. Texts are compared as they are written, capitals included."""

    IS = "is"
    IS_NOT = "is_not"  # has the attribute, with another value
    CONTAINS = "contains"
    EXISTS = "exists"  # true or false


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold. value: a text; of `exists` whether it should be there.

    attribute: or `name`, or `phone`.
    """

    attribute: str
    operator: Operator
    value: str | bool


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom of the contacts. segment_id: the audience that was saved under this number, and nothing beside it."""

    tags: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    segment_id: int | None = None
    any_tags: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `parse` reads it."""
        if self.segment_id is not None:
            return {"segment_id": self.segment_id}
        where = [{"attribute": one.attribute, one.operator.value: one.value} for one in self.where]
        any_tags = {"any_tags": list(self.any_tags)} if self.any_tags else {}
        return {"tags": list(self.tags), **any_tags, "not_tags": list(self.not_tags), "where": where}


@dataclass(frozen=True, slots=True)
class Person:
    """A contact, as far as an audience looks at it."""

    phone: str
    name: str | None
    tags: frozenset[str]
    attributes: Mapping[str, str]

    def value_of(self, attribute: str) -> str | None:
        """What stands under a name, in a condition as in a message."""
        if attribute == NAME:
            return self.name
        return self.phone if attribute == PHONE else self.attributes.get(attribute)


def parse(raw: Mapping[str, Any], pointer: str = "/audience") -> Audience:
    """An audience as a person wrote it. pointer: where it stands in what they wrote.

    Raises `BadInput` with everything that is wrong with it.
    """
    problems = [Problem(f"{pointer}/{key}", _NO_SUCH_KEY) for key in raw if key not in _KEYS]
    segment_id = raw.get("segment_id")
    if segment_id is not None:
        problems += _problems_of_segment(raw, segment_id, pointer)
    tags = _tags(raw.get("tags"), f"{pointer}/tags", problems)
    any_tags = _tags(raw.get("any_tags"), f"{pointer}/any_tags", problems)
    not_tags = _tags(raw.get("not_tags"), f"{pointer}/not_tags", problems)
    for tag in sorted({*tags, *any_tags} & set(not_tags)):
        problems.append(
            Problem(f"{pointer}/not_tags", said('The tag "%(tag)s" is asked for and ruled out at once.', tag=tag))
        )
    where = _conditions(raw.get("where"), f"{pointer}/where", problems)
    if problems:
        detail = problems[0].detail if len(problems) == 1 else said("The audience cannot be used.")
        raise BadInput(detail, problems=problems)
    return (
        Audience(segment_id=segment_id) if segment_id is not None else Audience(tags, not_tags, where, None, any_tags)
    )


_NO_SUCH_KEY: Final = f"There is no such field; an audience has {', '.join(_KEYS)}."


def _problems_of_segment(raw: Mapping[str, Any], segment_id: object, pointer: str) -> Iterator[Problem]:
    if isinstance(segment_id, bool) or not isinstance(segment_id, int) or not 1 <= segment_id <= _LARGEST_ID:
        yield Problem(f"{pointer}/segment_id", "It should be the number of a saved segment.")
    if any(raw.get(key) for key in _KEYS if key != "segment_id"):
        yield Problem(pointer, "A saved segment stands alone: leave out tags, any_tags, not_tags and where.")


def _tags(raw: object, pointer: str, problems: list[Problem]) -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list) or not all(isinstance(tag, str) for tag in raw):
        problems.append(Problem(pointer, "It should be a list of tags."))
        return ()
    if len(raw) > MOST_TAGS:
        problems.append(
            Problem(pointer, said("It has %(count)s tags; %(most)s are taken.", count=len(raw), most=MOST_TAGS))
        )
        return ()
    tags = []
    for place, tag in enumerate(raw):
        try:
            tags.append(clean_tag(tag))
        except ValueError as error:
            problems.append(Problem(f"{pointer}/{place}", _sentence(error)))
    return tuple(dict.fromkeys(tags))


def _conditions(raw: object, pointer: str, problems: list[Problem]) -> tuple[Condition, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        problems.append(Problem(pointer, "It should be a list of conditions."))
        return ()
    if len(raw) > MOST_CONDITIONS:
        problems.append(
            Problem(
                pointer, said("It has %(count)s conditions; %(most)s are taken.", count=len(raw), most=MOST_CONDITIONS)
            )
        )
        return ()
    conditions = []
    for place, item in enumerate(raw):
        try:
            conditions.append(_condition(item))
        except ValueError as error:
            problems.append(Problem(f"{pointer}/{place}", str(error)))
    return tuple(conditions)


def _condition(raw: object) -> Condition:
    if not isinstance(raw, Mapping):
        raise ValueError(_SHAPE)  # noqa: TRY004 - what a person wrote, not what a caller passed
    # A field that is null is as one that is not there.
    given = {key: value for key, value in raw.items() if value is not None}
    attribute = given.pop("attribute", None)
    operators = [key for key in given if key in set(Operator)]
    if not isinstance(attribute, str) or len(operators) != 1 or len(given) != 1:
        raise ValueError(_SHAPE)
    attribute = " ".join(one_way(attribute).split())
    if not 1 <= len(attribute) <= LONGEST_ATTRIBUTE:
        raise ValueError(said("The name of an attribute has 1 to %(most)s characters.", most=LONGEST_ATTRIBUTE))
    operator = Operator(operators[0])
    return Condition(attribute, operator, _value(operator, given[operator]))


def _value(operator: Operator, value: object) -> str | bool:
    if operator is Operator.EXISTS:
        if not isinstance(value, bool):
            raise ValueError("`exists` is true or false.")
        return value
    if not isinstance(value, str) or not 1 <= len(one_way(value)) <= LONGEST_VALUE:
        raise ValueError(said("`%(name)s` is a text of 1 to %(most)s characters.", name=operator, most=LONGEST_VALUE))
    return one_way(value)


_SHAPE: Final = f'A condition is like {{"attribute": "city", "is": "Haifa"}}, with one of {", ".join(Operator)}.'


def _sentence(error: ValueError) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."


def matches(audience: Audience, person: Person) -> bool:
    """Whether somebody is in an audience: the meaning that the look-up in the database is held against.

    The audience is not a saved one: that is resolved first.
    """
    return (
        person.tags.issuperset(audience.tags)
        and (not audience.any_tags or not person.tags.isdisjoint(audience.any_tags))
        and person.tags.isdisjoint(audience.not_tags)
        and all(_holds(condition, person.value_of(condition.attribute)) for condition in audience.where)
    )


def _holds(condition: Condition, value: str | None) -> bool:
    match condition.operator:
        case Operator.EXISTS:
            return (value is not None) is condition.value
        case Operator.IS:
            return value == condition.value
        case Operator.IS_NOT:
            return value is not None and value != condition.value
        case Operator.CONTAINS:
            return value is not None and str(condition.value) in value


def describe(audience: Audience) -> str:
    """Who it is, in words and without a full stop: `everybody tagged vip, not tagged staff, whose city is Haifa`."""
    if audience.segment_id is not None:
        return said("everybody in segment %(segment)s", segment=audience.segment_id)
    parts = []
    if audience.tags:
        parts.append(said("tagged %(tags)s", tags=_listed(audience.tags, "and")))
    if audience.any_tags:
        parts.append(said("tagged %(tags)s", tags=_listed(audience.any_tags, "or")))
    if audience.not_tags:
        parts.append(said("not tagged %(tags)s", tags=_listed(audience.not_tags, "or")))
    parts += [_in_words(condition) for condition in audience.where]
    return said("everybody %(parts)s", parts=", ".join(parts)) if parts else said("everybody")


def _in_words(condition: Condition) -> str:
    name = condition.attribute
    match condition.operator:
        case Operator.EXISTS:
            if condition.value:
                return said("with a value for %(name)s", name=name)
            return said("without a value for %(name)s", name=name)
        case Operator.IS:
            return said("whose %(name)s is %(value)s", name=name, value=condition.value)
        case Operator.IS_NOT:
            return said("whose %(name)s is not %(value)s", name=name, value=condition.value)
        case Operator.CONTAINS:
            return said("whose %(name)s contains %(value)s", name=name, value=condition.value)


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
