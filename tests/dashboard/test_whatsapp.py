"""Texts as WhatsApp shows them: marks become what they mean, and everything else stays a text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from server.dashboard.whatsapp import formatted


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*now*", "<strong>now</strong>"),
        ("_a_ ~b~ `c`", "<em>a</em> <del>b</del> <code>c</code>"),
        ("*_both_*", "<strong><em>both</em></strong>"),
        ("```*as it is*\n<b>```", "<code>*as it is*\n&lt;b&gt;</code>"),
        ("2*3*4", "2*3*4"),
        ("snake_case_name", "snake_case_name"),
        ("* not bold *", "* not bold *"),
        ("*over\nlines*", "*over\nlines*"),
        ("{{1}} & *{{name}}*", "<mark>{{1}}</mark> &amp; <strong><mark>{{name}}</mark></strong>"),
        ("https://x.example/a_b_c", '<span class="wa-link">https://x.example/a_b_c</span>'),
        ("*שלום*", "<strong>שלום</strong>"),
    ],
)
def test_marks_mean_what_they_mean_in_whatsapp(written: str, read: str) -> None:
    assert str(formatted(written)) == read


@given(st.text(alphabet=st.sampled_from("*_~`{}<>&\"'a \n/:htps")))
def test_no_text_becomes_markup_of_its_own(written: str) -> None:
    html = str(formatted(written))
    assert set(re.findall(r"<[^>]*>", html)) <= {
        *(f"<{slash}{name}>" for slash in ("", "/") for name in ("strong", "em", "del", "code", "mark")),
        '<span class="wa-link">',
        "</span>",
    }
    bare = re.sub(r"<[^>]*>", "", html)
    assert [letter for letter in bare if letter not in "*_~`"] == [
        letter for letter in str(escape(written)) if letter not in "*_~`"
    ]
