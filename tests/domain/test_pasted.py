"""Lists as people paste them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.pasted import as_csv


@pytest.mark.parametrize("between", ["\n", ", ", ";", "\t", "\r\n", " ,\n"])
def test_numbers_alone_become_a_line_each(between: str) -> None:
    numbers = ["+972 50-123-4567", "0501234568", "(050) 123 4569"]
    assert as_csv(between.join(numbers)).csv.splitlines() == ["phone", *numbers]


def test_a_table_keeps_its_names_or_gets_some() -> None:
    assert as_csv("phone,name\n+972501234567,Dana").added_lines == 0
    found = as_csv("Dana\t+972501234567\nNoam\t+972501234568")
    assert found == ("column 1\tphone\nDana\t+972501234567\nNoam\t+972501234568\n", 1)


@given(st.text())
def test_whatever_is_pasted_is_a_file_with_at_most_one_more_line(text: str) -> None:
    found = as_csv(text)
    assert found.added_lines in (0, 1)
    assert list(csv.reader(io.StringIO(found.csv, newline=""))) or not text.strip()
