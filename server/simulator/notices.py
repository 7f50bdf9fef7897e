"""What Meta tells about templates, numbers and the account, in the shapes of its webhooks."""

import time
from typing import Any, Final

from server.simulator.limits import MESSAGING_LIMITS
from server.simulator.templates import Template
from server.simulator.webhook_body import Notice

ALERTS: Final = tuple(f"INCREASED_CAPABILITIES_ELIGIBILITY_{why}" for why in ("DEFERRED", "FAILED", "NEED_MORE_INFO"))
_REASONS: Final = {
    "FIRST_PAUSE": "Your WhatsApp message template has been paused for 3 hours because of its quality.",
    "SECOND_PAUSE": "Your WhatsApp message template has been paused for 6 hours because of its quality.",
    "RATE_LIMITING_PAUSE": "Your WhatsApp message template has been paused until you unpause it.",
    "UNPAUSE": "Your WhatsApp message template has been unpaused.",
    "DISABLED": "Your WhatsApp message template has been disabled because of its quality.",
}


def template_status(template: Template, event: str, title: str) -> Notice:
    """A template was paused, unpaused or disabled. event: such as PAUSED; title: such as FIRST_PAUSE."""
    value = {
        "event": event,
        **_names(template),
        "reason": "NONE",
        "message_template_category": template.category,
        "other_info": {"title": title, "description": _REASONS[title]},
    }
    return Notice("message_template_status_update", value)


def template_quality(template: Template, previous: str) -> Notice:
    """The quality of a template changed."""
    value = {"previous_quality_score": previous, "new_quality_score": template.quality, **_names(template)}
    return Notice("message_template_quality_update", value)


def throughput_upgrade(display_digits: str, tier: str) -> Notice:
    """A number may send faster."""
    value = {
        "display_phone_number": display_digits,
        "event": "THROUGHPUT_UPGRADE",
        "max_daily_conversations_per_business": tier,
        "current_limit": tier,
    }
    return Notice("phone_number_quality_update", value)


def capability(tier: str) -> Notice:
    """The messaging limit of the business changed; -1 is unlimited, as in Meta's example."""
    people = MESSAGING_LIMITS[tier]
    value = {"max_daily_conversations_per_business": -1 if people is None else people, "max_phone_numbers_per_waba": 25}
    return Notice("business_capability_update", value)


def restriction(seconds: float) -> Notice:
    """The account may begin no conversations for so long."""
    restricted = {
        "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING",
        "expiration": int(time.time() + seconds),
        "remediation": "Wait until the restriction ends.",
    }
    return Notice("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restricted]})


def account(event: str, ban_state: str | None = None) -> Notice:
    """Anything else that befalls the account, such as DISABLED_UPDATE with the state DISABLE or REINSTATE."""
    value: dict[str, Any] = {"event": event}
    if ban_state is not None:
        value["ban_info"] = {"waba_ban_state": ban_state, "waba_ban_date": time.strftime("%B %d, %Y", time.gmtime())}
    return Notice("account_update", value)


def alert(alert_type: str) -> Notice:
    """Meta has something to say about the account."""
    value = {
        "entity_type": "BUSINESS",
        "alert_info": {
            "alert_severity": "INFORMATIONAL",
            "alert_status": "NONE",
            "alert_type": alert_type,
            "alert_description": "The messaging limit of the business was not raised.",
        },
    }
    return Notice("account_alerts", value)


def _names(template: Template) -> dict[str, Any]:
    return {
        "message_template_id": int(template.id) if template.id.isdecimal() else template.id,
        "message_template_name": template.name,
        "message_template_language": template.language,
    }
