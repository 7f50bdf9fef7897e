"""Take the pictures of docs/images: the demo as it is, in a real Chromium. Run by `make screenshots`."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PORT = 8190
ADDRESS = f"http://127.0.0.1:{PORT}"
# Until the plot has something to show.
WAIT_SECONDS = 45
SETTLE_MILLISECONDS = 2_500


class Shot(NamedTuple):
    """One picture. path: of the page."""

    name: str
    path: str
    width: int = 1280
    height: int = 860
    scheme: str = "light"
    language: str = "en"


SHOTS = (
    Shot("broadcast", "/broadcasts/1"),
    Shot("broadcast-phone", "/broadcasts/1", 390, 844, "dark"),
    Shot("broadcast-hebrew", "/broadcasts/1", scheme="dark", language="he"),
    Shot("overview", "/"),
    Shot("compose", "/compose?from=1"),  # a template is chosen, so that the phone shows its message
)


def main() -> None:
    """Start a demo of its own, look at it, stop it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CLARION_DATA_DIR": folder}
        clarion = Path(sys.executable).with_name("clarion")
        demo = subprocess.Popen([clarion, "up", "--demo", "--port", str(PORT)], env=environment)  # noqa: S603
        try:
            _until_it_answers()
            time.sleep(WAIT_SECONDS)
            access = json.loads((Path(folder) / "demo.json").read_text())
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium",
                    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                )
                for shot in SHOTS:
                    _take(browser, shot, access)
                browser.close()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(30)


def _until_it_answers() -> None:
    for _ in range(300):
        try:
            urlopen(f"{ADDRESS}/readyz", timeout=1).close()  # noqa: S310 - our own address
        except (URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise SystemExit("the demo did not start")


def _take(browser: Browser, shot: Shot, access: dict[str, str]) -> None:
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.scheme == "dark" else "light",
        locale=shot.language,
    )
    page = context.new_page()
    page.goto(f"{ADDRESS}/sign-in")
    page.fill("[name=email]", access["email"])
    page.fill("[name=password]", access["password"])
    page.click("form.stack button")
    page.wait_for_url(f"{ADDRESS}/")
    page.goto(f"{ADDRESS}{shot.path}")
    page.wait_for_timeout(SETTLE_MILLISECONDS)
    page.screenshot(path=IMAGES / f"{shot.name}.png")
    context.close()


if __name__ == "__main__":
    main()
