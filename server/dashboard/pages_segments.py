"""Segments: audiences that are saved under a name, with how many they are now."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.cursors import page, read_cursor
from server.dashboard.rendering import is_fragment, render
from server.dashboard.visitor import PageTransaction, SignedIn, allowed_to
from server.domain.audience import describe, parse
from server.domain.errors import BadInput, Taken
from server.domain.roles import Permission
from server.domain.sentences import said
from server.parameters import Id
from server.services import segments, snapshots, vocabulary
from server.services.sessions import Visitor

router = APIRouter(prefix="/contacts/segments")
_KEEPS: Final = [allowed_to(Permission.SEND)]
_A_PAGE: Final = 30
_LONGEST_NAME: Final = 200
_BLANK: Final = {"attribute": "", "operator": "is", "value": ""}
_FEWEST_ROWS: Final = 2
Texts = Annotated[list[str] | None, Form(max_length=60)]


class SegmentForm:
    """What was typed: a name, tags with how they are meant, and conditions."""

    def __init__(
        self,
        name: Annotated[str, Form(max_length=1_000)] = "",
        tags: Annotated[str, Form(max_length=10_000)] = "",
        match: Annotated[str, Form(max_length=3)] = "all",
        not_tags: Annotated[str, Form(max_length=10_000)] = "",
        attribute: Texts = None,
        operator: Texts = None,
        value: Texts = None,
    ) -> None:
        self.name, self.tags, self.match, self.not_tags = name.strip(), tags, match, not_tags
        rows = zip(attribute or [], operator or [], value or [], strict=False)
        self.where = [
            {"attribute": one, "operator": how, "value": what} for one, how, what in rows if one.strip() or what.strip()
        ]

    @classmethod
    def of(cls, name: str, audience: dict[str, Any]) -> "SegmentForm":
        """A segment as it would be typed."""
        any_tags = audience.get("any_tags") or []
        form = cls(
            name,
            ", ".join(any_tags or audience.get("tags") or []),
            "any" if any_tags else "all",
            ", ".join(audience.get("not_tags") or []),
        )
        form.where = [_typed(condition) for condition in audience.get("where") or []]
        return form

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of the form: what was typed, and one more."""
        blanks = max(1, _FEWEST_ROWS - len(self.where))
        return [*self.where, *([_BLANK] * blanks)]

    def raw(self) -> dict[str, Any]:
        """The audience, as `domain/audience.py` reads it."""
        where = []
        for row in self.where:
            match row["operator"]:
                case "exists" | "exists_not":
                    condition: dict[str, Any] = {"exists": row["operator"] == "exists"}
                case operator:
                    condition = {operator: row["value"]}
            where.append({"attribute": row["attribute"], **condition})
        tags = _split(self.tags)
        wanted = {"any_tags": tags} if self.match == "any" else {"tags": tags}
        return {**wanted, "not_tags": _split(self.not_tags), "where": where}


Typed = Annotated[SegmentForm, Depends()]


@router.get("")
async def list_segments(
    request: Request, visitor: SignedIn, connection: PageTransaction, cursor: str | None = None
) -> Response:
    """Every segment, described; how many each is comes after the page."""
    after_id = read_cursor(cursor) or 0
    found = await segments.page(connection, visitor.business_id, after_id=after_id, limit=_A_PAGE + 1)
    shown: dict[str, Any] = page(found, _A_PAGE)
    for segment in shown["items"]:
        segment["description"] = describe(parse(segment["audience"]))
    return render(request, "contacts/segments.html", visitor, **shown)


@router.get("/new", dependencies=_KEEPS)
async def new_segment(request: Request, visitor: SignedIn, connection: PageTransaction, tag: str = "") -> Response:
    """The form of a new segment."""
    return await _form(request, visitor, connection, None, SegmentForm(tags=tag), {})


@router.post("", dependencies=_KEEPS)
async def create_segment(request: Request, visitor: SignedIn, connection: PageTransaction, typed: Typed) -> Response:
    """Save an audience under a name."""
    try:
        _check_name(typed.name)
        await segments.create(connection, visitor.business_id, typed.name, typed.raw())
    except (BadInput, Taken) as error:
        return await _form(request, visitor, connection, None, typed, _problems(error))
    return _to_list()


