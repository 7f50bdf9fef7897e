"""The main job as a program of somebody else's writes it, with a client generated from the OpenAPI document.

Run with an address and a key by the interpreter that has the generator's libraries. Prints what it saw as JSON.
"""

import json
import sys
import time

from clarion_client.api.broadcasts import create_broadcast, show_broadcast
from clarion_client.api.recipients import list_recipients
from clarion_client.client import AuthenticatedClient
from clarion_client.models import BroadcastRequest

ENDED = ("completed", "partial", "failed", "cancelled")
ORDER = {
    "name": "Spring sale",
    "template": {
        "name": "order_update",
        "language": "en_US",
        "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
    },
    "recipients": [{"phone": f"+97250000000{n}", "variables": {"first_name": "Dana", "order_id": n}} for n in range(5)],
}


def main(address: str, key: str) -> None:
    """Make it, wait for its end, look at who got it."""
    with AuthenticatedClient(base_url=address, token=key, raise_on_unexpected_status=True) as client:
        made = create_broadcast.sync(client=client, body=BroadcastRequest.from_dict(ORDER), idempotency_key="spring")
        again = create_broadcast.sync(client=client, body=BroadcastRequest.from_dict(ORDER), idempotency_key="spring")
        deadline = time.monotonic() + 60
        while (seen := show_broadcast.sync(made.id, client=client)).status not in ENDED:
            assert time.monotonic() < deadline, seen
            time.sleep(0.2)
        people = list_recipients.sync(made.id, client=client, limit=3)
        rest = list_recipients.sync(made.id, client=client, limit=3, cursor=people.next_cursor)
        refused = show_broadcast.sync(made.id + 1_000, client=client)
        said = {
            "is_the_same": made.id == again.id,
            "status": seen.status,
            "sent_count": seen.sent_count,
            "phones": [person.phone for person in people.items + rest.items],
            "refused_with": refused.status,
        }
        print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
