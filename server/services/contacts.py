"""The people of a business: made, looked at, changed and forgotten, one at a time or a page at a time.

Who opted out is said by `suppressions` alone, by phone; so a person who is deleted and comes back is still opted out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.contacts import LONGEST_NAME, clean_attributes, clean_name, clean_tags
from server.domain.errors import BadInput, NotFound, Taken
from server.domain.phones import normalise
from server.domain.sentences import said
from server.models import ConsentChange, Contact, Suppression

_CONSENT: Final = ("id", "wish", "source", "proof", "at", "ip", "note", "recorded_at")


@dataclass(frozen=True, slots=True)
class NewContact:
    """A person as somebody tells of them. phone: as it is written, in `default_country` where it names none."""

    phone: str
    name: str | None = None
    tags: Sequence[str] = ()
    attributes: Mapping[str, Any] | None = None
    default_country: str | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which contacts to look at; all of it must hold. phone: E.164. q: a part of the name or of the phone."""

    tags: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    phone: str | None = None
    opted_out: bool | None = None
    q: str | None = None


def phone_of(raw: str, default_country: str | None, pointer: str = "/phone") -> str:
    """A phone as it is kept. Raises `BadInput`."""
    try:
        return normalise(raw.strip(), default_country)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer=pointer) from error


async def create(connection: AsyncConnection, business_id: int, new: NewContact) -> int:
    """A new contact. Returns its id. Raises `BadInput`, or `Taken` where there is one with this phone."""
    phone = phone_of(new.phone, new.default_country)
    values = {"business_id": business_id, "phone": phone, "name": _name(new.name), "tags": _tags(new.tags)}
    values["attributes"] = _attributes(new.attributes or {})
    try:
        async with connection.begin_nested():
            return int(await connection.scalar(insert(Contact).values(values).returning(Contact.id)) or 0)
    except IntegrityError as error:
        raise await _taken(connection, business_id, phone) from error


async def show(connection: AsyncConnection, business_id: int, contact_id: int) -> dict[str, Any]:
    """One contact. Raises `NotFound`, for another business's as well."""
    row = (await connection.execute(_shown(business_id).where(Contact.id == contact_id))).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no contact %(number)s.", number=contact_id))
    return dict(row)


