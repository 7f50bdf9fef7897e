"""People as JSON lines: what is read, and that one bad line stops nobody else."""

import io

import pytest

from server.services.csv_lists import LONGEST_LINE, Row
from server.services.json_lines import JsonLines

DANA = '{"phone": "+972501234567", "variables": {"first_name": "Dana", "n": 7, "none": null}}'


def read(text: str | bytes) -> list[Row]:
    return list(JsonLines(io.BytesIO(text if isinstance(text, bytes) else text.encode())))


def test_every_line_is_a_person_with_its_number() -> None:
    rows = read(f"{DANA}\n\n  {DANA}  \r\n{DANA}")
    assert [row.number for row in rows] == [1, 3, 4]
    assert rows[0] == Row(1, "+972501234567", {"first_name": "Dana", "n": "7"})


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read("\ufeff" + DANA)[0].problem is None


def test_a_phone_may_be_a_number() -> None:
    assert read('{"phone": 972501234567}') == [Row(1, "972501234567", {})]


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[]", "7", "{}",
        '{"phone": null}', '{"phone": "1", "name": "x"}', '{"phone": "1", "variables": [1]}',
        '{"phone": "1", "variables": {"a": {"b": 1}}}', "[" * 100_000, '{"phone": "1", "variables": {"a": "\\u0000"}}',
        '{"phone": 1e999}', '"\\ud800"',
    ],
)  # fmt: skip
def test_a_line_that_is_no_person_stops_nobody_else(line: str) -> None:
    before, bad, after = read(f"{DANA}\n{line}\n{DANA}")
    assert before.problem is None
    assert after.problem is None
    assert bad.number == 2
    assert bad.problem


def test_bytes_that_are_no_utf_8_are_that_lines_problem() -> None:
    rows = read(b'{"phone": "\xff\xfe"}\n' + DANA.encode())
    assert [bool(row.problem) for row in rows] == [True, False]


def test_a_line_longer_than_a_megabyte_is_passed_over() -> None:
    rows = read("{" + "x" * (2 * LONGEST_LINE) + "\n" + DANA)
    assert [(row.number, bool(row.problem)) for row in rows] == [(1, True), (2, False)]
