"""A person who says stop is heard however it is written, and nobody is heard to say it who did not."""

import unicodedata
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.wishes import START_WORDS, STOP_WORDS, Wish, wish_of, wish_of_payload

EVERY_STOP = sorted({word for words in STOP_WORDS.values() for word in words})
EVERY_START = sorted({word for words in START_WORDS.values() for word in words})
AROUND = st.text(
    " \t\n.,!?;:'\"()[]-\u2013\u2026\u00a1\u00bf\u060c\u0964\u200e\u200f\u202b\u2066\u2069\ufeff*~\U0001f6d1"
)


@st.composite
def written(draw: st.DrawFn, word: str) -> str:
    """A word as some phone may write it."""
    normalize = unicodedata.normalize
    spell = draw(st.sampled_from((partial(normalize, "NFC"), partial(normalize, "NFD"), partial(normalize, "NFKD"))))
    case = draw(st.sampled_from((str.upper, str.lower, str.title, str.swapcase)))
    spaced = case(word).replace(" ", draw(st.sampled_from((" ", "  ", "\u00a0", "\n", "-"))))
    return draw(AROUND) + spell(spaced) + draw(AROUND)


@given(st.data())
def test_every_word_is_heard_however_it_is_written(data: st.DataObject) -> None:
    word, wish = data.draw(
        st.one_of(
            st.tuples(st.sampled_from(EVERY_STOP), st.just(Wish.STOP)),
            st.tuples(st.sampled_from(EVERY_START), st.just(Wish.START)),
        )
    )
    assert wish_of(data.draw(written(word))) is wish


@given(st.sampled_from(EVERY_STOP + EVERY_START), st.text("bcdfgjkqvwxz", min_size=4, max_size=9), st.booleans())
def test_a_word_with_another_beside_it_is_no_wish(word: str, other: str, is_before: bool) -> None:
    assert wish_of(f"{other} {word}" if is_before else f"{word} {other}") is None
    assert wish_of(f"{other}{word}" if is_before else f"{word}{other}") is None


@given(st.text(max_size=300))
def test_whatever_is_written_is_a_wish_or_none(text: str) -> None:
    assert wish_of(text) in {*Wish, None}
    assert wish_of_payload(text) in {*Wish, None}


@given(st.sampled_from(EVERY_STOP), st.sampled_from(EVERY_START))
def test_a_word_on_both_sides_means_stop(stop: str, start: str) -> None:
    assert wish_of(stop, extra_start=[stop]) is Wish.STOP
    assert wish_of(start, extra_stop=[start.upper()]) is Wish.STOP


def test_the_ten_languages_have_both_lists() -> None:
    languages = {"en", "he", "ar", "es", "pt", "fr", "de", "ru", "hi", "id"}
    assert {*STOP_WORDS} == {*START_WORDS} == languages
    assert all(len(words) >= 5 for lists in (STOP_WORDS, START_WORDS) for words in lists.values())


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "stop.", "  Stop!! ", "\uff33\uff34\uff2f\uff30", "UNSUBSCRIBE", "Opt-out", "Cancel",
        "הסר", "\u202bלהסיר!\u202c", "הָסֵר", "توقف", "تَوَقَّفْ", "الغاء الاشتراك", "ايقاف", "توقـــف",
        "BAJA", "No mas mensajes", "PARAR", "SAIR", "cancelar inscricao", "DESABONNER", "Désabonnez-moi",
        "ABMELDEN", "Stopp", "СТОП", "отписаться", "रोकें", "बन्द करें।", "BERHENTI", "stop \U0001f64f\U0001f3fd",
    ],
)  # fmt: skip
def test_people_who_say_stop_are_heard(text: str) -> None:
    assert wish_of(text) is Wish.STOP


@pytest.mark.parametrize("text", ["START", "Unstop", "התחל", "اشتراك", "ALTA", "começar", "reabonner", "старт", "शुरू"])
def test_people_who_say_start_are_heard(text: str) -> None:
    assert wish_of(text) is Wish.START


@pytest.mark.parametrize(
    "text",
    [
        "don't stop", "Don't stop!", "never stop", "when does the sale stop?", "nonstop", "stopwatch", "full stop",
        "אל תסירו אותי", "لا تتوقف", "para", "no pares", "ne pas arrêter", "nicht abmelden", "не стоп", "मत रोकें",
        "jangan berhenti", "yes", "no", "ok", "", " ", "!", "\U0001f6d1", "|", "STOP|b7", "stop start",
    ],
)  # fmt: skip
def test_what_only_has_the_word_in_it_is_no_wish(text: str) -> None:
    assert wish_of(text) is None


def test_never_in_arabic_is_not_taken_for_begin() -> None:
    assert wish_of("أبدًا") is None
    assert wish_of("ابدا") is None


def test_a_business_may_have_words_of_its_own() -> None:
    assert wish_of("Genug!", extra_stop=["genug"]) is Wish.STOP
    assert wish_of("encore une fois", extra_start=["Encore une fois"]) is Wish.START
    assert wish_of("genug") is None
    assert wish_of("...", extra_stop=["", "!"]) is None


@pytest.mark.parametrize(
    "payload", ["STOP", "stop", "STOP|b7", "Stop|", "STOP|start|x", "הסר|b7", "BAJA", "Unsubscribe"]
)
def test_a_button_to_stop_is_heard(payload: str) -> None:
    assert wish_of_payload(payload) is Wish.STOP


@pytest.mark.parametrize("payload", ["", "|", "|STOP", "YES|stop", "don't stop|b7", "stop b7", "Cancel", "CANCEL|o-1"])
def test_other_buttons_are_no_wish(payload: str) -> None:
    assert wish_of_payload(payload) is None


def test_a_button_to_start_again_is_heard() -> None:
    assert wish_of_payload("START|b7") is Wish.START
