"""A simulator as at its start, and the words of one request."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.receiver import SECRET, Receiver, a_receiver
from tests.support.simulator import Simulator

NUMBER = "106540352242922"
WABA = "102290129340398"
SEND = f"/v25.0/{NUMBER}/messages"


def texts(*values: str) -> list[dict[str, Any]]:
    """Parameters of the kind text."""
    return [{"type": "text", "text": value} for value in values]


def a_message(to: str = "+972501234567", **template: Any) -> dict[str, Any]:
    """An order update to one person."""
    body = {"type": "body", "parameters": texts("Dana", "A-17")}
    return {
        "messaging_product": "whatsapp",
        "to": to,
        "type": "template",
        "biz_opaque_callback_data": "b1:r1",
        "template": {"name": "order_update", "language": {"code": "en_US"}, "components": [body], **template},
    }


def a_free_form(kind: str, content: object) -> dict[str, Any]:
    """A message without a template."""
    return {"messaging_product": "whatsapp", "to": "+972501234567", "type": kind, kind: content}


@pytest.fixture(scope="package")
def shared() -> Iterator[Simulator]:
    """One simulator for tests that leave nothing behind."""
    with Simulator.start(rate=0) as started:
        yield started


@pytest.fixture
def simulator(shared: Simulator) -> Simulator:
    """The simulator as at its start."""
    shared.reset()
    return shared


@pytest.fixture
def receiver(simulator: Simulator) -> Iterator[Receiver]:
    """Somebody who receives the simulator's webhooks."""
    with a_receiver() as listening:
        simulator.call_back(listening.url, SECRET)
        yield listening
        simulator.reset()


def send(simulator: Simulator, body: object = None, token: str | None = "t") -> tuple[int, Any]:
    """One request to send."""
    return simulator.call("POST", SEND, a_message() if body is None else body, token)


def code_of(answer: tuple[int, Any]) -> int:
    """Meta's error code of a refusal."""
    return int(answer[1]["error"]["code"])
