"""A CSV file is read whatever wrote it; a bad row stops no other, and what is wrong with the file is said."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.services.csv_lists import SAMPLE_BYTES, CsvList, Row, open_csv


def rows_of(tmp_path: Path, content: str | bytes) -> list[Row]:
    """The people of a file."""
    path = tmp_path / "people.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(open_csv(path))


def test_quoted_fields_may_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'phone,first_name\n+1,"Dana, the\nfirst"\n\n+2,Noam\n')
    assert [(row.number, row.phone, row.variables["first_name"]) for row in rows] == [
        (2, "+1", "Dana, the\nfirst"),
        (5, "+2", "Noam"),
    ]


def test_a_row_with_too_few_fields_is_that_rows_problem(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phone,first_name\n+1\n+2,Noam\n+3,x,y\n")
    assert [row.problem for row in rows] == [
        "it has 1 field, and there are 2 columns",
        None,
        "it has 3 fields, and there are 2 columns",
    ]


def test_a_line_without_end_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phone,first_name\n+1," + "x" * 5_000_000 + "\n+2,Noam\n")
    assert [row.problem for row in rows] == ["it is longer than a megabyte", None]


def test_a_quote_that_never_closes_does_not_swallow_the_rest(tmp_path: Path) -> None:
    many = "".join(f"+{n},Name\n" for n in range(40_000))
    rows = rows_of(tmp_path, f'phone,first_name\n+1,"Dana\n{many}')
    assert rows[0].problem is not None
    assert "is not closed" in rows[0].problem
    assert len(rows) == 40_001


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_read(tmp_path: Path, delimiter: str) -> None:
    (row,) = rows_of(tmp_path, f"Mobile{delimiter}Name\n+1{delimiter}Dana\n")
    assert row.variables == {"Mobile": "+1", "Name": "Dana"}


def test_a_nul_character_is_that_rows_problem(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phone,first_name\n" + "+2,Noam\n" * 200 + "+1,Da\x00na\n")
    assert rows[-1].problem is not None
    assert rows[0].problem is None


def test_a_quote_that_opens_in_the_last_line_swallows_nobody(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'phone,first_name\n+1,"Dana\n+2,Noam\n+3,"Lea"\n')
    assert [(row.number, row.phone, row.problem is None) for row in rows] == [
        (2, "", False),
        (3, "+2", True),
        (4, "+3", True),
    ]


def test_a_quote_inside_a_field_is_that_rows_problem(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'phone,first_name\n+1,"Da"na\n+2,5" tube\n+3,"the ""first"""\n')
    assert rows[0].problem == "it has a quote where none can be"
    assert [row.variables["first_name"] for row in rows[1:]] == ['5" tube', 'the "first"']


def test_a_field_of_boundless_length_is_that_rows_problem(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phone,first_name\n+1," + "x" * 200_000 + "\n+2,Noam\n")
    assert [row.problem for row in rows] == ["it has a field longer than 131072 characters", None]


def test_excels_line_about_the_delimiter_is_understood(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "sep=;\nphone;first_name\n+1;Dana, the first\n")
    assert row == (3, "+1", {"phone": "+1", "first_name": "Dana, the first"}, None)


def test_names_of_columns_may_be_quoted_with_delimiters_and_line_breaks(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, '"phone";"name, first\nand last"\n+1;Dana\n')
    assert row == (3, "+1", {"phone": "+1", "name, first and last": "Dana"}, None)


def test_a_byte_that_is_not_utf8_is_that_rows_problem(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "phone,first_name\n+1,דנה\n".encode() + b"+2,\xff\n+3,Lea\n")
    assert [(row.phone, row.problem) for row in rows] == [
        ("+1", None),
        ("+2", "it cannot be read as utf-8"),
        ("+3", None),
    ]


@pytest.mark.parametrize("name", ["דנה כהן", "נעמה"])
def test_the_encoding_shows_only_far_into_the_file(tmp_path: Path, name: str) -> None:
    rows = rows_of(tmp_path, ("phone,first_name\n" + "+1,Dana\n" * SAMPLE_BYTES + f"+2,{name}\n").encode("cp1255"))
    assert rows[-1].variables["first_name"] == name


@pytest.mark.parametrize(
    "header",
    ["Phone", "phone number", "Phone-No.", "MOBILE", "Cell Phone", "WhatsApp", "טלפון נייד", "Téléphone", "number"],
)
def test_the_phone_column_is_found_by_its_name(tmp_path: Path, header: str) -> None:
    (row,) = rows_of(tmp_path, f"name,{header}\nDana,+1\n")
    assert row.phone == "+1"


def test_a_vague_name_gives_way_to_a_clear_one(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, "number,phone,to\n17,+1,Dana\n")
    assert row.phone == "+1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("phone,mobile\n+1,+2\n", "two columns that may hold the numbers, phone and mobile"),
        ("name,city\nDana,Haifa\n", "no phone column. There is: name, city."),
        ("+972501234567,Dana\n", "begins with a number where the names of its columns should be"),
        ("phone,Name,name\n", 'two columns named "name"'),
        ("<html>", "a web page or XML"),
        ('[{"phone": "+1"}]', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        ("phone,name\n".encode("utf-16-le"), "a binary file"),
        ("phone,name\n1,สมชาย\n2,สมหญิง\n3,ประเสริฐ\n".encode("cp874"), "encoding of .* cannot be made out"),
        ('phone,"name\n+1,Dana\n', "names of the columns .* cannot be read"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_plain_words(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rows_of(tmp_path, content)


def test_a_pipe_is_read_like_a_file() -> None:
    there, here = os.pipe()
    with os.fdopen(here, "wb", buffering=0) as writer:
        writer.write(b"pho")
        writer.write("ne,first_name\n+1,דנה\n".encode())
    people = CsvList(os.fdopen(there, "rb", buffering=0), "The pipe", None)
    assert list(people) == [Row(2, "+1", {"phone": "+1", "first_name": "דנה"})]


FIELD = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=20)


@settings(deadline=None)
@given(st.lists(st.tuples(FIELD, FIELD), max_size=20), st.sampled_from([",", ";", "\t", "|"]))
def test_what_a_spreadsheet_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str]], delimiter: str
) -> None:
    quoted = "".join(
        delimiter.join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in person) + "\r\n" for person in people
    )
    path = tmp_path_factory.mktemp("lists") / "people.csv"
    path.write_bytes(f"phone{delimiter}name\r\n{quoted}".encode("utf-8-sig"))
    read = [(row.phone, row.variables.get("name")) for row in open_csv(path)]
    assert read == [(phone.strip(), name.strip()) for phone, name in people if phone.strip() or name.strip()]
