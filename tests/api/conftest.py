"""A web process of its own over a fresh database, as a client sees it."""

import json
import subprocess
import sys
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
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator


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
async def api(engine: AsyncEngine, clarion: Engine) -> AsyncIterator[Api]:
    """A running web process, and a client of the business Acme."""
    tenant, key = await a_tenant(engine, "Acme")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE], env=clarion.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    yield Api(address, key, tenant.business_id)
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
async def other(engine: AsyncEngine, api: Api) -> Api:
    """A client of another business, at the same web process."""
    tenant, key = await a_tenant(engine, "Other")
    return Api(api.address, key, tenant.business_id)


# A free port is chosen by the kernel and told on stdout, before anybody can ask for it.
_SERVE = """
import socket, uvicorn
from server.app import create_app
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(create_app(), log_level="warning", loop="uvloop")).run(sockets=[listener])
"""
__all__ = ["Answer", "Api", "until"]
