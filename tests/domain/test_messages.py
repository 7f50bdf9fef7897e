"""A message is planned once; what is rendered is exactly what the Cloud API asks for."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.domain.messages import MessagePlan, columns_of, plan_template, plan_text

BODY = {"type": "BODY", "text": "Hi {{1}}, your order {{2}} is on its way."}
SALE: list[dict[str, Any]] = [
    {"type": "HEADER", "format": "IMAGE"},
    BODY,
    {"type": "FOOTER", "text": "Reply STOP"},
    {
        "type": "BUTTONS",
        "buttons": [{"type": "QUICK_REPLY", "text": "Stop"}, {"type": "URL", "url": "https://x.example/{{1}}"}],
    },
]
COLUMNS = {"1": "{{first_name}}", "2": "Order {{order_id}}"}
DANA = {"first_name": "Dana", "order_id": "A-17"}


def a_template(**fields: Any) -> dict[str, Any]:
    """What POST /broadcasts would say of a template."""
    return {"template": {"name": "order_update", "language": "en_US", **fields}}


def rendered(plan: MessagePlan, variables: dict[str, str]) -> dict[str, Any]:
    """The request body for Dana's number."""
    body: dict[str, Any] = json.loads(plan.render("+972501234567", variables, "b7:r1"))
    return body


def test_a_positional_template() -> None:
    plan = plan_template(a_template(variables=COLUMNS), [BODY], "POSITIONAL")
    assert plan.columns == ("first_name", "order_id")
    assert rendered(plan, DANA) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+972501234567",
        "biz_opaque_callback_data": "b7:r1",
        "type": "template",
        "template": {
            "name": "order_update",
            "language": {"code": "en_US"},
            "components": [
                {
                    "type": "body",
                    "parameters": [{"type": "text", "text": "Dana"}, {"type": "text", "text": "Order A-17"}],
                }
            ],
        },
    }


def test_a_named_template_names_its_parameters() -> None:
    body = {"type": "BODY", "text": "Hi {{first_name}}"}
    plan = plan_template(a_template(variables={"first_name": "{{name}}"}), [body], "NAMED")
    (component,) = rendered(plan, {"name": "Dana"})["template"]["components"]
    assert component["parameters"] == [{"type": "text", "parameter_name": "first_name", "text": "Dana"}]


def test_parameters_come_in_the_order_of_their_numbers_not_of_the_text() -> None:
    body = {"type": "BODY", "text": "Order {{2}} is on its way to you, {{1}}. {{2}}!"}
    plan = plan_template(a_template(variables=COLUMNS), [body], "POSITIONAL")
    (component,) = rendered(plan, DANA)["template"]["components"]
    assert [parameter["text"] for parameter in component["parameters"]] == ["Dana", "Order A-17"]


def test_a_named_url_names_its_parameter_too() -> None:
    button = {"type": "URL", "text": "Track", "url": "https://x.example/{{order}}"}
    template: list[dict[str, Any]] = [{"type": "BODY", "text": "Hello"}, {"type": "BUTTONS", "buttons": [button]}]
    plan = plan_template(a_template(buttons={"0": "spring sale/{{order_id}}"}), template, "NAMED")
    (component,) = rendered(plan, DANA)["template"]["components"]
    assert component["parameters"] == [{"type": "text", "parameter_name": "order", "text": "spring%20sale/A-17"}]


def test_a_one_time_code_fills_its_button_as_well() -> None:
    template: list[dict[str, Any]] = [
        {"type": "BODY", "text": "*{{1}}* is your code."},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy"}]},
    ]
    message = a_template(variables={"1": "{{code}}"}, buttons={"0": "{{code}}"})
    button = rendered(plan_template(message, template, "POSITIONAL"), {"code": "4711"})["template"]["components"][1]
    assert button == {
        "type": "button",
        "sub_type": "url",
        "index": "0",
        "parameters": [{"type": "text", "text": "4711"}],
    }


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"type": "CAROUSEL", "cards": []}, "a carousel"),
        ({"type": "LIMITED_TIME_OFFER"}, "a limited-time offer"),
        ({"type": "HEADER", "format": "PRODUCT"}, "a product as its header"),
        ({"type": "BUTTONS", "buttons": [{"type": "MPM", "text": "See"}]}, "a button that lists products"),
    ],
)
def test_a_template_that_no_broadcast_can_fill_is_refused_before_anybody_is_messaged(
    part: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadInput) as caught:
        plan_template(a_template(), [{"type": "BODY", "text": "Hello"}, part], "POSITIONAL")
    assert caught.value.problems[0] == ("/template/name", f"The template has {named}, which cannot be sent yet.")


def test_a_template_without_parameters_has_no_components() -> None:
    plan = plan_template(a_template(), [{"type": "BODY", "text": "Hello"}], "POSITIONAL")
    assert "components" not in rendered(plan, {})["template"]