async def page(
    connection: AsyncConnection, business_id: int, filters: Filters, *, after_id: int, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` contacts with larger ids than `after_id`: what changes meanwhile moves none of them."""
    statement = _shown(business_id).where(Contact.id > after_id, *_conditions(filters))
    rows = await connection.execute(statement.order_by(Contact.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def newest(
    connection: AsyncConnection, business_id: int, filters: Filters, *, before_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` contacts, the newest first. before_id: the last one of the page before."""
    statement = _shown(business_id).where(*_conditions(filters))
    if before_id is not None:
        statement = statement.where(Contact.id < before_id)
    rows = await connection.execute(statement.order_by(Contact.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def count(connection: AsyncConnection, business_id: int, filters: Filters, *, most: int) -> int:
    """How many contacts there are, counted up to `most`: one that a name is looked for in reads no further."""
    found = _shown(business_id).with_only_columns(Contact.id).where(*_conditions(filters)).limit(most).subquery()
    return int(await connection.scalar(select(func.count()).select_from(found)) or 0)


async def change(connection: AsyncConnection, business_id: int, contact_id: int, changes: Mapping[str, Any]) -> None:
    """Change what is named: `phone`, `name`, `tags` (all of them), `attributes` (those named; an empty one goes).

    Raises `NotFound`; `BadInput`; `Taken` where another contact has the phone.
    """
    row = (
        await connection.execute(
            select(Contact.attributes)
            .where(Contact.id == contact_id, Contact.business_id == business_id)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFound(said("There is no contact %(number)s.", number=contact_id))
    values: dict[str, Any] = {}
    if "phone" in changes:
        values["phone"] = phone_of(changes["phone"], changes.get("default_country"))
    if "name" in changes:
        values["name"] = _name(changes["name"])
    if "tags" in changes:
        values["tags"] = _tags(changes["tags"] or ())
    if "attributes" in changes:
        values["attributes"] = _merged(row.attributes, changes["attributes"] or {})
    statement = update(Contact).where(Contact.id == contact_id).values(**values, updated_at=func.now())
    try:
        async with connection.begin_nested():
            await connection.execute(statement)
    except IntegrityError as error:
        raise await _taken(connection, business_id, values["phone"]) from error


async def forget(connection: AsyncConnection, business_id: int, contact_id: int) -> None:
    """Delete a contact with name, tags and attributes. An opt-out of its phone stays. Raises `NotFound`."""
    statement = delete(Contact).where(Contact.id == contact_id, Contact.business_id == business_id)
    if await connection.scalar(statement.returning(Contact.id)) is None:
        raise NotFound(said("There is no contact %(number)s.", number=contact_id))


async def consents(
    connection: AsyncConnection, business_id: int, phone: str, *, before_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """What a person said of messages, the newest told first, each with what proves it."""
    statement = select(*(getattr(ConsentChange, column) for column in _CONSENT)).where(
        ConsentChange.business_id == business_id, ConsentChange.phone == phone
    )
    if before_id is not None:
        statement = statement.where(ConsentChange.id < before_id)
    rows = await connection.execute(statement.order_by(ConsentChange.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def _shown(business_id: int) -> Select[Any]:
    return (
        select(
            Contact.id,
            Contact.phone,
            Contact.name,
            Contact.tags,
            Contact.attributes,
            Contact.created_at,
            Contact.updated_at,
            Suppression.phone.is_not(None).label("opted_out"),
            Suppression.created_at.label("opted_out_at"),
            Suppression.reason.label("opted_out_reason"),
        )
        .join_from(
            Contact,
            Suppression,
            (Suppression.business_id == Contact.business_id) & (Suppression.phone == Contact.phone),
            isouter=True,
        )
        .where(Contact.business_id == business_id)
    )


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.tags:
        found.append(Contact.tags.contains(_tags(filters.tags, "query: tag")))
    if filters.not_tags:
        found.append(~Contact.tags.overlap(_tags(filters.not_tags, "query: not_tag")))
    if filters.phone is not None:
        found.append(Contact.phone == filters.phone)
    if filters.opted_out is not None:
        found.append(Suppression.phone.is_not(None) if filters.opted_out else Suppression.phone.is_(None))
    if filters.q and filters.q.strip():
        words = filters.q.strip()[:LONGEST_NAME]
        # A part of a phone is looked for by its digits, however they are grouped.
        digits = "".join(filter(str.isdecimal, words)) if not any(map(str.isalpha, words)) else ""
        in_name = Contact.name.icontains(words, autoescape=True)
        found.append(or_(in_name, Contact.phone.contains(digits.lstrip("0"))) if digits.lstrip("0") else in_name)
    return found


def _name(name: str | None) -> str | None:
    try:
        return clean_name(name)
    except ValueError as error:
        raise _bad(error, "/name") from error


def _tags(tags: Sequence[str], pointer: str = "/tags") -> list[str]:
    try:
        return clean_tags(tags)
    except ValueError as error:
        raise _bad(error, pointer) from error


def _attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    try:
        return clean_attributes(attributes)
    except ValueError as error:
        raise _bad(error, "/attributes") from error


def _merged(before: Mapping[str, str], changes: Mapping[str, Any]) -> dict[str, str]:
    gone = [" ".join(name.split()) for name, value in changes.items() if value is None or not str(value).strip()]
    kept = {name: value for name, value in before.items() if name not in gone}
    return _attributes({**kept, **_attributes(changes)})


def _bad(error: ValueError, pointer: str) -> BadInput:
    words = str(error)
    return BadInput(f"{words[:1].upper()}{words[1:]}.", pointer=pointer)


async def _taken(connection: AsyncConnection, business_id: int, phone: str) -> Taken:
    statement = select(Contact.id).where(Contact.business_id == business_id, Contact.phone == phone)
    return Taken(
        said(
            "Contact %(number)s has the phone %(phone)s already.",
            number=await connection.scalar(statement),
            phone=phone,
        )
    )
