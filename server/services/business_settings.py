"""What a business chooses for itself."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, Problem
from server.domain.evidence import UnknownPolicy
from server.models import Business

MOST_WORDS: Final = 100
LONGEST_WORD: Final = 60
LONGEST_NAME: Final = 200
LARGEST_APPROVAL: Final = 2_000_000_000


class Choices(NamedTuple):
    """What can be chosen.

    stop_words, start_words: beside those of every language. approval_over: people; None for no approval.
    """

    name: str
    unknown_policy: UnknownPolicy
    stop_words: Sequence[str]
    start_words: Sequence[str]
    approval_over: int | None


async def read(connection: AsyncConnection, business_id: int) -> Choices:
    """What a business has chosen."""
    columns = (
        Business.name,
        Business.unknown_policy,
        Business.stop_words,
        Business.start_words,
        Business.approval_over,
    )
    row = (await connection.execute(select(*columns).where(Business.id == business_id))).one()
    return Choices(row.name, UnknownPolicy(row.unknown_policy), row.stop_words, row.start_words, row.approval_over)


async def change(connection: AsyncConnection, business_id: int, wanted: Choices) -> list[str]:
    """Choose anew. Returns the names of what is different now. Raises `BadInput` with all that is wrong."""
    cleaned = wanted._replace(
        name=" ".join(wanted.name.split()),
        stop_words=_words(wanted.stop_words),
        start_words=_words(wanted.start_words),
    )
    if problems := _problems(cleaned):
        raise BadInput(problems[0].detail, problems=problems)
    before = await read(connection, business_id)
    values: dict[str, Any] = {
        name: value for name, value in cleaned._asdict().items() if value != getattr(before, name)
    }
    if not values:
        return []
    try:
        async with connection.begin_nested():
            await connection.execute(update(Business).where(Business.id == business_id).values(values))
    except IntegrityError as error:
        raise BadInput("Another business here has this name.", pointer="/name") from error
    return list(values)


def _words(words: Sequence[str]) -> list[str]:
    """Each once, in the order in which they were written."""
    return list(dict.fromkeys(word for word in (" ".join(raw.split()) for raw in words) if word))


def _problems(wanted: Choices) -> list[Problem]:
    found = []
    if not 0 < len(wanted.name) <= LONGEST_NAME or "\x00" in wanted.name:
        found.append(Problem("/name", f"A business needs a name, of at most {LONGEST_NAME} characters."))
    for field in ("stop_words", "start_words"):
        words = getattr(wanted, field)
        if len(words) > MOST_WORDS or any(len(word) > LONGEST_WORD or "\x00" in word for word in words):
            detail = f"At most {MOST_WORDS} words or phrases, of at most {LONGEST_WORD} characters each."
            found.append(Problem(f"/{field}", detail))
    if wanted.approval_over is not None and not 0 <= wanted.approval_over <= LARGEST_APPROVAL:
        found.append(Problem("/approval_over", "This is a number of people, such as 1000; empty for never."))
    return found
