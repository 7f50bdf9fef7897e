"""The page at `/`: the phones of the simulator. What it shows and does goes through `/_sim/`, like everything else."""

from pathlib import Path
from typing import Final

from server.simulator.http import HTML, response

_FOLDER: Final = Path(__file__).with_name("page")
_GUARD: Final = (
    b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    b"X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n"
)
_FILES: Final = {
    "/": ("index.html", HTML),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def page_at(path: str) -> bytes | None:
    """The HTTP response for one of the page's files; None where the path is none of them."""
    file = _FILES.get(path)
    if file is None:
        return None
    name, content_type = file
    return response(200, (_FOLDER / name).read_bytes(), content_type, _GUARD)
