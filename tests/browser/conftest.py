"""A Chromium for the session, and a business with its web process, workers and people who sign in."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, async_playwright
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import User
from server.services.passwords import hasher
from tests.api.conftest import Api, api, clarion, simulator
from tests.browser import chromium

__all__ = ["api", "clarion", "simulator"]

EMAIL = "dana@acme.example"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Site:
    """The pages, and somebody who may sign in."""

    api: Api
    email: str = EMAIL
    password: str = PASSWORD

    @property
    def address(self) -> str:
        """Where the pages are."""
        return self.api.address


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A real Chromium. `make test` installs it where it can."""
    if chromium.executable() is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    async with async_playwright() as playwright:
        started = await chromium.launch(playwright)
        yield started
        await started.close()


@pytest.fixture
async def site(api: Api, engine: AsyncEngine) -> Site:
    """The pages of Acme, whose owner is Dana."""
    person = {"business_id": api.business_id, "email": EMAIL, "password_hash": hasher().hash(PASSWORD), "name": "Dana"}
    async with engine.begin() as connection:
        await connection.execute(insert(User).values(person))
    return Site(api)
