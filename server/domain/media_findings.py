"""What the pre-flight says of the media of a header, from what its link answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from server.domain.preflight import Code, Finding, Level
from server.domain.sentences import said

_MEGABYTE: Final = 1024 * 1024
_KINDS: Final = (said("image"), said("video"), said("document"))


@dataclass(frozen=True, slots=True)
class LinkAnswer:
    """What a media link answered to a HEAD request; size_bytes is None where it does not say."""

    http_status: int
    media_type: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """A link that WhatsApp can never fetch, and that was not asked. reason: in plain words, without a full stop."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkSilent:
    """A link that did not answer. reason: in plain words, without a full stop."""

    reason: str


LinkLook = LinkAnswer | LinkRefused | LinkSilent

_GONE: Final = frozenset((404, 410))
# Some servers answer no HEAD at all, and are no worse for it.
_NO_HEAD: Final = frozenset((405, 501))
LARGEST_MEGABYTES: Final[Mapping[str, int]] = {"image": 5, "video": 16, "document": 100}


def of_link(kind: str, look: LinkLook) -> Iterator[Finding]:
    """The link of a header. kind: image, video or document; sizes are Meta's."""
    pointer = f"/template/header/{kind}/link"
    match look:
        case LinkRefused(reason):
            detail = said("The %(kind)s's link cannot be used: %(reason)s.", kind=kind, reason=reason)
            yield Finding(Level.ERROR, Code.MEDIA_LINK, detail, pointer)
        case LinkSilent(reason):
            detail = said("The %(kind)s's link does not answer: %(reason)s.", kind=kind, reason=reason)
            yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)
        case LinkAnswer(http_status) if http_status in _GONE:
            detail = said("The %(kind)s is not where its link says (HTTP %(status)s).", kind=kind, status=http_status)
            yield Finding(Level.ERROR, Code.MEDIA_LINK, detail, pointer)
        case LinkAnswer(http_status) if http_status in _NO_HEAD:
            return
        case LinkAnswer(http_status) if not 200 <= http_status < 300:
            detail = said(
                "The %(kind)s's link answers with HTTP %(status)s; it should open without signing in.",
                kind=kind,
                status=http_status,
            )
            yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)
        case LinkAnswer(_, media_type, size_bytes):
            yield from _of_media(kind, media_type, size_bytes, pointer)


def _of_media(kind: str, media_type: str, size_bytes: int | None, pointer: str) -> Iterator[Finding]:
    if kind in ("image", "video") and media_type and not media_type.lower().startswith(f"{kind}/"):
        detail = said(
            "The %(kind)s's link leads to %(type)s; WhatsApp will not take it for %(a_kind)s.",
            kind=kind,
            type=media_type,
            a_kind=said("an image") if kind == "image" else said("a video"),
        )
        yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)
    largest = LARGEST_MEGABYTES.get(kind)
    if largest is not None and size_bytes is not None and size_bytes > largest * _MEGABYTE:
        detail = said(
            "The %(kind)s has %(size)s MB; WhatsApp takes %(most)s MB at most.",
            kind=kind,
            size=f"{size_bytes / _MEGABYTE:.1f}",
            most=largest,
        )
        yield Finding(Level.WARNING, Code.MEDIA_LINK, detail, pointer)


def of_personal_link(kind: str) -> Finding:
    """A link that differs from person to person."""
    detail = said("The %(kind)s's link differs from person to person, so it was not tried.", kind=kind)
    return Finding(Level.INFO, Code.MEDIA_LINK, detail)
