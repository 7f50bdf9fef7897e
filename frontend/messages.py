"""Bring the catalogues of the dashboard up to date: every text of templates and code, in every language.

Run by `make messages`. What has a translation keeps it; what is new stands there without one; what is gone goes. What
the engine says to people is marked as such: a page finds it again in sentences that were kept (`domain/sentences.py`).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from server.dashboard.languages import OF_THE_ENGINE
from server.domain.meanings import MEANINGS

SERVER = Path(__file__).parent.parent / "server"
PAGES = SERVER / "dashboard"
TRANSLATIONS = PAGES / "translations"
LANGUAGES = ("he", "ar", "es")
IN_CONTEXT = ((1, "c"), 2)
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": IN_CONTEXT, "NP_": IN_CONTEXT}
# Where the engine says something. What only the command line or a program sees is left out.
ENGINE = (
    *("domain/*", "services/*", "providers/*", "jobs/*", "dashboard/*"),
    *("database", "secrets", "steering", "uploads"),
)
NOT_SHOWN = frozenset(("channel_directory", "idempotency", "inbox", "pacing", "rate_cards", "receipts"))
# By the place of the text among what they are called with.
SAID = {
    "said": (0,),
    "counted": (0, 1),
    "Problem": (1,),
    **dict.fromkeys(("BadInput", "Forbidden", "LimitReached", "NotFound", "NotNow", "StorageFull", "Taken"), (0,)),
    **dict.fromkeys(("DatabaseAway", "ProviderAway", "QueueAway"), (0,)),
}
OPTIONS = {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.do"}


def texts() -> Catalog:
    """Every text that a person may see."""
    catalogue = Catalog(project="Clarion", charset="utf-8")
    for path in sorted((*PAGES.rglob("*.html"), *PAGES.rglob("*.py"))):
        method = "jinja2" if path.suffix == ".html" else "python"
        for number, message, _comments, context in extract_from_file(method, path, keywords=KEYWORDS, options=OPTIONS):
            catalogue.add(message, locations=[(str(path.relative_to(SERVER)), number)], context=context)
    for place, number, message in _of_the_engine():
        catalogue.add(message, locations=[(place, number)], auto_comments=[OF_THE_ENGINE])
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


def _of_the_engine() -> Iterator[tuple[str, int, str | tuple[str, ...]]]:
    paths = sorted(path for place in ENGINE for path in SERVER.glob(f"{place}.py") if path.stem not in NOT_SHOWN)
    for path in paths:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in SAID:
                found = [call.args[place] for place in SAID[call.func.id] if place < len(call.args)]
                texts = [node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)]
                if texts:
                    yield str(path.relative_to(SERVER)), call.lineno, texts[0] if len(texts) == 1 else tuple(texts)
    for meaning in MEANINGS.values():
        yield from (("domain/meanings.py", 0, sentence) for sentence in meaning if sentence)


def _is_said(message: Message) -> bool:
    said = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return all(said)


if __name__ == "__main__":
    main()
