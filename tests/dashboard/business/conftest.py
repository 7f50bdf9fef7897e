"""Browsers without a script: cookies, forms with their token, redirects that a test looks at before it follows them."""

import http.client
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.roles import Role
from server.models import User
from server.services import passwords
from tests.api.conftest import a_tenant, clarion, simulator
from tests.support.builders import Tenant
from tests.support.engine import Engine
from tests.support.web import serve

__all__ = ["clarion", "simulator"]

OWNER = "owner@acme.example"
PASSWORD = "a password"


@dataclass(frozen=True, slots=True)
class Page:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("location", "")

    def field(self, name: str) -> str:
        """The value of a field of a form."""
        found = re.search(rf'name="{name}"[^>]*? value="([^"]*)"', self.text)
        assert found is not None, f"no field {name} in {self.text[:500]}"
        return unescape(found.group(1))


@dataclass
class Browser:
    """One browser at one web process."""

    address: str
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def get(self, path: str, **headers: str) -> Page:
        """Look at a page, and remember the token of its forms."""
        page = self._ask("GET", path, None, headers)
        if found := re.search(r'name="csrf" value="([0-9a-f]+)"', page.text):
            self.csrf = found.group(1)
        return page

    def post(self, path: str, fields: Mapping[str, str] | None = None, *, csrf: str | None = None) -> Page:
        """Send a form. csrf: another token than that of the page before."""
        body = urlencode({**(fields or {}), "csrf": self.csrf if csrf is None else csrf})
        return self._ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def sign_in(self, email: str = OWNER, password: str = PASSWORD, **fields: str) -> Page:
        """Sign in as somebody, and take the token of the forms that follow."""
        self.get("/sign-in")
        answer = self.post("/sign-in", {"email": email, "password": password, **fields})
        if answer.status == 303 and "clarion_session" in self.cookies:
            self.get("/settings/account")
        return answer

    def another(self) -> Self:
        """Somebody else's browser."""
        return type(self)(self.address)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Page:
        """A request that is no form."""
        return self._ask(method, path, body, headers)

    def _ask(self, method: str, path: str, body: str | bytes | None, headers: Mapping[str, str]) -> Page:
        place = urlsplit(self.address)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, {**headers, **({"Cookie": cookie} if cookie else {})})
        response = connection.getresponse()
        text = response.read().decode()
        for line in response.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        connection.close()
        return Page(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


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
        browser = Browser(self.address)
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
    return Browser(acme.address)


@pytest.fixture
def visitor(acme: Acme) -> Browser:
    """The owner's browser, signed in."""
    browser = Browser(acme.address)
    assert browser.sign_in().status == 303
    return browser
