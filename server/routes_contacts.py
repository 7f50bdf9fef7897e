"""Contacts over HTTP: made, imported, looked at, changed, forgotten, opted out and in; and one person's messages."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from server.api_models.contacts import (
    ConsentPage,
    ContactChanges,
    ContactPage,
    ContactQuery,
    ContactRequest,
    ContactShown,
    ImportShown,
    MessagePage,
    RecipientOfBroadcastPage,
    WishRequest,
)
from server.api_models.shared import country
from server.cursors import page, read_cursor, read_place, write_cursor, write_place
from server.domain.audit import AuditAct
from server.domain.contacts import clean_tags
from server.domain.errors import BadInput, Problem
from server.domain.wishes import Wish
from server.once import Once, OnceInParts
from server.parameters import Cursor, Id, Limit
from server.problems import responses
from server.services import audit, consents, contacts, conversations
from server.services.consents import WishTold
from server.services.contact_imports import Imported, import_contacts
from server.services.contact_lists import ContactRow, Reading, people_of_csv, people_of_lines, people_of_objects
from server.services.contacts import Filters, NewContact
from server.services.conversations import Place
from server.services.csv_lists import CsvList
from server.uploads import CSV, JSON_LINES, media_type_of, opened, spooled
from server.web_resources import BusinessId, Resources, Transaction

_usual = responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
router = APIRouter(prefix="/contacts", tags=["Contacts"], responses=_usual)
people = APIRouter(prefix="/recipients", tags=["Contacts"], responses=_usual)

Country = Annotated[str | None, Query(description="of numbers without a country code, such as IL")]
Phone = Annotated[str, Query(min_length=2, max_length=64, description="with its country code, such as +972501234567")]
Tags = Annotated[list[str], Query(max_length=50)]
_gone = responses(HTTPStatus.NOT_FOUND)
_taken = responses(HTTPStatus.CONFLICT)
_IN_A_REQUEST: Final = "in a request to the API"


@router.get("")
async def list_contacts(
    wanted: Annotated[ContactQuery, Query()], connection: Transaction, business_id: BusinessId
) -> ContactPage:
    """The contacts of the business, in the order in which they came. A page stays right while contacts change."""
    phone = None if wanted.phone is None else _phone(wanted.phone)
    filters = Filters(wanted.tag, wanted.not_tag, phone, wanted.opted_out, wanted.q)
    after_id = read_cursor(wanted.cursor) or 0
    found = await contacts.page(connection, business_id, filters, after_id=after_id, limit=wanted.limit + 1)
    return ContactPage.model_validate(page(found, wanted.limit))


@router.post("", status_code=HTTPStatus.CREATED, responses=_taken)
async def create_contact(
    wanted: ContactRequest, connection: Transaction, business_id: BusinessId, once: Once
) -> ContactShown:
    """Keep a person. 409 where there is a contact with this phone."""
    new = NewContact(wanted.phone, wanted.name, wanted.tags, wanted.attributes, wanted.default_country)
    return await once.keep(await _shown(connection, business_id, await contacts.create(connection, business_id, new)))


@router.post(
    "/import",
    responses=_taken,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "text/csv": {
                    "schema": {"type": "string"},
                    "example": "phone,name,tags,city,opt_in_at\n+972501234567,Dana,vip;north,Haifa,2026-11-01\n",
                },
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "example": '{"phone": "+972501234567", "name": "Dana", "tags": ["vip"], "city": "Haifa"}\n',
                },
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["contacts"],
                        "properties": {"contacts": {"type": "array", "items": {"type": "object"}}},
                    }
                },
            },
        }
    },
)
async def import_list(
    request: Request,
    resources: Resources,
    once: OnceInParts,
    default_country: Country = None,
    phone_column: Annotated[str | None, Query(max_length=200, description="of a CSV file")] = None,
    name_column: Annotated[str | None, Query(max_length=200, description="of a CSV file")] = None,
    tags_column: Annotated[str | None, Query(max_length=200, description="of a CSV file")] = None,
    tag: Annotated[Tags, Query(description="that everybody in the list gets besides")] = [],  # noqa: B006
) -> ImportShown:
    """Take in a list of any size: a CSV file, or a JSON object on each line. Whoever is known by phone is added to."""
    reading = Reading(_country(default_country), name_column, tags_column, _clean_tags(tag))
    is_json = media_type_of(request) not in {CSV, *JSON_LINES}
    async with _rows_of(request, reading, phone_column) as rows, once.under_way(resources.engine):
        done = await import_contacts(resources.engine, once.business_id, rows)
        _refuse_nobody(done, "/contacts/{}" if is_json else "line {}", 1 if is_json else 0)
        async with resources.engine.begin() as connection:
            return await once.keep(connection, ImportShown.model_validate(done, from_attributes=True))


@router.get("/{contact_id}", responses=_gone)
async def show_contact(contact_id: Id, connection: Transaction, business_id: BusinessId) -> ContactShown:
    """One contact."""
    return await _shown(connection, business_id, contact_id)


@router.patch("/{contact_id}", responses={**_gone, **_taken})
async def change_contact(
    contact_id: Id, wanted: ContactChanges, connection: Transaction, business_id: BusinessId
) -> ContactShown:
    """Change what is named. `tags` are all the tags; of `attributes` those that are named; one that is null goes."""
    changes = wanted.model_dump(exclude_unset=True)
    if "phone" in changes and changes["phone"] is None:
        raise BadInput("A contact needs a phone.", pointer="/phone")
    await contacts.change(connection, business_id, contact_id, changes)
    return await _shown(connection, business_id, contact_id)


@router.delete("/{contact_id}", status_code=HTTPStatus.NO_CONTENT, responses=_gone)
async def delete_contact(
    contact_id: Id, connection: Transaction, business_id: BusinessId, resources: Resources
) -> None:
    """Forget a person: phone, name, tags and attributes. An opt-out stays, so that no list brings it back to life."""
    await contacts.forget(connection, business_id, contact_id)
    # By the number alone: whoever is forgotten is not named in what is kept.
    await audit.add(connection, business_id, resources.who, AuditAct.CONTACT_DELETED, subject=str(contact_id))


@router.post("/{contact_id}/opt-out", responses=_gone)
async def opt_out(
    contact_id: Id, request: Request, connection: Transaction, business_id: BusinessId,
    wanted: WishRequest | None = None,
) -> ContactShown:  # fmt: skip
    """Send this person nothing more, from the answer on: in broadcasts that are running, too."""
    return await _tell(connection, business_id, contact_id, Wish.STOP, wanted or WishRequest(), request)


@router.post("/{contact_id}/opt-in", responses=_gone)
async def opt_in(
    contact_id: Id, request: Request, connection: Transaction, business_id: BusinessId,
    wanted: WishRequest | None = None,
) -> ContactShown:  # fmt: skip
    """This person agreed to get messages. Kept with its proof; the latest wish by its own time holds."""
    return await _tell(connection, business_id, contact_id, Wish.START, wanted or WishRequest(), request)


@router.get("/{contact_id}/consents", responses=_gone)
async def list_consents(
    contact_id: Id, connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> ConsentPage:
    """What this person said of messages, the newest told first, each with what proves it."""
    contact = await contacts.show(connection, business_id, contact_id)
    found = await contacts.consents(
        connection, business_id, contact["phone"], before_id=read_cursor(cursor), limit=limit + 1
    )
    return ConsentPage.model_validate(page([{**one, "message_id": one["proof"]} for one in found], limit))


@router.get("/{contact_id}/messages", responses=_gone)
async def list_messages(
    contact_id: Id, connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> MessagePage:
    """Everything that went to this person and came from them, across broadcasts, the newest first."""
    contact = await contacts.show(connection, business_id, contact_id)
    before = None if cursor is None else Place(*read_place(cursor, (conversations.IN, conversations.OUT)))
    found = await conversations.messages(connection, business_id, contact["phone"], before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    next_cursor = None if last is None else write_place(last["at"], last["direction"], last["id"])
    return MessagePage.model_validate({"items": found[:limit], "next_cursor": next_cursor})


@people.get("")
async def find_recipients(
    phone: Phone, connection: Transaction, business_id: BusinessId, limit: Limit = 50, cursor: Cursor = None
) -> RecipientOfBroadcastPage:
    """What became of one person in every broadcast they were in, the newest broadcast first."""
    found = await conversations.across(
        connection, business_id, _phone(phone), before_id=read_cursor(cursor), limit=limit + 1
    )
    next_cursor = write_cursor(found[limit - 1]["broadcast_id"]) if len(found) > limit else None
    return RecipientOfBroadcastPage.model_validate({"items": found[:limit], "next_cursor": next_cursor})


# --- what several of them need


async def _shown(connection: AsyncConnection, business_id: int, contact_id: int) -> ContactShown:
    """The contact, if it is the business's own. Raises `NotFound`."""
    return ContactShown.model_validate(await contacts.show(connection, business_id, contact_id))


