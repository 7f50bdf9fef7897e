"""Parameters that many routes take: an id in the path, and a page of a list."""

from typing import Annotated

from fastapi import Path, Query

Id = Annotated[int, Path(ge=1, lt=2**63)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]
