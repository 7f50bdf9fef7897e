"""Bring the catalogues of the dashboard up to date: every text of templates and code, in every language.

Run by `make messages`. What has a translation keeps it; what is new stands there without one; what is gone goes. The
sentences of the dashboard's own errors are texts too, and so is what each of WhatsApp's codes means.
"""

from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from server.domain.meanings import MEANINGS

PAGES = Path(__file__).parent.parent / "server" / "dashboard"
TRANSLATIONS = PAGES / "translations"
LANGUAGES = ("he", "ar", "es")
IN_CONTEXT = ((1, "c"), 2)
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": IN_CONTEXT, "NP_": IN_CONTEXT}
ERRORS = {"Problem": (2,), **dict.fromkeys(("BadInput", "Forbidden", "LimitReached", "NotFound", "QueueAway"))}
OPTIONS = {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.do"}


def texts() -> Catalog:
    """Every text that a person may see."""
    catalogue = Catalog(project="Clarion", charset="utf-8")
    for path in sorted((*PAGES.rglob("*.html"), *PAGES.rglob("*.py"))):
        for number, message, _comments, context in _found(path):
            catalogue.add(message, locations=[(str(path.relative_to(PAGES)), number)], context=context)
    for meaning in MEANINGS.values():
        for sentence in filter(None, meaning):
            catalogue.add(sentence, locations=[("domain/meanings.py", 0)])
    return catalogue


def catalogue_of(language: str) -> Catalog:
    """A language as it is translated now."""
    path = TRANSLATIONS / f"{language}.po"
    if not path.exists():
        return Catalog(locale=language, project="Clarion", charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def untranslated(language: str) -> list[Message]:
    """What a language still says in English."""
    catalogue = catalogue_of(language)
    catalogue.update(texts(), no_fuzzy_matching=True)
    return [message for message in catalogue if message.id and not _is_said(message)]


def main() -> None:
    """Write every catalogue anew."""
    found = texts()
    for language in LANGUAGES:
        catalogue = catalogue_of(language)
        # With a new date a file would differ where no text does.
        catalogue.update(found, no_fuzzy_matching=True, update_creation_date=False)
        catalogue.obsolete.clear()
        catalogue.fuzzy = False
        catalogue.header_comment = (
            f"# Clarion's dashboard in {catalogue.locale.english_name}; see frontend/messages.py."
        )
        with (TRANSLATIONS / f"{language}.po").open("wb") as file:
            write_po(file, catalogue, width=120, sort_output=True, no_location=True, omit_header=False)


def _found(path: Path) -> "Iterator[tuple[int, str | tuple[str, ...], list[str], str | None]]":
    method = "jinja2" if path.suffix == ".html" else "python"
    yield from extract_from_file(method, path, keywords=KEYWORDS, options=OPTIONS)
    if method == "python":
        # An error that names a value is told in English; Babel complains of each.
        with redirect_stderr(StringIO()):
            yield from extract_from_file(method, path, keywords=ERRORS)


def _is_said(message: Message) -> bool:
    said = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return all(said)


if __name__ == "__main__":
    main()