async def _tell(
    connection: AsyncConnection, business_id: int, contact_id: int, wish: Wish, wanted: WishRequest, request: Request
) -> ContactShown:
    contact = await contacts.show(connection, business_id, contact_id)
    now = datetime.now(UTC)
    if wanted.at is not None and wanted.at > now:
        raise BadInput("It lies in the future.", pointer="/at")
    asked_from = request.client.host if request.client is not None else None
    await consents.in_turn(connection, business_id)
    told = WishTold(
        business_id,
        contact["phone"],
        wish,
        wanted.source or _IN_A_REQUEST,
        wanted.at or now,
        wanted.message_id,
        ip=str(wanted.ip) if wanted.ip is not None else asked_from,
        note=wanted.note,
    )
    await consents.tell(connection, told)
    return await _shown(connection, business_id, contact_id)


@asynccontextmanager
async def _rows_of(request: Request, reading: Reading, phone_column: str | None) -> AsyncIterator[Iterator[ContactRow]]:
    """The list that a request brings. It has come in whole before it is given out."""
    media_type = media_type_of(request)
    if media_type == CSV:
        async with spooled(request) as file:
            yield _of_csv(await asyncio.to_thread(opened, file, phone_column), reading)
    elif media_type in JSON_LINES:
        async with spooled(request) as file:
            yield people_of_lines(file, reading)
    else:
        yield people_of_objects(_objects(await request.body()), reading)


