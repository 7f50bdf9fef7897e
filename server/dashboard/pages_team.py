"""The people of a business: who is there, who is invited, who may do what."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from server.dashboard.forms import problems_of
from server.dashboard.rendering import render
from server.dashboard.visitor import PageResources, PageTransaction, SignedIn, allowed_to
from server.domain.audit import AuditAct
from server.domain.errors import BadInput
from server.domain.roles import Permission, Role
from server.parameters import Id
from server.services import audit, invites, team
from server.services.sessions import Visitor

router = APIRouter(prefix="/settings/team", dependencies=[allowed_to(Permission.MANAGE)])
_PAGE: Final = "/settings/team"


@router.get("")
async def show_team(request: Request, visitor: SignedIn, connection: PageTransaction) -> Response:
    """Everybody, and the invites that still open."""
    return await _page(request, visitor, connection)


@router.post("/invites")
async def invite(
    request: Request,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    email: Annotated[str, Form(max_length=320)] = "",
    role: Annotated[Role, Form()] = Role.EDITOR,
) -> Response:
    """Make an invite. Its link is on this page and nowhere else."""
    try:
        token = await invites.make(connection, visitor.business_id, email, role, by=visitor.name)
    except BadInput as error:
        typed = {"email": email, "role": role}
        return await _page(request, visitor, connection, typed=typed, problems=problems_of(error))
    about = {"subject": email.strip(), "detail": role.value}
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.PERSON_INVITED, **about)
    link = str(request.base_url.replace(path=f"/join/{token}"))
    return await _page(request, visitor, connection, link=link, invited=email.strip())


@router.post("/invites/{invite_id}/withdraw")
async def withdraw_invite(
    invite_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Let an invite open nothing any more."""
    email = await invites.withdraw(connection, visitor.business_id, invite_id)
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.INVITE_WITHDRAWN, subject=email)
    return RedirectResponse(_PAGE, status_code=HTTPStatus.SEE_OTHER)


@router.post("/{user_id}/role")
async def change_role(
    user_id: Id,
    visitor: SignedIn,
    connection: PageTransaction,
    resources: PageResources,
    role: Annotated[Role, Form()],
) -> Response:
    """Let somebody do more, or less."""
    before = await team.change_role(connection, visitor.business_id, user_id, role)
    if before is not role:
        person = await team.find(connection, visitor.business_id, user_id)
        about = {"subject": person["email"], "detail": f"{before.value} → {role.value}"}
        await audit.add(connection, visitor.business_id, resources.who, AuditAct.ROLE_CHANGED, **about)
    return RedirectResponse(_PAGE, status_code=HTTPStatus.SEE_OTHER)


@router.post("/{user_id}/remove")
async def remove_person(
    user_id: Id, visitor: SignedIn, connection: PageTransaction, resources: PageResources
) -> Response:
    """Take somebody away; they are signed out at once."""
    person = await team.remove(connection, visitor.business_id, user_id)
    await audit.add(connection, visitor.business_id, resources.who, AuditAct.PERSON_REMOVED, subject=person["email"])
    return RedirectResponse(_PAGE, status_code=HTTPStatus.SEE_OTHER)


async def _page(
    request: Request,
    visitor: Visitor,
    connection: AsyncConnection,
    *,
    typed: dict[str, Any] | None = None,
    problems: dict[str, str] | None = None,
    link: str | None = None,
    invited: str = "",
) -> Response:
    people = await team.listed(connection, visitor.business_id)
    return render(
        request,
        "settings/team.html",
        visitor,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problems else HTTPStatus.OK,
        people=people,
        owners=sum(person["role"] == Role.OWNER for person in people),
        invites=await invites.listed(connection, visitor.business_id),
        typed=typed or {"email": "", "role": Role.EDITOR},
        problems=problems or {},
        link=link,
        invited=invited,
    )
