"""Somebody who is signed in to the pages of a web process of its own."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, api, clarion, other, simulator
from tests.support.browser import OWNER, Browser

__all__ = ["api", "clarion", "other", "simulator"]  # fixtures, used here as well


def signed_in(address: str, email: str) -> Browser:
    """The browser of somebody, who has come in by the form."""
    browser = Browser(address)
    page = browser.sign_in(email)
    assert page.status == 200, page.text
    return browser


@pytest.fixture
def visitor(api: Api) -> Browser:
    """The owner of the business Acme, signed in."""
    return signed_in(api.address, OWNER)


@pytest.fixture
def stranger(other: Api) -> Browser:
    """The owner of another business, signed in."""
    return signed_in(other.address, "owner@other.example")


@pytest.fixture
async def viewer(api: Api, engine: AsyncEngine) -> Browser:
    """Somebody of Acme who may only look."""
    make = text(
        "INSERT INTO users (business_id, email, password_hash, role)"
        " SELECT business_id, 'viewer@acme.example', password_hash, 'viewer' FROM users WHERE business_id = :id"
    )
    async with engine.begin() as connection:
        await connection.execute(make, {"id": api.business_id})
    return signed_in(api.address, "viewer@acme.example")
