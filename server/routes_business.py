"""A business over HTTP: its name, and what it has chosen for all its broadcasts."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter

from server.api_models.business import BusinessChange, BusinessShown
from server.domain.errors import BadInput
from server.problems import responses
from server.services import businesses
from server.web_resources import BusinessId, Resources, Transaction

router = APIRouter(
    prefix="/business",
    tags=["Business"],
    responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
)
# What null switches off; everything else a business has to have.
_MAY_BE_NONE: Final = frozenset(("quiet_hours", "frequency_cap", "opt_out_reply", "opt_in_reply", "approval_over"))


@router.get("")
async def show_business(connection: Transaction, business_id: BusinessId) -> BusinessShown:
    """The business of the key, with its settings."""
    return BusinessShown.model_validate(await businesses.show(connection, business_id))


@router.patch("")
async def change_business(wanted: BusinessChange, resources: Resources, business_id: BusinessId) -> BusinessShown:
    """Change settings. Broadcasts that run obey new quiet hours at once; who waits for old ones is looked at again."""
    changes = wanted.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for name, value in changes.items():
        if value is None and name not in _MAY_BE_NONE:
            raise BadInput(f"A business needs its {name}.", pointer=f"/{name}")
    after = await businesses.change(resources.engine, business_id, changes, resources.who)
    return BusinessShown.model_validate(after)