@router.post("/count")
async def count_segment(request: Request, visitor: SignedIn, connection: PageTransaction, typed: Typed) -> Response:
    """How many it would be, while it is typed."""
    try:
        look = await snapshots.look(connection, visitor.business_id, parse(typed.raw()))
    except BadInput as error:
        detail = error.problems[0].detail
        return render(request, "contacts/_segment_size.html", visitor, look=None, problem=detail)
    return render(request, "contacts/_segment_size.html", visitor, look=look, problem="")


@router.get("/{segment_id:int}")
async def show_segment(request: Request, segment_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """One segment, to change it."""
    segment = await segments.show(connection, visitor.business_id, segment_id)
    return await _form(request, visitor, connection, segment, SegmentForm.of(segment["name"], segment["audience"]), {})


@router.get("/{segment_id:int}/size")
async def show_size(request: Request, segment_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """How many a segment is now."""
    segment = await segments.show(connection, visitor.business_id, segment_id)
    look = await snapshots.look(connection, visitor.business_id, parse(segment["audience"]))
    return render(request, "contacts/_segment_size.html", visitor, look=look, problem="")


@router.post("/{segment_id:int}", dependencies=_KEEPS)
async def change_segment(
    request: Request, segment_id: Id, visitor: SignedIn, connection: PageTransaction, typed: Typed
) -> Response:
    """Change it; broadcasts that have yet to take it take the new one."""
    segment = await segments.show(connection, visitor.business_id, segment_id)
    try:
        _check_name(typed.name)
        changes = {"name": typed.name, "audience": typed.raw()}
        await segments.change(connection, visitor.business_id, segment_id, changes)
    except (BadInput, Taken) as error:
        return await _form(request, visitor, connection, segment, typed, _problems(error))
    return _to_list()


@router.get("/{segment_id:int}/ask/delete", dependencies=_KEEPS)
async def ask_delete_segment(
    request: Request, segment_id: Id, visitor: SignedIn, connection: PageTransaction
) -> Response:
    """Ask once, and say what it means."""
    segment = await segments.show(connection, visitor.business_id, segment_id)
    part = "contacts/_ask_delete_segment.html"
    template = part if is_fragment(request) else "contacts/ask.html"
    return render(request, template, visitor, segment=segment, contact=None, question=part)


@router.post("/{segment_id:int}/delete", dependencies=_KEEPS)
async def delete_segment(segment_id: Id, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Delete it; its people stay. Raises `Taken` while a broadcast has yet to take it."""
    await segments.forget(connection, visitor.business_id, segment_id)
    return _to_list()


# --- what several of them need


async def _form(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    segment: dict[str, Any] | None,
    typed: SegmentForm,
    problems: dict[str, str],
) -> Response:
    try:
        look = await snapshots.look(connection, visitor.business_id, parse(typed.raw()))
    except BadInput:
        look = None
    return render(
        request,
        "contacts/segment.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        segment=segment,
        typed=typed,
        look=look,
        problems=problems,
        known_tags=await vocabulary.tags(connection, visitor.business_id),
        known_attributes=await vocabulary.attributes(connection, visitor.business_id),
    )


def _problems(error: BadInput | Taken) -> dict[str, str]:
    """What to say at the name, the tags, the tags that are ruled out, and the conditions."""
    if not isinstance(error, BadInput):
        return {"name": str(error)}
    found: dict[str, str] = {}
    for problem in error.problems:
        parts = problem.pointer.split("/")
        field = parts[2] if len(parts) > 2 else "name"
        found.setdefault("tags" if field == "any_tags" else field, problem.detail)
    return found


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _LONGEST_NAME or "\x00" in name:
        raise BadInput(
            said("A segment needs a name of 1 to %(most)s characters.", most=_LONGEST_NAME), pointer="/segment/name"
        )


def _split(cell: str) -> list[str]:
    return [tag for tag in cell.replace(";", ",").replace("|", ",").split(",") if tag.strip()]


def _typed(condition: dict[str, Any]) -> dict[str, str]:
    operator, value = next((key, value) for key, value in condition.items() if key != "attribute")
    if operator == "exists":
        return {**_BLANK, "attribute": condition["attribute"], "operator": "exists" if value else "exists_not"}
    return {"attribute": condition["attribute"], "operator": operator, "value": value}


def _to_list() -> Response:
    return RedirectResponse("/contacts/segments", status_code=HTTPStatus.SEE_OTHER)