def test_header_and_buttons_stand_where_the_template_has_them() -> None:
    message = a_template(
        variables=COLUMNS,
        header={"image": {"link": "https://cdn.example/a.png"}},
        buttons={"0": "STOP", "1": "u={{order_id}}"},
    )
    components = rendered(plan_template(message, SALE, "POSITIONAL"), {**DANA, "order_id": "A 17/1"})["template"][
        "components"
    ]
    assert [component["type"] for component in components] == ["header", "body", "button", "button"]
    assert components[0]["parameters"] == [{"type": "image", "image": {"link": "https://cdn.example/a.png"}}]
    assert components[2] == {
        "type": "button",
        "sub_type": "quick_reply",
        "index": "0",
        "parameters": [{"type": "payload", "payload": "STOP"}],
    }
    assert components[3]["parameters"] == [{"type": "text", "text": "u=A%2017%2F1"}]


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    message = a_template(variables={"1": "{{first_name}}", "3": "x"}, header={"text": "Sale"}, buttons={"7": "x"})
    with pytest.raises(BadInput) as caught:
        plan_template(message, SALE, "POSITIONAL")
    assert {problem.pointer for problem in caught.value.problems} == {
        "/template/variables/2",
        "/template/variables/3",
        "/template/header/text",
        "/template/header",
        "/template/buttons/7",
        "/template/buttons/1",
    }


def test_a_missing_or_empty_value_is_found_before_sending() -> None:
    plan = plan_template(a_template(variables=COLUMNS), [BODY], "POSITIONAL")
    assert plan.problem_with(DANA) is None
    assert plan.problem_with({"first_name": "Dana"}) == "no value for order_id"
    assert plan.problem_with({**DANA, "first_name": "  "}) == "no value for first_name"


def test_a_text_keeps_its_lines_and_a_parameter_does_not() -> None:
    text = rendered(plan_text({"text": {"body": "Hi {{first_name}}\nBye"}}), DANA)
    assert text["text"] == {"preview_url": False, "body": "Hi Dana\nBye"}
    plan = plan_template(a_template(variables=COLUMNS), [BODY], "POSITIONAL")
    (component,) = rendered(plan, {"first_name": "Da\nna", "order_id": "A      B"})["template"]["components"]
    assert [parameter["text"] for parameter in component["parameters"]] == ["Da na", "Order A B"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_the_values_the_body_is_json_and_holds_them(first_name: str, order_id: str) -> None:
    plan = plan_text({"text": {"body": "{{first_name}}|{{order_id}}"}})
    body = rendered(plan, {"first_name": first_name, "order_id": order_id})
    assert body["text"]["body"] == f"{first_name}|{order_id}"


@given(
    st.dictionaries(
        st.sampled_from(["first_name", "order_id"]), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), max_size=30),
)
def test_whatever_the_values_a_template_gets_them_fit_for_whatsapp(variables: dict[str, str], literal: str) -> None:
    message = a_template(
        variables={"1": "{{first_name}}", "2": literal + "{{order_id}}"},
        header={"image": {"link": "https://cdn.example/{{order_id}}.png"}},
        buttons={"1": "{{first_name}}"},
    )
    plan = plan_template(message, SALE, "POSITIONAL")
    header, body, button = rendered(plan, variables)["template"]["components"]
    first_name, order_id = variables.get("first_name", ""), variables.get("order_id", "")
    texts = [parameter["text"] for parameter in body["parameters"]]
    for text, given_text in zip(texts, [first_name, literal + order_id], strict=True):
        assert not set("\r\n\t") & set(text)
        assert " " * 5 not in text
        assert "".join(text.split()) == "".join(given_text.split())
    assert unquote(button["parameters"][0]["text"]) == first_name
    assert unquote(header["parameters"][0]["image"]["link"]) == f"https://cdn.example/{order_id}.png"


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadInput, match="WhatsApp takes 4096"):
        plan_text({"text": {"body": "x" * 4097}})


@given(st.lists(st.sampled_from(["a", "b", "first name", "שם"]), min_size=5, max_size=5))
def test_the_columns_of_a_message_that_fits_are_known_without_its_template(names: list[str]) -> None:
    one, two, link, payload, suffix = (f"x {{{{ {name} }}}} y" for name in names)
    message = a_template(
        variables={"1": one, "2": two},
        header={"image": {"link": f"https://x.example/{link}"}},
        buttons={"0": payload, "1": suffix},
    )
    assert set(columns_of(message)) == set(plan_template(message, SALE, "POSITIONAL").columns) == set(names)
    text = {"text": {"body": one + two}}
    assert columns_of(text) == plan_text(text).columns


def test_a_message_without_placeholders_names_no_column() -> None:
    place = {"latitude": 1, "longitude": 2, "name": "{{not filled}}"}
    assert columns_of(a_template(header={"location": place})) == ()
    assert columns_of(a_template(header={"text": "Hi {{a}}"})) == ("a",)
