"""What a person's own words ask for: to get no more messages, or to get them again.

A wish is the whole message and nothing beside it. "Stop" is one; "don't stop" and "when does the sale stop?" are not,
and are left to people. The English words are those that the FCC names (47 CFR 64.1200(a)(10)); the others are what
senders of text messages in each language print below their messages.

Upper case, accents, vowel points, punctuation, emoji and the marks of right-to-left text change nothing: a phone adds
and drops them as it likes. A message that could mean both means stop.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final


class Wish(StrEnum):
    """What a person asks for."""

    STOP = "stop"
    START = "start"


STOP_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        "stop", "stop all", "stopall", "stop please", "please stop", "stop it", "stop messages", "stop messaging me",
        "unsubscribe", "unsubscribe me", "please unsubscribe", "opt out", "optout", "opt me out", "revoke", "remove me",
        "no more messages", "cancel", "end", "quit",
    ),
    "he": (
        "הסר", "להסיר", "הסרה", "להסרה", "הסירו", "הסר אותי", "הסירו אותי", "תסיר אותי", "תסירו אותי", "הסירוני",
        "נא להסיר", "בבקשה להסיר", "להסיר אותי", "עצור", "עצרו", "הפסק", "הפסיקו", "תפסיקו", "להפסיק", "סטופ",
        "ביטול הרשמה", "בטל הרשמה", "ביטול מנוי",
    ),
    "ar": (
        "توقف", "توقفوا", "قف", "أوقف", "إيقاف", "إيقاف الرسائل", "أوقفوا الرسائل", "إلغاء الاشتراك", "ألغ الاشتراك",
        "إلغاء اشتراكي", "ألغوا اشتراكي", "احذفني", "ستوب",
    ),
    "es": (
        "baja", "dar de baja", "darme de baja", "dame de baja", "quiero darme de baja", "parar", "detener", "salir",
        "desuscribir", "desuscribirme", "desuscribirse", "cancelar suscripción", "cancelar la suscripción",
        "no más mensajes",
    ),
    "pt": (
        "parar", "pare", "sair", "descadastrar", "descadastre me", "me descadastre", "remover", "me remova",
        "desinscrever", "cancelar inscrição", "cancelar assinatura", "cancelar a inscrição",
    ),
    "fr": (
        "arrêt", "arrêter", "arrêtez", "désabonner", "désabonnement", "se désabonner", "me désabonner",
        "désabonnez moi", "désinscrire", "désinscription", "se désinscrire", "me désinscrire", "désinscrivez moi",
    ),
    "de": (
        "stopp", "abmelden", "abmeldung", "abbestellen", "abbestellung", "austragen", "bitte abmelden",
        "newsletter abbestellen", "newsletter abmelden", "keine nachrichten mehr",
    ),
    "ru": (
        "стоп", "отписаться", "отписка", "отписать", "отпишите", "отпишите меня", "отказ", "отказаться", "прекратить",
        "прекратите", "остановить", "отмена подписки",
    ),
    "hi": (
        "रोकें", "रोको", "रोक", "बंद", "बन्द", "बंद करें", "बन्द करें", "बंद करो", "बंद कीजिए", "स्टॉप",
        "सदस्यता समाप्त करें", "band karo", "band karen", "roko", "rokein",
    ),
    "id": (
        "berhenti", "hentikan", "berhenti berlangganan", "batal berlangganan", "berhenti langganan", "unreg",
    ),
}  # fmt: skip
"""By ISO 639 code. Words that more often mean something else stay out, such as "para" or "cancelar"."""

START_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("start", "start again", "restart", "unstop", "subscribe", "subscribe me", "resubscribe", "opt in", "optin"),
    "he": (
        "התחל", "להתחיל", "התחילו", "הצטרף", "להצטרף", "הצטרפות", "הרשמה", "הירשם", "הרשם", "להירשם", "להרשם",
        "סטארט",
    ),
    # Not the plain imperative "begin": without its hamza, which phones leave out, it is the word for "never".
    "ar": ("بدء", "البدء", "اشتراك", "اشترك", "الاشتراك", "استئناف", "ستارت"),
    "es": ("alta", "darme de alta", "dame de alta", "iniciar", "empezar", "comenzar", "reanudar", "suscribir",
           "suscribirme"),
    "pt": ("iniciar", "começar", "recomeçar", "inscrever", "me inscreva", "inscreva me", "cadastrar", "assinar"),
    "fr": ("démarrer", "commencer", "reprendre", "s'abonner", "abonner", "m'abonner", "abonnez moi", "réabonner",
           "se réabonner", "me réabonner"),
    "de": ("starten", "anmelden", "anmeldung", "wieder anmelden", "abonnieren"),
    "ru": ("старт", "начать", "подписаться", "подписка", "подпишите меня", "возобновить"),
    "hi": ("शुरू", "शुरु", "शुरू करें", "शुरु करें", "शुरू करो", "स्टार्ट", "shuru", "shuru karo", "shuru karen"),
    "id": ("mulai", "mulai lagi", "langganan", "berlangganan", "berlangganan lagi"),
}  # fmt: skip
"""By ISO 639 code. Stricter than the other list: "yes" or "continue" answer some other question as a rule."""

# A button with one of these is made to end an order or an appointment; a message of one of them is not.
_NOT_IN_BUTTONS: Final = ("cancel", "end", "quit")

# Marks that a language writes or leaves out without changing the word: accents of Latin and Cyrillic, points of Hebrew,
# vowel signs and hamza of Arabic, the nukta of Devanagari; and variation selectors, which only colour emoji.
_WRITTEN_OR_NOT: Final[Mapping[int, None]] = {
    code: None
    for first, last in ((0x300, 0x36F), (0x591, 0x5C7), (0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670),
                        (0x6D6, 0x6ED), (0x93C, 0x93C), (0xFE00, 0xFE0F))
    for code in range(first, last + 1)
}  # fmt: skip
# Letters that keyboards give for one another: Arabic yeh, kaf and teh marbuta, and the two nasal dots of Devanagari.
_SAME_LETTER: Final[Mapping[int, int]] = {0x649: 0x64A, 0x6CC: 0x64A, 0x6A9: 0x643, 0x629: 0x647, 0x901: 0x902}
_REWRITTEN: Final[Mapping[int, int | None]] = {**_WRITTEN_OR_NOT, **_SAME_LETTER}


def _folded(text: str) -> str:
    """The words alone, in one way of writing them, with one space between them."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()).translate(_REWRITTEN)
    return " ".join("".join(map(_letter_or_space, text)).split())


