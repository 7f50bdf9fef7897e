"""What a template leaves open, filled in part by part; and how the message looks meanwhile."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.domain.blanks import Kind, blanks_of, carried_over, filled
from server.domain.messages import plan_template
from server.domain.template_parts import shown_to

COMPONENTS: list[dict[str, Any]] = [
    {"type": "HEADER", "format": "DOCUMENT"},
    {"type": "BODY", "text": "Hi {{2}}, {{1}} is here.", "example": {"body_text": [["A-17", "Dana"]]}},
    {"type": "FOOTER", "text": "Reply STOP to stop"},
    {
        "type": "BUTTONS",
        "buttons": [
            {"type": "QUICK_REPLY", "text": "Yes"},
            {"type": "URL", "text": "Track", "url": "https://example.com/{{1}}"},
            {"type": "PHONE_NUMBER", "text": "Call"},
        ],
    },
]
EMPTY: dict[str, Any] = {"template": {"name": "order", "language": "en"}}
FIELDS = ("media", "filename", "body.1", "body.2", "button.0", "button.1")
_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{}")).filter(str.strip)


def test_every_blank_is_named_with_its_example_and_whether_it_is_needed() -> None:
    found = blanks_of(EMPTY, COMPONENTS, "POSITIONAL")
    assert tuple(blank.field for blank in found) == FIELDS
    assert [blank.field for blank in found if not blank.is_needed] == ["filename", "button.0"]
    assert [blank.example for blank in found if blank.kind is Kind.BODY] == ["A-17", "Dana"]


@given(st.dictionaries(st.sampled_from(FIELDS), _texts))
def test_what_is_filled_in_is_found_again_and_nothing_else(given: dict[str, str]) -> None:
    blanks = blanks_of(EMPTY, COMPONENTS, "POSITIONAL")
    message = filled(EMPTY, blanks, given)
    again = {blank.field: blank.value for blank in blanks_of(message, COMPONENTS, "POSITIONAL") if blank.value}
    expected = {field: text.strip() for field, text in given.items()}
    if "media" not in expected:
        expected.pop("filename", None)  # a document without a link has no name either
    assert again == expected


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, _texts)))
def test_a_message_with_every_blank_filled_fits_its_template(given: dict[str, str]) -> None:
    plan_template(filled(EMPTY, blanks_of(EMPTY, COMPONENTS, "POSITIONAL"), given), COMPONENTS, "POSITIONAL")


def test_another_language_keeps_what_fills_the_template_and_another_template_does_not() -> None:
    message = {"template": {**EMPTY["template"], "variables": {"1": "x"}}}
    assert carried_over(message, "order", "he")["template"]["variables"] == {"1": "x"}
    assert carried_over(message, "sale", "en") == {"template": {"name": "sale", "language": "en"}}


def test_a_preview_shows_what_is_sent_and_marks_what_is_missing() -> None:
    given = {"body.1": "{{order}}", "body.2": "dear\n{{name}}"}
    message = filled(EMPTY, blanks_of(EMPTY, COMPONENTS, "POSITIONAL"), given)
    shown = shown_to(message, COMPONENTS, {"name": "Dana", "order": " "})
    assert (shown.media, shown.media_name) == ("document", "")
    assert shown.body == "Hi dear Dana, {{order}} is here."
    assert [button.text for button in shown.buttons] == ["Yes", "Track", "Call"]
