"""WhatsApp's side of the webhook's door."""

import psycopg

from tests.api.conftest import Answer, Api
from tests.support.builders import PHONE_NUMBER_ID
from tests.support.webhooks import signed

PATH = "/webhooks/whatsapp"


class Line:
    """It tells what became of messages of one business's number."""

    def __init__(self, api: Api, database_url: str) -> None:
        self.api = api
        self.number = f"{PHONE_NUMBER_ID}{api.business_id}"
        self.database_url = database_url

    def post(self, body: object, *, secret: str = "secret", **headers: str) -> Answer:
        raw, proof = signed(body, secret)
        found = {name.replace("-", "_"): value for name, value in proof.items()} | headers
        return self.api.call("POST", PATH, raw, **found)

    def count(self, table: str) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of the test's own
        assert row is not None
        return int(row[0])
