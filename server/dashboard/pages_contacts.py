"""Contacts: the list, one person with everything that went to and fro, a new one, a change, and the end of one."""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.csv_export import contacts_csv
from server.cursors import page, read_cursor, read_place, write_place
from server.dashboard.contact_looks import OF_MESSAGES, OF_WISHES
from server.dashboard.forms import as_pairs, problems_of
from server.dashboard.rendering import is_fragment, render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.contacts import clean_tag, tags_in
from server.domain.errors import BadInput, Taken
from server.domain.roles import Permission
from server.domain.sentences import said
from server.parameters import Id
from server.services import audit, contacts, conversations, vocabulary
from server.services.contacts import Filters, NewContact
from server.services.conversations import Place

router = APIRouter(prefix="/contacts")
_KEEPS: Final = [allowed_to(Permission.SEND)]
_A_PAGE: Final = 50
_MESSAGES_SHOWN: Final = 20
_CONSENTS_SHOWN: Final = 100
_COUNTED: Final = 100_000
_STATES: Final = {"in": False, "out": True}

Words = Annotated[str, Query(max_length=200)]
Field = Annotated[str, Form(max_length=10_000)]
Fields = Annotated[list[str] | None, Form(max_length=250)]


def _filters(q: str, tag: str, state: str) -> Filters:
    """What is chosen. Raises `BadInput` for what can be no tag."""
    try:
        tags = [clean_tag(tag)] if tag.strip() else []
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer="query: tag") from error
    return Filters(tags=tags, opted_out=_STATES.get(state), q=q.replace("\x00", "").strip() or None)


@router.get("")
async def list_contacts(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    q: Words = "",
    tag: Words = "",
    state: Words = "",
    cursor: str | None = None,
) -> Response:
    """Everybody, the newest first. What is searched, chosen and turned to stands in the address."""
    chosen = {"q": q, "tag": tag, "state": state if state in _STATES else ""}
    problem, found, before_id = "", [], read_cursor(cursor)
    try:
        found = await contacts.newest(
            connection,
            visitor.business_id,
            _filters(q, tag, state),
            before_id=before_id,
            limit=_A_PAGE + 1,
        )
    except BadInput as error:
        problem = error.detail
    people: dict[str, Any] = page(found, _A_PAGE)
    return render(
        request,
        "contacts/list.html",
        visitor,
        **people,
        chosen=chosen,
        problem=problem,
        tags=[] if is_fragment(request) else await vocabulary.tags(connection, visitor.business_id),
        query=urlencode(chosen),
        is_chosen=any(chosen.values()),
        wishes=OF_WISHES,
    )


@router.get("/count")
async def count_contacts(
    request: Request, visitor: SignedIn, connection: PageTransaction, q: Words = "", tag: Words = "", state: Words = ""
) -> Response:
    """How many the list is, counted after it is shown: the list does not wait for it."""
    found = await contacts.count(connection, visitor.business_id, _filters(q, tag, state), most=_COUNTED + 1)
    return render(request, "contacts/_count.html", visitor, count=found, most=_COUNTED)


@router.get("/contacts.csv")
async def export_contacts(
    visitor: SignedIn, resources: PageResources, q: Words = "", tag: Words = "", state: Words = ""
) -> Response:
    """Those of the list as a file, which an import takes."""
    return contacts_csv(resources.engine, visitor.business_id, _filters(q, tag, state))


# --- a new one, and a change


class ContactForm:
    """What was typed of a contact."""

    def __init__(
        self, phone: Field = "", name: Field = "", tags: Field = "", attribute: Fields = None, value: Fields = None
    ) -> None:
        self.phone, self.name, self.tags = phone, name, tags
        self.pairs = as_pairs(attribute, value)

    @classmethod
    def of(cls, contact: dict[str, Any]) -> "ContactForm":
        """A contact as it would be typed."""
        form = cls(contact["phone"], contact["name"] or "", ", ".join(contact["tags"]))
        form.pairs = sorted(contact["attributes"].items())
        return form


Typed = Annotated[ContactForm, Depends()]


