"""A real Chromium, and what every page is held against: no error in the console, nothing cut off, nothing for axe."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, BrowserContext, Page, Playwright

EXECUTABLES: Final = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
AXE: Final = (Path(__file__).parent / "axe.min.js").read_text()
# WCAG 2.2, levels A and AA.
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def executable() -> str | None:
    """The Chromium of this machine."""
    return next((found for name in EXECUTABLES if (found := shutil.which(name))), None)


async def launch(playwright: Playwright) -> Browser:
    """Start it, without a window."""
    return await playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks at the pages."""

    width: int
    scheme: str
    language: str

    def __str__(self) -> str:
        return f"{self.width}-{self.scheme}-{self.language}"

    @asynccontextmanager
    async def open(self, browser: Browser) -> AsyncIterator["Visit"]:
        """A new visit, without cookies. Fails at the end where the console told an error."""
        context: BrowserContext = await browser.new_context(
            viewport={"width": self.width, "height": 900},
            color_scheme="dark" if self.scheme == "dark" else "light",
            locale=self.language,
            accept_downloads=True,
        )
        visit = Visit(await context.new_page())
        try:
            yield visit
        finally:
            await context.close()
        assert not visit.errors, visit.errors


class Visit:
    """One person at the pages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)

    async def sign_in(self, address: str, email: str, password: str) -> None:
        """Sign in by the form."""
        await self.page.goto(f"{address}/sign-in")
        await self.page.fill("[name=email]", email)
        await self.page.fill("[name=password]", password)
        await self.page.click("form.stack button")
        await self.page.wait_for_url(f"{address}/")

    async def trouble(self) -> list[str]:
        """What is wrong with the page as it stands: what axe finds, and what sticks out at the side."""
        await self.page.evaluate(AXE)
        found = await self.page.evaluate("(tags) => axe.run({ runOnly: { type: 'tag', values: tags } })", RULES)
        wrong = [
            f"{violation['id']}: {violation['help']} ({violation['nodes'][0]['html'][:160]})"
            for violation in found["violations"]
        ]
        root = "document.documentElement"
        if await self.page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"):
            wrong.append("the page is wider than the window")
        return wrong
