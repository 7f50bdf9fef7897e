"""`clarion wish-replies`: what a business writes back to people who stop, or start again, by a message."""

from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.environment import environment, transact
from server.cli.output import answer_json, say
from server.domain.wishes import Wish

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.services.wish_replies import Texts


def wish_replies(
    business: Annotated[str, typer.Option(help="Name of the business.")],
    stop: Annotated[str | None, typer.Option(help='To whoever stops; "" writes nothing back.')] = None,
    start: Annotated[str | None, typer.Option(help='To whoever starts again; "" writes nothing back.')] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Show or change what is written back, once, to people who stop or start again by a message of their own."""
    from server.services import accounts
    from server.services import wish_replies as replies

    wanted = {wish: said for wish, said in ((Wish.STOP, stop), (Wish.START, start)) if said is not None}

    async def change(connection: "AsyncConnection") -> "Texts":
        return await replies.change(connection, await accounts.find_business(connection, business), wanted)

    with environment(needs_queue=False) as found:
        texts = transact(found.database_url, change)
    if as_json:
        answer_json({"opt_out_reply": texts.stop, "opt_in_reply": texts.start})
        return
    for who, reply in (("stops", texts.stop), ("starts again", texts.start)):
        say(f"Whoever {who} by a message gets " + ("nothing back." if reply is None else f"back: {reply}"))
