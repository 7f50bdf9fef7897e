"""A message is planned once; what is rendered is exactly what the Cloud API asks for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import BadInput
from server.domain.messages import MessagePlan, plan_template, plan_text

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


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadInput, match="WhatsApp takes 4096"):
        plan_text({"text": {"body": "x" * 4097}})
