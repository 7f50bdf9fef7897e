"""A browser without a script: cookies, forms with their token, files as a page's script sends them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

OWNER = "owner@acme.example"
PASSWORD = "a password"
MOST_REDIRECTS = 5
_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """What came back. path: where one is, with its query."""

    status: int
    path: str
    headers: Mapping[str, str]
    text: str

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("location", "")

    def field(self, name: str) -> str:
        """The value of a field of a form."""
        found = re.search(rf'name="{re.escape(name)}"[^>]*? value="([^"]*)"', self.text)
        assert found is not None, f"no field {name} in {self.text[:500]}"
        return unescape(found.group(1))


@dataclass
class Browser:
    """One browser at one web process. follows: False shows redirects in place of where they lead."""

    address: str
    follows: bool = True
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    def get(self, path: str, **headers: str) -> Page:
        """Look at a page, and remember the token of its forms."""
        return self.send("GET", path, None, headers)

    def post(
        self,
        path: str,
        fields: Any = None,
        *,
        csrf: str | None = None,
        headers: Any = None,
        **more_fields: Any,
    ) -> Page:
        """Send a form. fields: by name, several values as a list. csrf: another token than the last page's."""
        given = {"csrf": self.csrf if csrf is None else csrf, **(fields or {}), **more_fields}
        is_form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, urlencode(given, doseq=True).encode(), {**is_form, **(headers or {})})

    def upload(self, path: str, body: bytes) -> Page:
        """Send a file as a page's script does."""
        return self.send("POST", path, body, self._of_a_script())

    @contextmanager
    def hang_up(self, path: str, body: bytes) -> Iterator[HTTPResponse]:
        """Send a file, and go away in the middle of the answer."""
        connection, response = self._ask("POST", path, body, self._of_a_script())
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def sign_in(self, email: str = OWNER, password: str = PASSWORD, **fields: str) -> Page:
        """Sign in as somebody, and take the token of the forms that follow."""
        self.get("/sign-in")
        answer = self.post("/sign-in", {"email": email, "password": password, **fields})
        if answer.status == 303 and "clarion_session" in self.cookies:
            self.get("/settings/account")
        return answer

    def another(self) -> Self:
        """Somebody else's browser."""
        return type(self)(self.address, self.follows)

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Page:
        """Any request."""
        page = self._once(method, path, body, headers)
        for _ in range(MOST_REDIRECTS if self.follows else 0):
            if page.status not in {302, 303, 307}:
                break
            page = self._once("GET", urljoin(page.path, page.location), None, {})
        return page

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Page:
        connection, response = self._ask(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        self._keep_cookies(response)
        if found := _TOKEN.search(text):
            self.csrf = found.group(1)
        return Page(response.status, path, {name.lower(): value for name, value in response.getheaders()}, text)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[HTTPConnection, HTTPResponse]:
        place = urlsplit(self.address)
        connection = HTTPConnection(str(place.hostname), place.port, timeout=60)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request(method, path, body, {**headers, **({"Cookie": cookie} if cookie else {})})
        return connection, connection.getresponse()

    def _keep_cookies(self, response: HTTPResponse) -> None:
        for line in response.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def _of_a_script(self) -> dict[str, str]:
        return {"Content-Type": "text/csv", "X-CSRF-Token": self.csrf, "HX-Request": "true"}
