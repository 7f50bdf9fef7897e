"""What the API can do, as Swagger UI shows it: for whoever writes a program, so it asks for no sign-in and is English.

Swagger UI lies among our own files, as the browsers of a machine without internet have no other place to take it from.
"""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from server.dashboard.rendering import environment

router = APIRouter()


@router.get("/docs")
async def api_page() -> HTMLResponse:
    """The description of `/openapi.json`, to read and to try."""
    return HTMLResponse(environment().get_template("api.html").render())
