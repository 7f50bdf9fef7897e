"""What follows from a phone number alone: the person's name, business-scoped user id, and words."""

import zlib
from functools import lru_cache
from typing import Final

import phonenumbers

_NAMES: Final = ("Dana", "Noam", "Maya", "Omar", "Layla", "Yael", "Adam", "Rivka", "Amir", "Tamar", "Jon", "Ana")

_STOP_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "IL": ("הסר", "STOP", "הסר אותי"),
    "AE": ("إيقاف", "STOP"),
    "SA": ("إيقاف", "إلغاء"),
    "EG": ("إيقاف",),
    "FR": ("STOP", "ARRET", "Arrêt"),
    "DE": ("STOPP", "Stop", "Abmelden"),
    "ES": ("BAJA", "PARAR"),
    "MX": ("BAJA", "ALTO"),
    "AR": ("BAJA",),
    "BR": ("SAIR", "PARAR"),
    "PT": ("PARAR",),
    "IT": ("STOP", "ANNULLA"),
    "RU": ("СТОП", "стоп"),
    "IN": ("STOP", "रोकें"),
    "TR": ("DUR", "İPTAL"),
    "NL": ("STOP", "Afmelden"),
}
_STOP_ANYWHERE: Final = ("STOP", "Stop", "stop.", "UNSUBSCRIBE")
_START_WORDS: Final[dict[str, str]] = {"IL": "התחל", "ES": "ALTA", "MX": "ALTA", "BR": "VOLTAR"}
_REPLIES: Final = ("Thank you!", "When do you open?", "Is it still available?", "תודה רבה", "OK", "👍")


@lru_cache(maxsize=4096)
def region_of_prefix(prefix: str) -> str:
    """The country that numbers with these first digits belong to, ZZ where there is none."""
    for length in (1, 2, 3):
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(prefix[:length] or 0))
        if regions is not None:
            return str(regions[0])
    return "ZZ"


def region_of(wa_id: str) -> str:
    """The country of a person, by the calling code; of those that share one, the largest."""
    return region_of_prefix(wa_id[:3])


def user_id_of(wa_id: str) -> str:
    """The business-scoped user id of a person; one that is given is its own."""
    if not wa_id.isdigit():
        return wa_id
    return f"{region_of_prefix(wa_id[:3])}.1{zlib.crc32(wa_id.encode()):010d}{wa_id[-7:]}"


def name_of(wa_id: str) -> str:
    """What the person calls himself or herself."""
    return _NAMES[zlib.crc32(wa_id.encode()) % len(_NAMES)]


def stop_word_of(wa_id: str) -> str:
    """How this person asks to be left alone, in a language of the country."""
    words = _STOP_WORDS.get(region_of(wa_id), _STOP_ANYWHERE)
    return words[zlib.crc32(wa_id.encode()) % len(words)]


def start_word_of(wa_id: str) -> str:
    """How this person asks to hear from the business again."""
    return _START_WORDS.get(region_of(wa_id), "START")


def reply_of(wa_id: str) -> str:
    """What this person answers."""
    return _REPLIES[zlib.crc32(wa_id.encode()) % len(_REPLIES)]