@router.get("/new", dependencies=_KEEPS)
async def new_contact(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """The form of a new contact."""
    return await _form(request, visitor, connection, None, ContactForm(), {})


@router.post("", dependencies=_KEEPS)
async def create_contact(request: Request, visitor: SignedIn, connection: PageTransaction, typed: Typed) -> Response:
    """Keep a person; what cannot be kept is said at its field."""
    try:
        new = NewContact(typed.phone, typed.name, _tags(typed.tags), _attributes(typed.pairs))
        contact_id = await contacts.create(connection, visitor.business_id, new)
    except (BadInput, Taken) as error:
        return await _form(request, visitor, connection, None, typed, problems_of(error, "phone"))
    return _to(contact_id)


@router.get("/{contact_id:int}/edit", dependencies=_KEEPS)
async def edit_contact(request: Request, contact_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """The form of a contact as it stands."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    return await _form(request, visitor, connection, contact, ContactForm.of(contact), {})


@router.post("/{contact_id:int}", dependencies=_KEEPS)
async def change_contact(
    request: Request, contact_id: Id, visitor: SignedIn, connection: PageTransaction, typed: Typed
) -> Response:
    """Keep what was changed; an attribute that is no longer in the form goes."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    try:
        wanted = _attributes(typed.pairs)
        gone = dict.fromkeys(contact["attributes"].keys() - wanted.keys())
        changes: dict[str, Any] = {"phone": typed.phone, "name": typed.name, "tags": _tags(typed.tags)}
        changes["attributes"] = {**gone, **wanted}
        await contacts.change(connection, visitor.business_id, contact_id, changes)
    except (BadInput, Taken) as error:
        return await _form(request, visitor, connection, contact, typed, problems_of(error, "phone"))
    return _to(contact_id)


@router.post("/{contact_id:int}/tags", dependencies=_KEEPS)
async def change_tags(
    contact_id: Id, visitor: SignedIn, connection: PageTransaction, add: Field = "", drop: Field = ""
) -> Response:
    """Add tags, or take one away. Raises `BadInput` for what is no tag."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    tags = sorted({*contact["tags"], *_tags(add)} - {drop})
    await contacts.change(connection, visitor.business_id, contact_id, {"tags": tags})
    return _to(contact_id, "#tags")


# --- one of them


@router.get("/{contact_id:int}")
async def show_contact(
    request: Request,
    contact_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    cursor: str | None = None,
) -> Response:
    """One person: what is known, what they agreed to, and every message to and from them, a page at a time."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    before = None if cursor is None else Place(*read_place(cursor, (conversations.IN, conversations.OUT)))
    messages = await conversations.messages(
        connection, visitor.business_id, contact["phone"], before=before, limit=_MESSAGES_SHOWN + 1
    )
    last = messages[_MESSAGES_SHOWN - 1] if len(messages) > _MESSAGES_SHOWN else None
    consents = await contacts.consents(
        connection, visitor.business_id, contact["phone"], before_id=None, limit=_CONSENTS_SHOWN
    )
    return render(
        request,
        "contacts/one.html",
        visitor,
        contact=contact,
        consents=consents,
        has_proof=any(one["wish"] == "start" for one in consents),
        messages=messages[:_MESSAGES_SHOWN],
        next_cursor=None if last is None else write_place(last["at"], last["direction"], last["id"]),
        is_later_page=cursor is not None,
        known_tags=await vocabulary.tags(connection, visitor.business_id),
        wishes=OF_WISHES,
        message_looks=OF_MESSAGES,
    )


@router.get("/{contact_id:int}/ask/delete", dependencies=_KEEPS)
async def ask_delete(request: Request, contact_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Ask once, and say what it means."""
    contact = await contacts.show(connection, visitor.business_id, contact_id)
    part = "contacts/_ask_delete.html"
    return render(
        request, part if is_fragment(request) else "contacts/ask.html", visitor, contact=contact, question=part
    )


@router.post("/{contact_id:int}/delete", dependencies=_KEEPS)
async def delete_contact(
    contact_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Forget a person; an opt-out stays."""
    await contacts.forget(connection, visitor.business_id, contact_id)
    # By the number alone: whoever is forgotten is not named in what is kept.
    subject = str(contact_id)
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.CONTACT_DELETED, subject=subject)
    return RedirectResponse("/contacts", status_code=HTTPStatus.SEE_OTHER)


# --- what several of them need


async def _form(
    request: Request,
    visitor: SignedIn,
    connection: AsyncConnection,
    contact: dict[str, Any] | None,
    typed: ContactForm,
    problems: dict[str, str],
) -> Response:
    """The form, with what was typed and what is wrong with it."""
    return render(
        request,
        "contacts/form.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        contact=contact,
        typed=typed,
        problems=problems,
        known_tags=await vocabulary.tags(connection, visitor.business_id),
        known_attributes=await vocabulary.attributes(connection, visitor.business_id),
    )


def _tags(cell: str) -> list[str]:
    try:
        return tags_in(cell)
    except ValueError as error:
        raise BadInput(f"{error}.".capitalize(), pointer="/tags") from error


def _attributes(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Attributes as they were typed. Raises `BadInput` for a value without a name, or a name that comes twice."""
    wanted: dict[str, str] = {}
    for name, value in pairs:
        cleaned = " ".join(name.split())
        if not cleaned and value.strip():
            raise BadInput(said('The value "%(value)s" has no name.', value=value[:40]), pointer="/attributes")
        if cleaned in wanted:
            raise BadInput(said('"%(name)s" stands there twice.', name=cleaned), pointer="/attributes")
        if cleaned and value.strip():
            wanted[cleaned] = value
    return wanted


def _to(contact_id: int, place: str = "") -> Response:
    return RedirectResponse(f"/contacts/{contact_id}{place}", status_code=HTTPStatus.SEE_OTHER)
