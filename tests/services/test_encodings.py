"""A short list of names in an old code page is read as the language it is in, or refused; never as gibberish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.services.encodings import encoding_of, marked_encoding

NAMES = {
    "cp1255": "דנה כהן\nמשה לוי\nנעמה לביא\n",
    "cp862": "דנה כהן\nמשה לוי\n",
    "cp1252": "José Muñoz\nÁngela\n",
    "mac_roman": "José Muñoz\nÁngela\n",
    "cp850": "José Muñoz\nBegoña\n",
    "cp1250": "Dvořák\nNovák\nRůžička\nTomáš\n",
    "iso8859_2": "Ščerbová\nŽižka\n",
    "cp1254": "Ayşe\nÇağla\nİbrahim\nGül Yıldız\n",  # noqa: RUF001 - Turkish is meant
    "cp1251": "Иван Петров\nМария\nОльга\n",  # noqa: RUF001 - Cyrillic is meant
    "koi8_r": "Иван Петров\nМария\nОльга\n",  # noqa: RUF001
    "cp1253": "Γιώργος Παπαδόπουλος\nΜαρία\nΕλένη\n",  # noqa: RUF001 - Greek is meant
    "cp1256": "محمد\nفاطمة\nأحمد علي\n",  # noqa: RUF001 - Arabic is meant
    "cp949": "김민수\n이영희\n박지훈\n",
}


@pytest.mark.parametrize("encoding", NAMES)
def test_three_names_are_enough_to_know_the_language(encoding: str) -> None:
    list_of_names = "phone,name\n" + NAMES[encoding]
    found = encoding_of(list_of_names.encode(encoding))
    assert found is not None
    assert list_of_names.encode(encoding).decode(found) == list_of_names


@pytest.mark.parametrize(
    "name", ["Zoë", "Jürgen Weiß", "Conceição", "Hélène", "Søren Åse", "O\u2019Brien, Renée \u2013 5 €"]
)
def test_one_name_of_western_europe_is_enough(name: str) -> None:
    assert encoding_of(f"phone,name\n1,{name}\n".encode("cp1252")) == "cp1252"


def test_people_of_all_of_europe_in_one_list() -> None:
    names = "José\nMüller\nZoë\nSøren\nConceição\nHélène\n"
    assert encoding_of(names.encode("cp1252")) == "cp1252"


def test_a_few_broken_bytes_do_not_make_utf8_something_else() -> None:
    assert encoding_of("דנה\n".encode() * 50 + b"\xff\xfe\n") == "utf-8"


def test_what_no_language_explains_is_refused_rather_than_guessed() -> None:
    assert encoding_of("1,สมชาย\n2,สมหญิง\n3,ประเสริฐ\n".encode("cp874")) is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_utf8_is_utf8(text: str) -> None:
    assert encoding_of(text.encode()) == "utf-8"


def test_a_sample_may_end_inside_a_character() -> None:
    assert encoding_of("דנה".encode()[:-1]) == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_names_the_encoding(encoding: str) -> None:
    assert marked_encoding("phone\n".encode(encoding)) == encoding
    assert marked_encoding(b"phone\n") is None
