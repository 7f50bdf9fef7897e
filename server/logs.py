"""Log events are an interface: operators build alarms on them. The whole list, and how they are written.

Ids, not people: no phone number, text or token goes into a log. For each message a metric, never a line.
"""

import logging
import sys
from enum import StrEnum
from typing import Any, cast

import structlog

from server.config import LogFormat


class Event(StrEnum):
    """Subject, and what became of it."""

    WATCH_ERROR = "WATCH ERROR"  # those who watched are sent away, and ask again
    WEBHOOK_ERROR = "WEBHOOK ERROR"  # a body that could not be applied; it is put aside, and nothing else is lost
    WEBHOOKS_WAIT = "WEBHOOKS WAIT"  # + error: they are committed, and applied when the database is back
    WEBHOOKS_DELIVERED = "WEBHOOKS DELIVERED"  # delivered_count failed_count disabled_count: of the outbox
    WEBHOOK_DISABLED = "WEBHOOK DISABLED"  # business_id endpoint_id reason: nothing more goes there
    WEBHOOK_UNREADABLE = "WEBHOOK UNREADABLE"  # endpoint_id error: its secret cannot be read, so nothing is signed
    BROADCAST_START = "BROADCAST START"  # business_id broadcast_id run_epoch remaining_count
    BROADCAST_PROGRESS = "BROADCAST PROGRESS"  # + processed_count total_recipients rate
    BROADCAST_NOT_STARTED = "BROADCAST NOT STARTED"  # + status: the hint was late
    BROADCAST_WAITING = "BROADCAST WAITING"  # + another broadcast of the business holds the gate
    BROADCAST_TAKEN_OVER = "BROADCAST TAKEN OVER"  # + unknown_count: what a dead run left in flight
    BROADCAST_YIELDED = "BROADCAST YIELDED"  # + reason resume_at
    BROADCAST_PAUSED = "BROADCAST PAUSED"  # + reason resume_at
    BROADCAST_SETTLING = "BROADCAST SETTLING"  # + unknown_count
    BROADCAST_COMPLETED = "BROADCAST COMPLETED"  # + sent_count failed_count
    BROADCAST_PARTIAL = "BROADCAST PARTIAL"
    BROADCAST_FAILED = "BROADCAST FAILED"  # + reason
    BROADCAST_CANCELLED = "BROADCAST CANCELLED"  # + cancelled_count
    BROADCAST_ERROR = "BROADCAST ERROR"  # + error: a run ended that should not have
    RUN_LOST = "RUN LOST"  # another runner has the row
    GATE_RELEASED = "GATE RELEASED"  # business_id
    GATE_RELEASE_FAILED = "GATE RELEASE FAILED"  # business_id error
    HINT_LOST = "HINT LOST"  # broadcast_id error: the steward finds the row
    LIMIT_AWAY = "LIMIT AWAY"  # error: the queue's server does not answer, and no key is limited
    CURSOR_COLUMN_ADDED = "CURSOR COLUMN ADDED"
    CURSOR_COLUMN_FAILED = "CURSOR COLUMN FAILED"
    DATABASE_LOST = "DATABASE LOST"  # error: trying again while the lease lasts
    STEWARD_ROUND = "STEWARD ROUND"  # started resumed taken_over settled
    STEWARD_ERROR = "STEWARD ERROR"  # broadcast_id error: it is left as it stands, and everybody else is seen to
    PART_STARTED = "PART STARTED"  # part pid: of `clarion up`
    PART_ENDED = "PART ENDED"  # part exit_code


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that is configured when the process is, not when this is called."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


def configure_logs(log_format: LogFormat = "auto", *, level: int = logging.INFO) -> None:
    """Send everything to stderr, one event a line: for people on a terminal, else as JSON."""
    console = sys.stderr.isatty() if log_format == "auto" else log_format == "console"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
