"""What the page of a broadcast that is written shows: the draft, how far each step is, and the phone beside it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from server.dashboard.looks import N_
from server.domain.audience import describe, parse
from server.domain.blanks import Blank, Kind, blanks_of, filled
from server.domain.errors import BadInput, NotFound, Problem
from server.domain.messages import columns_of
from server.domain.people_findings import DUPLICATE
from server.domain.phones import normalise
from server.domain.template_parts import Shown, shown_to
from server.services import compositions, numbers, segments, templates
from server.services.snapshots import Person, Place

STEPS: Final[Mapping[str, str]] = {
    "message": N_("Message"),
    "people": N_("People"),
    "values": N_("Values"),
    "when": N_("When"),
    "review": N_("Review"),
}
# Where a finding of the pre-flight is mended.
_STEP_OF: Final = (
    ("/recipients", "people"),
    ("/audience", "people"),
    ("/template/variables", "values"),
    ("/template/header", "values"),
    ("/template/buttons", "values"),
    ("/template", "message"),
    ("/text", "message"),
    ("/channel_id", "message"),
    ("/scheduled_at", "when"),
    ("/rate_limit", "when"),
    ("/canary", "when"),
)
_GUESSED: Final = frozenset((Kind.BODY, Kind.HEADER))
MOST_PROBLEMS: Final = 10


@dataclass(frozen=True, slots=True)
class Sheet:
    """A draft with what its message is made of. draft: None while nothing is saved.

    template: as `templates.of_channel` lists it; None where there is none of that name any more, or it is a text.
    """

    draft: Row[Any] | None
    message: dict[str, Any]
    channel_id: int
    channels: Sequence[dict[str, Any]]
    templates: Sequence[dict[str, Any]]
    template: dict[str, Any] | None
    blanks: Sequence[Blank]

    @property
    def is_text(self) -> bool:
        """Whether it is a free text."""
        return "text" in self.message

    @property
    def is_marketing(self) -> bool:
        """Whether WhatsApp counts it as marketing, which nobody gets in quiet hours."""
        return self.template is not None and self.template["category"].upper() == "MARKETING"

    @property
    def rate(self) -> int:
        """Messages a second of the number; 0 for no limit of ours."""
        return next((int(one["rate_per_second"]) for one in self.channels if one["id"] == self.channel_id), 0)

    @property
    def text_columns(self) -> Sequence[str]:
        """What a free text names."""
        return columns_of(self.message) if self.is_text else ()

    def guessed(self, columns: Sequence[str]) -> "Sheet":
        """The same, what is empty proposed from the column of its own name. It is not saved before somebody goes on."""
        by_name = {_squeezed(column): f"{{{{{column}}}}}" for column in columns}
        given = {
            blank.field: blank.value or (by_name.get(_squeezed(blank.label), "") if blank.kind in _GUESSED else "")
            for blank in self.blanks
        }
        return self.with_message(filled(self.message, self.blanks, given), self.template) if self.blanks else self

    def with_message(self, message: dict[str, Any], template: dict[str, Any] | None) -> "Sheet":
        """The same with another message, that is not saved."""
        return Sheet(
            self.draft, message, self.channel_id, self.channels, self.templates, template, _blanks(message, template)
        )


class Beside(NamedTuple):
    """The phone. person: whose message it shows; previous, next: their neighbours. lacks: people by column."""

    bubble: Shown
    person: Person | None
    previous_id: int | None
    next_id: int | None
    lacks: Mapping[str, int]
    problem: str | None


async def sheet_of(
    connection: AsyncConnection, business_id: int, draft: Row[Any] | None, *, channel_id: int | None = None,
    message: dict[str, Any] | None = None,
) -> Sheet | None:  # fmt: skip
    """Everything about the message. None: the business has no number. message: of a broadcast that is copied."""
    theirs = await numbers.listed(connection, business_id)
    if not theirs:
        return None
    known = [int(number["id"]) for number in theirs]
    wanted = channel_id or (draft.channel_id if draft is not None else None)
    chosen = wanted if wanted in known else known[0]
    found = await templates.of_channel(connection, business_id, chosen)
    written = message or (draft.message if draft is not None else {})
    template = template_in(found, written)
    return Sheet(draft, written, chosen, theirs, found, template, _blanks(written, template))


def _squeezed(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def template_in(found: Sequence[dict[str, Any]], message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The template that a message names."""
    wanted = message.get("template") or {}
    same = (one for one in found if (one["name"], one["language"]) == (wanted.get("name"), wanted.get("language")))
    return next(same, None)


