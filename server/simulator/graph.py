"""The rest of the Graph API that a broadcast needs: templates, numbers, accounts, subscribed apps.

Node fields come as asked for by `fields`; lists are paged by opaque cursors, and `paging.next` is absent on the last
page.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from server.simulator.errors import Refusal, no_such_object
from server.simulator.templates import Template
from server.simulator.world import BLOCKED_BY_STATUS, BUSINESS_ID, Number, World

PAGE: Final = 25
LONGEST_PAGE: Final = 1000
CURSOR_DIGITS: Final = 9

APP: Final = {
    "whatsapp_business_api_data": {"id": "670843887433847", "name": "Clarion", "link": "https://example.com/"}
}

NUMBER_FIELDS: Final = ("id", "verified_name", "code_verification_status", "display_phone_number", "quality_rating")
TEMPLATE_FIELDS: Final = ("id", "name", "language", "status", "category", "parameter_format", "components")
ACCOUNT_FIELDS: Final = ("id", "name", "timezone_id", "message_template_namespace")
OPTIONAL_TEMPLATE_FIELDS: Final = frozenset(
    {"previous_category", "correct_category", "message_send_ttl_seconds", "last_updated_time", "sub_category"}
)
"""Fields a template may have; asking for one that it has not is no error."""

Query = Mapping[str, str]


class Graph:
    """Answers everything but the sending of messages. `address` is where the API stands, for links to further pages."""

    def __init__(self, world: World, address: Callable[[], str]) -> None:
        self._world = world
        self._address = address
        self._edges: Mapping[tuple[str, str], Callable[[str, Query, bytes], dict[str, Any]]] = {
            ("GET", "message_templates"): self._list_templates,
            ("POST", "message_templates"): self._create_template,
            ("GET", "phone_numbers"): self._list_numbers,
            ("GET", "subscribed_apps"): self._list_apps,
            ("POST", "subscribed_apps"): self._subscribe,
            ("DELETE", "subscribed_apps"): self._unsubscribe,
        }

    def answer(self, method: str, path: list[str], query: Query, body: bytes) -> Any:
        """The JSON that answers one request. `path` is without the version. Raises Refusal."""
        match (method, path):
            case ("GET", [object_id]):
                return self._node(object_id, query)
            case (_, [waba_id, edge]) if (method, edge) in self._edges:
                self._world.check_account(waba_id)
                return self._edges[method, edge](waba_id, query, body)
            case _:
                raise Refusal(2500, message=f"Unknown path components: /{'/'.join(path)}")

    def _node(self, object_id: str, query: Query) -> dict[str, Any]:
        template = self._world.templates.by_id(object_id)
        if template is not None:
            return _select(template.node(), query, TEMPLATE_FIELDS, "WhatsAppMessageTemplate")
        if object_id in self._world.accounts and object_id not in self._world.numbers:
            return _select(self._account(object_id), query, ACCOUNT_FIELDS, "WhatsAppBusinessAccount")
        try:
            number = self._world.number(object_id)
        except Refusal:
            raise no_such_object(object_id, verb="get") from None
        return _select(self._number(number), query, NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber")

    def _number(self, number: Number) -> dict[str, Any]:
        world = self._world
        return {
            "id": number.id,
            "display_phone_number": number.display_phone_number,
            "verified_name": "Clarion Simulator",
            "quality_rating": world.quality_rating,
            "quality_score": {"score": world.quality_rating},
            "name_status": "APPROVED",
            "status": world.status,
            "code_verification_status": "VERIFIED",
            "platform_type": "CLOUD_API",
            "account_mode": "LIVE",
            "is_on_biz_app": False,
            "throughput": {"level": "HIGH" if not 0 < number.throughput.rate <= 80 else "STANDARD"},
            "whatsapp_business_manager_messaging_limit": world.messaging_limit,
            "webhook_configuration": {},
            "health_status": self._health("PHONE_NUMBER", number.id),
        }

    def _account(self, waba_id: str) -> dict[str, Any]:
        return {
            "id": waba_id,
            "name": "Clarion Simulator",
            "timezone_id": "1",
            "message_template_namespace": "c9a5b0f4_2c5b_4f0e_8d51_6ce0a3f4b1aa",
            "whatsapp_business_manager_messaging_limit": self._world.messaging_limit,
            "health_status": self._health("WABA", waba_id),
        }

    def _health(self, entity_type: str, entity_id: str) -> dict[str, Any]:
        code = BLOCKED_BY_STATUS.get(self._world.status) or self._world.restriction
        can_send = "AVAILABLE" if code is None else "BLOCKED"
        entity: dict[str, Any] = {"entity_type": entity_type, "id": entity_id, "can_send_message": can_send}
        if code is not None:
            entity["errors"] = [
                {
                    "error_code": code,
                    "error_description": f"The phone number is {self._world.status}",
                    "possible_solution": "Set its status to CONNECTED in the simulator",
                }
            ]
        business = {"entity_type": "BUSINESS", "id": BUSINESS_ID, "can_send_message": "AVAILABLE"}
        app = {"entity_type": "APP", "id": APP["whatsapp_business_api_data"]["id"], "can_send_message": "AVAILABLE"}
        return {"can_send_message": can_send, "entities": [entity, business, app]}

    def _list_templates(self, waba_id: str, query: Query, _: bytes) -> dict[str, Any]:
        chosen = [template for template in self._world.templates if _matches(template, query)]
        nodes = [template.node() for template in chosen]
        return self._page(f"{waba_id}/message_templates", nodes, query, TEMPLATE_FIELDS, "WhatsAppMessageTemplate")

    def _create_template(self, _: str, __: Query, body: bytes) -> dict[str, Any]:
        node = _object(body)
        name, language = node.get("name"), node.get("language")
        if isinstance(name, str) and isinstance(language, str) and self._world.templates.get(name, language):
            raise Refusal(100, f"There is already content in {language} for the template {name}", subcode=2388024)
        template = self._world.templates.add({**node, "id": None, "status": "APPROVED"})
        return {"id": template.id, "status": template.status, "category": template.category}

    def _list_numbers(self, waba_id: str, query: Query, _: bytes) -> dict[str, Any]:
        nodes = [self._number(number) for number in self._world.numbers.values()]
        return self._page(f"{waba_id}/phone_numbers", nodes, query, NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber")

    def _list_apps(self, _: str, __: Query, ___: bytes) -> dict[str, Any]:
        return {"data": [APP] if self._world.subscribed else []}

    def _subscribe(self, _: str, __: Query, ___: bytes) -> dict[str, Any]:
        self._world.subscribed = True
        return {"success": True}

    def _unsubscribe(self, _: str, __: Query, ___: bytes) -> dict[str, Any]:
        self._world.subscribed = False
        return {"success": True}

    def _page(
        self, path: str, nodes: list[dict[str, Any]], query: Query, default: tuple[str, ...], kind: str
    ) -> dict[str, Any]:
        limit = _whole_number(query, "limit", PAGE, LONGEST_PAGE)
        if "before" in query:
            end = _position_of(query["before"])
            begin = max(0, end - limit)
        else:
            begin = _position_of(query["after"]) + 1 if "after" in query else 0
            end = begin + limit
        page = nodes[begin:end]
        answer: dict[str, Any] = {"data": [_select(node, query, default, kind) for node in page]}
        if page:
            before, after = _cursor(begin), _cursor(begin + len(page) - 1)
            answer["paging"] = {"cursors": {"before": before, "after": after}}
            if begin + len(page) < len(nodes):
                answer["paging"]["next"] = self._link(path, query, after=after)
            if begin > 0:
                answer["paging"]["previous"] = self._link(path, query, before=before)
        return answer

    def _link(self, path: str, query: Query, **cursor: str) -> str:
        rest = {name: value for name, value in query.items() if name not in {"after", "before"}}
        return f"{self._address()}/v25.0/{path}?{urlencode({**rest, **cursor})}"


def _matches(template: Template, query: Query) -> bool:
    """The filters of the list: `name` and `content` find parts, the others must be equal."""
    content = str(template.shape.body_text)
    either = query.get("name_or_content", "")
    return (
        query.get("name", "") in template.name
        and query.get("content", "") in content
        and (either in template.name or either in content)
        and query.get("status", template.status).upper() == template.status
        and query.get("category", template.category).upper() == template.category
        and query.get("language", template.language) == template.language
    )


def _select(node: dict[str, Any], query: Query, default: tuple[str, ...], kind: str) -> dict[str, Any]:
    """The fields that were asked for, and always the id."""
    wanted = [name.strip() for name in query.get("fields", "").split(",") if name.strip()] or default
    selected = {"id": node["id"]}
    for name in wanted:
        if name in node:
            selected[name] = node[name]
        elif name not in OPTIONAL_TEMPLATE_FIELDS:
            raise Refusal(100, message=f"Tried accessing nonexisting field ({name}) on node type ({kind})")
    return selected


def _whole_number(query: Query, name: str, otherwise: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise Refusal(100, message=f"Param {name} must be a whole number above 0")
    return min(int(text), most)


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _position_of(cursor: str) -> int:
    try:
        position = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        position = b""
    if not position.isdigit() or len(position) > CURSOR_DIGITS:
        raise Refusal(131059, "The cursor is not one of this list")
    return int(position)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(100, "The request body is not a JSON object") from None
