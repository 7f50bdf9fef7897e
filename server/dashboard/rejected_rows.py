"""Rows of a list that could not be used, as a file: where they stood, their phone, and why."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.responses import Response

from server.csv_export import table_csv
from server.dashboard.languages import Speech


def as_file(speech: Speech, name: str, rejected: Iterable[Mapping[str, Any]]) -> Response:
    """In the reader's language, so many as were kept. rejected: with `row`, `phone` and `reason`."""
    head = [speech.gettext(word) for word in ("Line", "Phone", "Why")]
    return table_csv(name, head, ([row["row"], row["phone"], speech.told(row["reason"])] for row in rejected))
