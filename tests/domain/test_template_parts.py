"""What a template is made of, and what it looks like with values in it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.domain.template_parts import Variable, examples_of, fill, shown, shown_to, variables, variables_of

NAMED: list[dict[str, Any]] = [
    {
        "type": "BODY",
        "text": "Hi {{first_name}}, we expect you on {{date}}.",
        "example": {"body_text_named_params": [{"param_name": "first_name", "example": "Dana"}]},
    }
]
CODE: list[dict[str, Any]] = [
    {"type": "BODY", "text": "*{{1}}* is your code.", "example": {"body_text": [["123456"]]}},
    {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Copy", "url": "https://x/?c={{1}}", "example": ["https://x/?c=12"]}]},
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "example", "format", "buttons", "cards", "components", "body_text", "url"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def test_examples_fill_the_variables_they_belong_to() -> None:
    assert shown(NAMED, examples_of(NAMED)).body == "Hi Dana, we expect you on {{date}}."
    message = shown(CODE, examples_of(CODE))
    assert (message.body, message.buttons[0].beside) == ("*123456* is your code.", "https://x/?c=12")
    assert variables(CODE) == [Variable("body", "1", "123456"), Variable("button", "Copy", "12")]


def test_a_value_of_the_header_is_none_of_the_body() -> None:
    both: list[dict[str, Any]] = [
        {"type": "HEADER", "format": "TEXT", "text": "To {{1}}"},
        {"type": "BODY", "text": "Hi {{1}}"},
    ]
    message = shown(both, {"variables": {"1": "Dana"}, "header": {"text": "all"}})
    assert (message.header, message.body) == ("To all", "Hi Dana")


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
def test_what_has_no_value_stays_as_it_was_written(written: str, values: dict[str, str]) -> None:
    wanted = variables_of(written)
    if not set(wanted) & set(values):
        assert fill(written, values) == written


@given(st.lists(st.dictionaries(st.sampled_from(["type", "text", "example", "buttons", "cards"]), JSON), max_size=4))
def test_whatever_whatsapp_sends_can_be_shown(components: list[dict[str, Any]]) -> None:
    shown(components, examples_of(components))
    variables(components)


def test_a_person_gets_their_own_values_and_what_they_lack_stays_a_placeholder() -> None:
    components: list[dict[str, Any]] = [
        {"type": "HEADER", "format": "DOCUMENT"},
        {"type": "BODY", "text": "Hi {{1}}, your order {{2}}."},
    ]
    template = {
        "variables": {"1": "{{first_name}}", "2": "no. {{order}} of {{city}}"},
        "header": {"document": {"link": "https://x.example/a.pdf", "filename": "{{order}}.pdf"}},
    }
    message = shown_to({"template": template}, components, {"first_name": "Dana\n", "order": "7"})
    assert (message.media, message.media_name) == ("document", "7.pdf")
    assert message.body == "Hi Dana , your order no. 7 of {{city}}."


def test_a_free_text_keeps_its_lines() -> None:
    message = shown_to({"text": {"body": "Hi {{first_name}},\nsee you in {{city}}"}}, [], {"first_name": "Dana"})
    assert message.body == "Hi Dana,\nsee you in {{city}}"
    assert shown_to({}, [], {}).is_empty
