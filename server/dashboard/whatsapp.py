"""A message as WhatsApp shows it: *bold*, _italic_, ~strike~ and ```mono```, with everything else escaped.

The marks hold as WhatsApp's app has them: they touch the words that they enclose, stand at their edges, and do not
reach over the end of a line.
"""

import re
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from server.dashboard.looks import N_

_MONO: Final = re.compile(r"```(.+?)```", re.DOTALL)
_MARKS: Final = tuple(
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^{mark}\n]*[^\s{mark}]){mark}(?![\w{mark}])"), element)
    for mark, element in ((r"\*", "strong"), ("_", "em"), ("~", "del"), ("`", "code"))
)
_LINK: Final = re.compile(r"https?://[^\s<]+")
_PLACEHOLDER: Final = re.compile(r"\{\{\s*[^{}]+?\s*\}\}")

# What stands in a button's or a header's place, by its kind.
ICONS: Final = {
    "url": "external-link",
    "phone_number": "phone",
    "quick_reply": "reply",
    "copy_code": "copy",
    "otp": "copy",
    "flow": "list-checks",
    "catalog": "shopping-bag",
    "mpm": "shopping-bag",
    "spm": "shopping-bag",
    "image": "image",
    "gif": "image",
    "video": "video",
    "document": "file",
    "location": "map-pin",
    "product": "shopping-bag",
}


# What a header shows where its file has no name.
MEDIA: Final[Mapping[str, str]] = {
    "image": N_("A picture"),
    "video": N_("A video"),
    "document": N_("A document"),
    "location": N_("A place on the map"),
    "gif": N_("A moving picture"),
    "product": N_("A product"),
}


def formatted(text: str) -> Markup:
    """A text with its marks as HTML, safe whatever stands in it. A placeholder without a value is marked as one."""
    pieces = _MONO.split(text)
    done = [
        f"<code>{_with_places(str(escape(piece)))}</code>" if place % 2 else _inline(piece)
        for place, piece in enumerate(pieces)
    ]
    return Markup("".join(done))  # noqa: S704 - escaped piece by piece above


def with_places(text: str) -> Markup:
    """An address or the name of a file, in which nothing but a placeholder without a value is marked."""
    return Markup(_with_places(str(escape(text))))  # noqa: S704 - escaped


def _inline(piece: str) -> str:
    safe = _LINK.sub(lambda found: f'<span class="wa-link">{found[0]}</span>', str(escape(piece)))
    for pattern, element in _MARKS:
        safe = pattern.sub(rf"<{element}>\1</{element}>", safe)
    return _with_places(safe)


def _with_places(safe: str) -> str:
    return _PLACEHOLDER.sub(lambda found: f"<mark>{found[0]}</mark>", safe)
