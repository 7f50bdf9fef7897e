"""A list of people at the terminal: how far it has been read, which rows cannot be used, and its country."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.cli.output import counted, say, stderr
from server.domain.errors import BadInput

if TYPE_CHECKING:
    from server.services.audiences import Loaded, LoadProgress

SHOWN_REJECTED = 10
SAY_EVERY_SECONDS = 0.5


def reading_progress() -> "Callable[[LoadProgress], None]":
    """Say how far the reading is, on one line that is written over."""
    began = said = time.monotonic()

    def say_progress(progress: "LoadProgress") -> None:
        nonlocal said
        now = time.monotonic()
        if stderr.is_terminal and now - said >= SAY_EVERY_SECONDS:
            said = now
            per_second = progress.rows_count / (now - began)
            stderr.print(f"Reading: {progress.rows_count:,} rows, {per_second:,.0f} a second", end="\r")

    return say_progress


def say_rejected(loaded: "Loaded") -> None:
    """The first rows that cannot be used, each with its line and the reason."""
    from server.domain.phones import NO_COUNTRY

    if not loaded.rejected_count:
        return
    say(f"{loaded.rejected_count:,} of {counted(loaded.rows_count, 'row')} cannot be used:")
    for rejected in loaded.rejected[:SHOWN_REJECTED]:
        say(f"  line {rejected['row']}: {rejected['phone'] or '(no number)'}: {rejected['reason']}")
    if loaded.rejected_count > SHOWN_REJECTED:
        say(f"  and {loaded.rejected_count - SHOWN_REJECTED:,} more")
    without_country = sum(rejected["reason"] == NO_COUNTRY for rejected in loaded.rejected)
    if without_country * 2 > len(loaded.rejected):
        say("Most of them lack a country code. If these are numbers of one country, name it: --country XX, such as IL.")


def country_code(code: str | None) -> str | None:
    """The country of numbers without a country code, in capitals. Raises `BadInput`."""
    from server.domain.phones import is_country

    if code is not None and not is_country(code.upper()):
        detail = f'--country is "{code}"; it should be the two letters of a country (ISO 3166), such as IL.'
        raise BadInput(detail, pointer="--country")
    return code.upper() if code else None


def clean_tags(tags: list[str], option: str) -> list[str]:
    """Tags as they are kept. Raises `BadInput`."""
    from server.domain.contacts import clean_tags as clean

    try:
        return clean(tags)
    except ValueError as error:
        raise BadInput(f"{option}: {error}.", pointer=option) from error
