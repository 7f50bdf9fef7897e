"""What the forms of a broadcast that is written say, as the services take it. Raises `BadInput` at the field."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timezone
from typing import Any, Final

from pydantic import ValidationError
from starlette.datastructures import FormData

from server.api_models.messages import TemplateMessage
from server.domain.blanks import Blank, filled
from server.domain.canary import Bounds
from server.domain.errors import BadInput, Problem
from server.domain.invalid_values import in_plain_words
from server.domain.phones import is_country
from server.domain.sentences import said

LONGEST_NAME: Final = 200
_CONDITIONS: Final[Mapping[str, tuple[str, bool | None]]] = {
    "is": ("is", None),
    "is_not": ("is_not", None),
    "contains": ("contains", None),
    "exists": ("exists", True),
    "lacks": ("exists", False),
}


def text_in(form: FormData, name: str) -> str:
    """What stands in a field; a character that no database keeps is left out."""
    value = form.get(name, "")
    return value.replace("\x00", "").strip() if isinstance(value, str) else ""


def texts_in(form: FormData, name: str) -> list[str]:
    """What stands in each field of this name."""
    return [value.replace("\x00", "").strip() for value in form.getlist(name) if isinstance(value, str)]


def name_in(form: FormData, otherwise: str) -> str:
    """The name of the broadcast; nobody has to think of one."""
    name = text_in(form, "name") or otherwise
    if len(name) > LONGEST_NAME:
        raise BadInput(said("A name has at most %(most)s characters.", most=LONGEST_NAME), pointer="/name")
    return name


def country_in(form: Mapping[str, Any]) -> str | None:
    """The country of numbers without a country code."""
    code = str(form.get("country") or "").strip().upper()
    if code and not is_country(code):
        raise BadInput(said('"%(name)s" is not a country.', name=code[:10]), pointer="/default_country")
    return code or None


def message_in(form: FormData, blanks: Sequence[Blank], message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with its blanks as they were filled: each from a column, or with a text."""
    given = {}
    for blank in blanks:
        column = text_in(form, f"from.{blank.field}")
        given[blank.field] = f"{{{{{column}}}}}" if column else text_in(form, f"text.{blank.field}")
    made = filled(message, blanks, given)
    try:
        checked = TemplateMessage.model_validate(made["template"])
    except ValidationError as error:
        problems = [
            Problem(
                "/".join(("/template", *map(str, one["loc"]))),
                in_plain_words(one["type"], one.get("ctx", {}), one["msg"]),
            )
            for one in error.errors()
        ]
        raise BadInput(problems[0].detail, problems=problems) from error
    return {"template": checked.model_dump(exclude_none=True, exclude_defaults=True)}


def audience_in(form: FormData) -> dict[str, Any]:
    """Whom of the contacts, as an audience is written."""
    segment = text_in(form, "segment")
    if segment:
        return {"segment_id": _whole(segment, "/audience/segment_id")}
    rows = zip(texts_in(form, "attribute"), texts_in(form, "operator"), texts_in(form, "value"), strict=False)
    where = []
    for attribute, chosen, value in rows:
        if attribute:
            operator, fixed = _CONDITIONS.get(chosen, ("is", None))
            where.append({"attribute": attribute, operator: value if fixed is None else fixed})
    return {"tags": _tags(form, "tags"), "not_tags": _tags(form, "not_tags"), "where": where}


def names_somebody(form: FormData) -> bool:
    """Whether anything of an audience is chosen."""
    chosen = [text_in(form, name) for name in ("segment", "tags", "not_tags")]
    return any([*chosen, *texts_in(form, "attribute")])


def settings_in(form: FormData) -> dict[str, Any]:
    """When it starts, how fast, and how carefully. Raises `BadInput` with everything that is wrong."""
    rate = text_in(form, "rate")
    found: dict[str, Any] = {
        "scheduled_at": None,
        "by_local_time": text_in(form, "when") == "local",
        "rate_limit": None,
        "canary": None,
        "spread_over_days": bool(text_in(form, "spread")),
    }
    given: dict[str, Callable[[], Any]] = {}
    if text_in(form, "when") in ("later", "local"):
        given["scheduled_at"] = lambda: _instant_in(form)
    if rate:
        given["rate_limit"] = lambda: _whole(rate, "/rate_limit")
    if text_in(form, "canary"):
        given["canary"] = lambda: _bounds_in(form)
    problems: list[Problem] = []
    for name, read in given.items():
        try:
            found[name] = read()
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems[0].detail, problems=problems)
    return found


def bounds_of(kept: Mapping[str, Any] | None) -> Bounds | None:
    """A canary as a row keeps it."""
    return None if kept is None else Bounds(**kept)


def _tags(form: FormData, name: str) -> list[str]:
    return [tag.strip() for tag in text_in(form, name).replace(";", ",").split(",") if tag.strip()]


def _instant_in(form: FormData) -> datetime:
    """`at` has the reader's offset, as their browser knows it; without a script `local` is in UTC."""
    written = text_in(form, "at") or text_in(form, "local")
    try:
        instant = datetime.fromisoformat(written)
    except ValueError as error:
        raise BadInput("Choose a day and a time.", pointer="/scheduled_at") from error
    if not 2000 <= instant.year < 9999:
        raise BadInput("Choose a day of this century.", pointer="/scheduled_at")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else _as_typed(instant, text_in(form, "local"))


def _as_typed(instant: datetime, typed: str) -> datetime:
    """The same instant in the offset in which it reads as it was typed: by each person's clock that alone counts."""
    try:
        offset = datetime.fromisoformat(typed).replace(tzinfo=UTC) - instant
        return instant.astimezone(timezone(offset))
    except ValueError:
        return instant  # nothing was typed, or what no clock on earth is off by


def _bounds_in(form: FormData) -> Bounds:
    usual = Bounds()
    return Bounds(
        failed_percent=_percent(form, "failed_percent", usual.failed_percent),
        opted_out_percent=_percent(form, "opted_out_percent", usual.opted_out_percent),
        wait_minutes=_minutes(form, usual.wait_minutes),
    )


def _percent(form: FormData, name: str, usual: float) -> float:
    written = text_in(form, name).replace(",", ".")
    try:
        percent = float(written or usual)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise BadInput("It is from 0 to 100 %.", pointer=f"/canary/{name}")
    return percent


def _minutes(form: FormData, usual: int) -> int:
    minutes = _whole(text_in(form, "wait_minutes") or str(usual), "/canary/wait_minutes")
    if not 1 <= minutes <= 1_440:
        raise BadInput("It is from 1 minute to 1,440, which is a day.", pointer="/canary/wait_minutes")
    return minutes


def _whole(written: str, pointer: str) -> int:
    if not (written.isascii() and written.isdecimal() and len(written) <= 12):
        raise BadInput("It should be a whole number.", pointer=pointer)
    return int(written)
