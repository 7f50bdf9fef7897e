"""A history as a person reads it: what somebody did, with what came of it below, once.

The history itself has more events, each with its place in the chain: a stop is one when it is asked for and one when
the run has accounted for what was in flight, and a cancel is a third when nobody is left. Told one under another they
read as if it had been stopped three times.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from server.domain.states import Actor, BroadcastStatus, Move
from server.services.broadcasts import CANCEL_REQUESTED

_STOPS: Final = frozenset(move.name.lower() for move in (Move.PAUSE, Move.HOLD, Move.CANCEL))
_CANCEL: Final = Move.CANCEL.name.lower()
_BY_NAME: Final = frozenset(
    move.name.lower() for move in (Move.SCHEDULE, Move.QUEUE, Move.PAUSE, Move.RESUME, Move.CANCEL)
)


def told_once(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Events in their order, as `recipients.history` or a story has them, without those that tell what came of a stop.

    `consequences` of a stop: what those said. `is_wish`: a cancel that has been asked for and not been carried out.
    `is_named`: the detail says what it was, and whose act. What is no event of the history stays as it is.
    """
    told: list[dict[str, Any]] = []
    stops: dict[str, dict[str, Any]] = {}  # the last of each kind
    for event in events:
        move = str(event.get("move"))
        stop = stops.get(move)
        if stop is not None and _comes_of(event, stop):
            stop["consequences"] += [event["detail"]] if event["detail"] else []
            stop["is_wish"] &= event["to_status"] != BroadcastStatus.CANCELLED
            continue
        is_wish = move == _CANCEL and _stays(event)
        one = {**event, "consequences": [], "is_wish": is_wish, "is_named": _is_named(event)}
        if move in _STOPS:
            stops[move] = one
        if event.get("detail") == CANCEL_REQUESTED:
            one["detail"] = None  # it says nothing more than the word for it
        told.append(one)
    return told


def _is_named(event: Mapping[str, Any]) -> bool:
    """Whether a person did it on a page, where the history knows them by name (`server/steering.py`)."""
    is_theirs = event.get("actor") == Actor.USER and event.get("move") in _BY_NAME
    return is_theirs and event["detail"] not in (None, CANCEL_REQUESTED)


def _comes_of(event: Mapping[str, Any], stop: Mapping[str, Any]) -> bool:
    return bool(stop["is_wish"]) or (_stays(event) and event["actor"] != Actor.USER)


def _stays(event: Mapping[str, Any]) -> bool:
    return bool(event["from_status"] == event["to_status"])