def _letter_or_space(char: str) -> str:
    """Letters, digits and their marks as they are; nothing for what cannot be seen; a space for all else."""
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return char if category[0] in "LMN" else " "


def _all_folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_folded, words)) - {""}


_STOP: Final = _all_folded(word for words in STOP_WORDS.values() for word in words)
_START: Final = _all_folded(word for words in START_WORDS.values() for word in words)
_STOP_IN_BUTTONS: Final = _STOP - _all_folded(_NOT_IN_BUTTONS)


def wish_of(text: str, extra_stop: Collection[str] = (), extra_start: Collection[str] = ()) -> Wish | None:
    """What a message asks for; None for every other message.

    extra_stop, extra_start: more words, of one business; they are compared like the others. A word on both sides
    means stop, whoever put it there.
    """
    words = _folded(text)
    if words in _STOP or words in _all_folded(extra_stop):
        return Wish.STOP
    return Wish.START if words in _START or words in _all_folded(extra_start) else None


def wish_of_payload(payload: str) -> Wish | None:
    """What the payload of a quick reply asks for: a word alone, or a word before the first `|`, as in `STOP|b7`."""
    words = _folded(payload.partition("|")[0])
    if words in _STOP_IN_BUTTONS:
        return Wish.STOP
    return Wish.START if words in _START else None
