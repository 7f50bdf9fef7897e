"""docs/webhooks-out.md tells of every event, and its examples check what Clarion signs."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.domain.webhook_events import EventKind
from server.domain.webhook_retries import DELAYS
from server.providers.webhook_posts import signed_headers

TEXT = (Path(__file__).parents[2] / "docs" / "webhooks-out.md").read_text()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_event_is_explained_and_no_other() -> None:
    assert re.findall(r"^\| `([a-z_.]+)`", TEXT, re.MULTILINE) == ["type", *EventKind]


def test_the_waits_between_attempts_are_the_documented_ones() -> None:
    assert [5, 30, *(60 * n for n in (2, 10, 30)), *(3600 * n for n in (1, 2, 4, 6))] == list(DELAYS)
    assert "5\nseconds, 30 seconds, 2, 10 and 30 minutes, then 1, 2, 4 and 6 hours" in TEXT


@pytest.mark.parametrize("example", EXAMPLES, ids=["by the library", "by hand"])
@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_examples_take_what_clarion_signs_and_nothing_else(example: str, secret: str) -> None:
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - our own document
    raw = json.dumps({"type": "ping", "data": {"word": "שלום"}}, ensure_ascii=False).encode()
    headers = signed_headers("msg_1", datetime.now(UTC), raw, [SECRET, OLD_SECRET])
    assert names["receive"](secret, headers, raw) == json.loads(raw)
    with pytest.raises(Exception, match=r"not from Clarion|No matching signature"):
        names["receive"](secret, headers, raw.replace(b"ping", b"pong"))
    old = signed_headers("msg_1", datetime(2026, 1, 1, tzinfo=UTC), raw, [SECRET, OLD_SECRET])
    with pytest.raises(Exception, match=r"not from Clarion|too old"):
        names["receive"](secret, old, raw)
