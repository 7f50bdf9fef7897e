"""The plan of a broadcast over HTTP: the days that WhatsApp's messaging limit makes it take."""

from http import HTTPStatus

from fastapi import APIRouter

from server.api_models.plans import PlannedDay, SendingPlan
from server.domain.states import FINAL
from server.parameters import Id
from server.problems import responses
from server.services import broadcast_json, messaging_limits
from server.web_resources import BusinessId, Transaction

router = APIRouter(
    prefix="/broadcasts/{broadcast_id}",
    tags=["Broadcasts"],
    responses=responses(
        HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE
    ),
)


@router.get("/plan")
async def show_plan(broadcast_id: Id, connection: Transaction, business_id: BusinessId) -> SendingPlan:
    """On which days whoever is left is reached, as it looks now. Other broadcasts of the business may change it."""
    shown = await broadcast_json.show(connection, business_id, broadcast_id)
    left = shown["total_recipients"] - shown["processed_count"] - shown["unknown_count"]
    waiting = 0 if shown["status"] in FINAL else left
    room, plan = await messaging_limits.plan(connection, business_id, waiting)
    return SendingPlan(
        recipients=waiting,
        limit=room and room.limit,
        left=room and room.left,
        spread_over_days=shown["spread_over_days"],
        days=[PlannedDay(date=day.date, people=day.people) for day in plan.days],
        later_count=plan.later_count,
    )