def _of_csv(file: CsvList, reading: Reading) -> Iterator[ContactRow]:
    try:
        return people_of_csv(file, reading)
    except BadInput as error:
        # What is an option of the command line is a query parameter here.
        pointer = error.problems[0].pointer
        raise BadInput(error.detail, pointer=f"query: {pointer}" if pointer else "") from error


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    contacts: list[dict[str, Any]]


def _objects(body: bytes) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(body, type=_Body).contacts
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(
            "The body is no list of contacts: it should be text/csv, application/x-ndjson, or JSON like "
            '{"contacts": [{"phone": "+972501234567"}]}.'
        ) from error


def _refuse_nobody(done: Imported, where: str, first: int) -> None:
    """Raises `BadInput` for a list without one good row. first: where its rows are counted from in `where`."""
    if done.accepted_count:
        return
    problems = [Problem(where.format(item["row"] - first), item["reason"]) for item in done.rejected]
    raise BadInput("Nobody in this list can be taken in.", problems=problems)


def _phone(raw: str) -> str:
    """A phone of a query. A plus that was not written as %2B arrives as a space."""
    return contacts.phone_of(f"+{raw[1:]}" if raw[0] == " " else raw, None, "query: phone")


def _country(code: str | None) -> str | None:
    try:
        return None if code is None else country(code)
    except ValueError as error:
        raise BadInput(str(error), pointer="query: default_country") from error


def _clean_tags(tags: list[str]) -> list[str]:
    try:
        return clean_tags(tags)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer="query: tag") from error
