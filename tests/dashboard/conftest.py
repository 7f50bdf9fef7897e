"""Somebody who is signed in to the pages of a web process of its own."""

import http.client
import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Api, api, clarion, other, simulator

__all__ = ["api", "clarion", "other", "simulator"]  # fixtures, used here as well
PASSWORD = "a password"
_FIELD = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """What came back, after all redirects."""

    status: int
    address: str
    text: str

    @property
    def path(self) -> str:
        """Where one is now, without the host."""
        parts = urllib.parse.urlsplit(self.address)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def field(self, name: str) -> str:
        """What stands in a field of a form."""
        found = re.search(rf'<input[^>]* name="{re.escape(name)}"[^>]* value="([^"]*)"', self.text)
        assert found is not None, name
        return found[1]


@dataclass(slots=True)
class Browser:
    """A browser without a script, as far as forms and cookies go."""

    address: str
    csrf: str = ""
    _cookies: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def get(self, path: str, **headers: str) -> Page:
        """Look at a page."""
        return self._ask(urllib.request.Request(f"{self.address}{path}"), headers)  # noqa: S310 - our own address

    def post(self, path: str, *, csrf: str | None = None, headers: Any = None, **fields: Any) -> Page:
        """Send a form. csrf: another token than that of the last page."""
        given = {"csrf": self.csrf if csrf is None else csrf, **fields}
        body = urllib.parse.urlencode(given, doseq=True).encode()
        request = urllib.request.Request(f"{self.address}{path}", body)  # noqa: S310 - our own address
        return self._ask(request, headers or {})

    def upload(self, path: str, body: bytes) -> Page:
        """Send a file as a page's script does."""
        request = urllib.request.Request(f"{self.address}{path}", body)  # noqa: S310 - our own address
        return self._ask(request, {"Content-Type": "text/csv", "X-CSRF-Token": self.csrf, "HX-Request": "true"})

    @contextmanager
    def hang_up(self, path: str, body: bytes) -> Iterator[http.client.HTTPResponse]:
        """Send a file, and go away in the middle of the answer."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)
        headers = {"Content-Type": "text/csv", "X-CSRF-Token": self.csrf, "Cookie": cookies}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def sign_in(self, email: str, password: str = PASSWORD) -> "Browser":
        """Come in by the form."""
        self.get("/sign-in")
        page = self.post("/sign-in", email=email, password=password)
        assert page.status == 200, page.text
        return self

    def _ask(self, request: urllib.request.Request, headers: Mapping[str, str]) -> Page:
        for name, value in headers.items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        try:
            with opener.open(request, timeout=60) as response:
                page = Page(response.status, response.url, response.read().decode())
        except urllib.error.HTTPError as error:
            page = Page(error.code, error.url, error.read().decode())
        found = _FIELD.search(page.text)
        self.csrf = found[1] if found else self.csrf
        return page


@pytest.fixture
def visitor(api: Api) -> Browser:
    """The owner of the business Acme, signed in."""
    return Browser(api.address).sign_in("owner@acme.example")


@pytest.fixture
def stranger(other: Api) -> Browser:
    """The owner of another business, signed in."""
    return Browser(other.address).sign_in("owner@other.example")


@pytest.fixture
async def viewer(api: Api, engine: AsyncEngine) -> Browser:
    """Somebody of Acme who may only look."""
    make = text(
        "INSERT INTO users (business_id, email, password_hash, role)"
        " SELECT business_id, 'viewer@acme.example', password_hash, 'viewer' FROM users WHERE business_id = :id"
    )
    async with engine.begin() as connection:
        await connection.execute(make, {"id": api.business_id})
    return Browser(api.address).sign_in("viewer@acme.example")
