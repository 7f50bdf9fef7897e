"""Every webhook of Meta's reference, applied: what it must lead to, and nothing more when it comes again."""

import copy
import json
import random
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template
from tests.support.builders import PHONE_NUMBER_ID, WABA_ID
from tests.support.payloads import NAMES, payload
from tests.support.webhooks import a_body, a_status
from tests.support.world import World

ANN = "+15550001111"
_ROW = "FROM whatsapp_broadcast_recipients WHERE phone = '+15550001111'"
_STATUS = f"SELECT status {_ROW}"
_HEARD = "SELECT string_agg(status, ' ' ORDER BY status) FROM message_statuses"
_PRICE = f"SELECT price_category {_ROW}"
_BROADCAST = "SELECT concat_ws(' ', status, pause_reason) FROM whatsapp_broadcasts"
_SUPPRESSED = "SELECT phone FROM suppressions"
_WISH = "SELECT source FROM consent_changes ORDER BY id DESC LIMIT 1"
_WROTE = "SELECT concat_ws(' ', kind, body, recipient_id IS NOT NULL) FROM inbound_messages"
_NEWS = "SELECT field FROM account_updates"
_ODD = "SELECT reason FROM webhook_oddities"

# For each document: a question, and its answer once it was applied.
LEADS_TO: dict[str, dict[str, object]] = {
    "status_sent": {_STATUS: "sent", _HEARD: "sent", _PRICE: "marketing"},
    "status_delivered": {_STATUS: "delivered", _HEARD: "delivered sent", _PRICE: "marketing"},
    "status_read": {_STATUS: "read", _HEARD: "read sent"},
    "status_read_v23": {_STATUS: "read", _HEARD: "read sent"},
    "status_played": {_STATUS: "read", _HEARD: "played sent"},
    "status_failed": {_STATUS: "queued", _HEARD: "failed sent", f"SELECT error_code {_ROW}": 131049},
    "wrote_stop": {_SUPPRESSED: ANN, _WISH: 'wrote "STOP"', _WROTE: "text STOP t"},
    "tapped_stop": {_SUPPRESSED: ANN, _WISH: 'tapped "Stop"', _WROTE: "button Stop t"},
    "tapped_stop_without_context": {_SUPPRESSED: ANN, _WISH: 'tapped "Stop"', _WROTE: "button Stop f"},
    "tapped_yes": {_SUPPRESSED: None, _WROTE: "interactive Yes f"},
    "wrote_unsupported": {_SUPPRESSED: None, _WROTE: "unsupported f"},
    "sent_an_image": {_SUPPRESSED: None, _WROTE: "image f"},
    "took_a_reaction_back": {_SUPPRESSED: None, _WROTE: "reaction f"},
    "changed_number": {_SUPPRESSED: None, _WROTE: "system f"},
    "error_of_the_app": {_ODD: "an error of the app or the account", _BROADCAST: "running"},
    "stopped_marketing": {_SUPPRESSED: ANN, _WISH: "used WhatsApp's switch for marketing messages"},
    "resumed_marketing": {_SUPPRESSED: None, _WISH: "used WhatsApp's switch for marketing messages"},
    "template_paused": {_BROADCAST: "paused template", "SELECT status FROM templates": "PAUSED"},
    "template_disabled": {_BROADCAST: "paused template", "SELECT status FROM templates": "DISABLED"},
    "template_quality": {_BROADCAST: "running", _NEWS: "message_template_quality_update"},
    "template_category": {_BROADCAST: "running", "SELECT category FROM templates": "UTILITY"},
    "template_category_to_come": {_BROADCAST: "running", "SELECT category FROM templates": "UTILITY"},
    "number_upgraded": {"SELECT rate_per_second FROM channels": 1_000},
    "capability": {"SELECT messaging_limit FROM businesses": 2_000},
    "capability_in_words": {"SELECT messaging_limit FROM businesses": 10_000},
    "account_restricted": {_BROADCAST: "paused quality"},
    "account_disabled": {_BROADCAST: "paused quality"},
    "account_reinstated": {_BROADCAST: "running", _NEWS: "account_update"},
    "account_deleted": {_BROADCAST: "paused credentials"},
    "account_alert": {_BROADCAST: "running", _NEWS: "account_alerts"},
}


@pytest.fixture
async def ann(world: World, engine: AsyncEngine) -> World:
    """The first person is Ann, who was sent the template `spring_sale` as `wamid.A`, and WhatsApp has said so."""
    await world.ask_to(
        f"UPDATE whatsapp_broadcast_recipients SET phone = '{ANN}', message_id = 'wamid.A' WHERE row_number = 1"  # noqa: S608
    )
    await world.ask_to("UPDATE channels SET rate_per_second = 80, rate_is_chosen = false")
    message = {"template": {"name": "spring_sale", "language": "en_US"}}
    await world.ask_to(f"UPDATE whatsapp_broadcasts SET message = '{json.dumps(message)}'")  # noqa: S608
    template = {
        "business_id": world.tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1689556908129832",
        "name": "spring_sale",
        "language": "en_US",
        "status": "APPROVED",
        "category": "MARKETING",
        "components": [],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
    await world.statuses(a_status("wamid.A", callback=world.callback(0)))
    return world


def of_this_world(world: World, document: object) -> bytes:
    """The document with the number and the text of this test's message."""
    raw = json.dumps(document).replace('"b7:r1"', f'"{world.callback(0)}"')
    return raw.replace(f'"{PHONE_NUMBER_ID}"', f'"{world.number}"').encode()


@pytest.mark.parametrize("name", NAMES)
async def test_each_example_leads_to_what_it_must(ann: World, name: str) -> None:
    for _ in range(2):
        await ann.hear(of_this_world(ann, payload(name)))
        assert {question: await ann.ask(question) for question in LEADS_TO[name]} == LEADS_TO[name]
        assert await ann.ask("SELECT count(*) FROM webhook_inbox") == 0
    ann.books()


async def test_examples_that_are_broken_by_chance_are_taken_and_cost_nobody_a_status(ann: World) -> None:
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    for n in range(150):
        document = payload(dice.choice(NAMES))
        for _ in range(dice.randint(1, 3)):
            break_something(dice, document["entry"])
        document["entry"].append(a_body(PHONE_NUMBER_ID, statuses=[a_status(f"wamid.good.{n}")])["entry"][0])
        await ann.hear(of_this_world(ann, document))
        assert await ann.ask("SELECT count(*) FROM webhook_inbox") == 0, seed
        heard = "SELECT count(*) FROM message_statuses WHERE message_id LIKE 'wamid.good.%'"
        assert await ann.ask(heard) == n + 1, (seed, document)
    ann.books()


_STRANGE: tuple[Any, ...] = (
    None, True, -1, 0.5, 2**63, -(2**70), 1e300, "", "TELEPORTED", "\x00", "9" * 400, [], {}, [None], {"id": []}
)  # fmt: skip


def break_something(dice: random.Random, node: Any) -> None:
    """Change, double or remove one thing at a random depth."""
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = dice.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or dice.random() < 0.15:
            break
        node = node[key]
    if isinstance(node, list) and dice.random() < 0.3:
        node.append(copy.deepcopy(node[key]))
    elif dice.random() < 0.3:
        del node[key]
    else:
        node[key] = copy.deepcopy(dice.choice(_STRANGE))