def _blanks(message: Mapping[str, Any], template: dict[str, Any] | None) -> list[Blank]:
    return [] if template is None else blanks_of(message, template["components"], template["parameter_format"])


async def beside(
    connection: AsyncConnection, sheet: Sheet, place: Place | None = None, *, phone: str = "", with_lacks: bool = False
) -> Beside:
    """The phone of somebody: of the first, or of whoever is at the place or has the phone."""
    person, previous, after, problem = None, None, None, None
    lacks: Mapping[str, int] = {}
    if sheet.draft is not None:
        try:
            wanted = _place_of(phone, sheet.draft.default_country) if phone.strip() else place or Place()
            [person] = await compositions.neighbours(connection, sheet.draft, [wanted])
            if person is None and phone.strip():
                problem = N_("Nobody of this broadcast has this number.")
            if person is not None:
                around = [Place(before_id=person.id), Place(after_id=person.id)]
                previous, after = await compositions.neighbours(connection, sheet.draft, around)
            if with_lacks:
                lacks = await compositions.lacks(connection, sheet.draft, sheet.message)
        except BadInput as error:
            problem = str(error)
    components = sheet.template["components"] if sheet.template is not None else []
    bubble = shown_to(sheet.message, components, person.variables if person is not None else {})
    before_id, after_id = (None if one is None else one.id for one in (previous, after))
    return Beside(bubble, person, before_id, after_id, lacks, problem)


def _place_of(phone: str, default_country: str | None) -> Place:
    try:
        return Place(phone=normalise(phone.strip(), default_country))
    except ValueError as error:
        raise BadInput(f"{str(error).capitalize()}.") from error


async def who(connection: AsyncConnection, draft: Row[Any]) -> str:
    """The audience of a draft in words; of a saved one its name."""
    audience = parse(draft.audience)
    if audience.segment_id is None:
        return describe(audience)
    try:
        return str((await segments.show(connection, draft.business_id, audience.segment_id))["name"])
    except NotFound:
        return describe(audience)


def done_steps(sheet: Sheet, *, is_anybody_refused: bool) -> set[str]:
    """The steps that need nothing more. is_anybody_refused: somebody of the list lacks a value."""
    draft = sheet.draft
    if draft is None:
        return set()
    done = {"when"}
    if sheet.template is not None or (sheet.is_text and sheet.message["text"].get("body")):
        done.add("message")
        if all(blank.value for blank in sheet.blanks if blank.is_needed) and not is_anybody_refused:
            done.add("values")
    if draft.audience is not None or draft.total_recipients > draft.processed_count:
        done.add("people")
    return done


def left_out(draft: Row[Any]) -> list[tuple[str, int]]:
    """Why people of a list are left out, by reason, the most first; of the first thousand rows."""
    reasons: dict[str, int] = {}
    for row in draft.rejected:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    return sorted(reasons.items(), key=lambda item: -item[1])


class Counts(NamedTuple):
    """A list as it came in. is_exact: False where more rows were left out than are kept with their reason."""

    good: int
    bad: int
    duplicate: int
    opted_out: int
    is_exact: bool


def counts_of(draft: Row[Any]) -> Counts:
    """How many of a list may be sent to, and how many not."""
    duplicates = sum(row["reason"] == DUPLICATE for row in draft.rejected)
    return Counts(
        good=draft.total_recipients - draft.processed_count,
        bad=draft.rejected_count - duplicates,
        duplicate=duplicates,
        opted_out=draft.skipped_count,
        is_exact=draft.rejected_count == len(draft.rejected),
    )


def step_of(pointer: str) -> str | None:
    """Where a finding is mended; None where no step of ours mends it."""
    return next((step for start, step in _STEP_OF if pointer.startswith(start)), None)


def by_pointer(problems: Sequence[Problem]) -> dict[str, str]:
    """What is wrong, by the field it is about."""
    return {problem.pointer: problem.detail for problem in reversed(problems)}
