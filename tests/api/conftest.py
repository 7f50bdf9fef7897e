"""A web process of its own over a fresh database, as a client sees it."""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template
from server.services import accounts
from tests.support.builders import WABA_ID, Tenant, a_business
from tests.support.engine import Engine
from tests.support.simulator import Simulator
from tests.support.web import serve

DANA = {"phone": "+972501234567", "variables": {"first_name": "Dana", "order_id": "A-17"}}


def an_order(**fields: Any) -> dict[str, Any]:
    """A broadcast to Dana, as a client sends it."""
    template = {
        "name": "order_update",
        "language": "en_US",
        "variables": {"1": "{{first_name}}", "2": "{{order_id}}"},
    }
    return {"name": "Spring sale", "template": template, "recipients": [DANA], **fields}


def people(count: int) -> list[dict[str, Any]]:
    """So many recipients."""
    return [{"phone": f"+97250{n:07d}", "variables": {"first_name": f"Name {n}", "order_id": n}} for n in range(count)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Api:
    """A client with a key of one business."""

    address: str
    key: str
    business_id: int

    def call(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json", **headers: str
    ) -> Answer:
        """One request. body: an object, sent as JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, method=method)  # noqa: S310 - our own address
        request.add_header("Content-Type", content_type)
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own address
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str) -> Answer:
        """Look at something below /api/whatsapp."""
        return self.call("GET", f"/api/whatsapp{path}")

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        """Do something below /api/whatsapp."""
        return self.call("POST", f"/api/whatsapp{path}", body, **headers)


@pytest.fixture
def simulator() -> "Any":
    """A Cloud API without limits."""
    with Simulator.start(rate=0) as started:
        yield started


async def a_tenant(engine: AsyncEngine, name: str) -> tuple[Tenant, str]:
    """A business with a number, a template and an API key."""
    tenant = await a_business(engine, name, rate=200)
    template = {
        "business_id": tenant.business_id,
        "waba_id": WABA_ID,
        "provider_id": "1",
        "name": "order_update",
        "language": "en_US",
        "status": "APPROVED",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}],
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Template).values(template))
        return tenant, await accounts.create_api_key(connection, tenant.business_id, "test")


@pytest.fixture
def clarion(database_url: str, redis_url: str, simulator: Simulator, tmp_path: Path) -> "Any":
    """Parts of Clarion over the test's database."""
    with Engine(database_url, redis_url, simulator, tmp_path) as made:
        yield made


@pytest.fixture
async def api(engine: AsyncEngine, clarion: Engine, tmp_path: Path) -> AsyncIterator[Api]:
    """A running web process, and a client of the business Acme."""
    tenant, key = await a_tenant(engine, "Acme")
    with serve(clarion, tmp_path) as address:
        yield Api(address, key, tenant.business_id)


@pytest.fixture
async def other(engine: AsyncEngine, api: Api) -> Api:
    """A client of another business, at the same web process."""
    tenant, key = await a_tenant(engine, "Other")
    return Api(api.address, key, tenant.business_id)
