"""Acme and its people, whose browsers show redirects in place of following them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.roles import Role
from server.models import User
from server.services import passwords
from tests.api.conftest import a_tenant, clarion, simulator
from tests.support.browser import PASSWORD, Browser
from tests.support.builders import Tenant
from tests.support.engine import Engine
from tests.support.web import serve

__all__ = ["clarion", "simulator"]


@dataclass(frozen=True, slots=True)
class Acme:
    """A business with a number, a template, a key and an owner; and the web process that serves it."""

    tenant: Tenant
    key: str
    address: str
    engine: AsyncEngine

    async def a_person(self, role: Role, email: str = "") -> Browser:
        """Somebody of the business with this role, signed in."""
        address = email or f"{role}@acme.example"
        hashed = passwords.hasher().hash(PASSWORD)
        values = {"business_id": self.tenant.business_id, "email": address, "password_hash": hashed, "role": role.value}
        async with self.engine.begin() as connection:
            await connection.execute(insert(User).values(values | {"name": role.value.title()}))
        browser = Browser(self.address, follows=False)
        assert browser.sign_in(address).status == 303
        return browser

    async def rows(self, statement: Any, **values: Any) -> list[Any]:
        """What a statement finds in the database."""
        async with self.engine.begin() as connection:
            return list(await connection.execute(statement, values))


@pytest.fixture
async def acme(engine: AsyncEngine, clarion: Engine, tmp_path: Path) -> AsyncIterator[Acme]:
    """A web process with the business Acme in it."""
    tenant, key = await a_tenant(engine, "Acme")
    with serve(clarion, tmp_path) as address:
        yield Acme(tenant, key, address, engine)


@pytest.fixture
def stranger(acme: Acme) -> Browser:
    """A browser in which nobody is signed in."""
    return Browser(acme.address, follows=False)


@pytest.fixture
def visitor(acme: Acme) -> Browser:
    """The owner's browser, signed in."""
    browser = Browser(acme.address, follows=False)
    assert browser.sign_in().status == 303
    return browser
