"""What the help and the documentation of the simulator show is what there is."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from server.cli.simulator import HELP
from server.simulator.control_life import Choosing, Tapping, WebhookOrder, Writing
from server.simulator.faults import faults_from_text
from server.simulator.limit_options import Limits, limits_from_text
from server.simulator.orders import AccountOrder, NumberOrder, TemplateOrder
from server.simulator.people import BY_LAST_SEVEN_DIGITS, HABITS, shares_from_text
from server.simulator.webhook_manners import Manners, manners_from_text
from server.simulator.world import WorldChange
from tests.support.simulator import REPOSITORY

DOCUMENT = Path(REPOSITORY, "docs", "simulator.md").read_text()
READERS: dict[str, Callable[[str], msgspec.Struct]] = {
    "--webhooks": manners_from_text,
    "--habits": shares_from_text,
    "--limits": limits_from_text,
    "--faults": faults_from_text,
}
EXAMPLES = re.findall(rf"({'|'.join(READERS)}) ([a-z_]+=[^\s`]+)", HELP)
BODIES: dict[str, type[msgspec.Struct]] = {
    "PUT /_sim/webhooks": WebhookOrder,
    "PUT /_sim/world": WorldChange,
    "POST /_sim/people/{phone}/writes": Writing,
    "POST /_sim/people/{phone}/taps": Tapping,
    "POST /_sim/people/{phone}/marketing": Choosing,
    "POST /_sim/templates": TemplateOrder,
    "POST /_sim/account": AccountOrder,
    "POST /_sim/numbers/{id}": NumberOrder,
}


@pytest.mark.parametrize(("option", "value"), EXAMPLES)
def test_the_examples_of_the_help_can_be_typed(option: str, value: str) -> None:
    read = READERS[option](value)
    assert read != type(read)()


def test_the_help_shows_every_option_that_is_many_in_one() -> None:
    assert {option for option, _ in EXAMPLES} == set(READERS)


def test_every_habit_number_manner_and_limit_is_documented() -> None:
    for name in (*HABITS, *Manners.__struct_fields__, *Limits.__struct_fields__):
        assert f"`{name}`" in DOCUMENT, name
    for digits in BY_LAST_SEVEN_DIGITS:
        assert digits in DOCUMENT
    for name in HABITS:
        assert re.search(rf"\b{name}\b", HELP), name


@pytest.mark.parametrize("order", BODIES)
def test_the_orders_of_the_document_can_be_given(order: str) -> None:
    (row,) = (line for line in DOCUMENT.splitlines() if line.startswith(f"| `{order}` |"))
    body = re.search(r"`(\{.*?\})`", row)
    assert body is not None
    msgspec.json.decode(body[1].replace("…", "http://x"), type=BODIES[order])
