"""How the webhooks of a business look: what each event means, and where a delivery stands."""

from collections.abc import Mapping
from typing import Final

from server.api_models.webhooks import DeliveryStatus
from server.dashboard.looks import N_, Look
from server.domain.webhook_events import EventKind

OF_EVENTS: Final[Mapping[EventKind, str]] = {
    EventKind.BROADCAST_STARTED: N_("A broadcast began"),
    EventKind.BROADCAST_PAUSED: N_("A broadcast was paused, by a person or by itself"),
    EventKind.BROADCAST_RESUMED: N_("A broadcast goes on"),
    EventKind.BROADCAST_SETTLING: N_("Everything is sent, some are unknown"),
    EventKind.BROADCAST_COMPLETED: N_("A broadcast ended, everybody was sent to"),
    EventKind.BROADCAST_PARTIAL: N_("A broadcast ended, some failed"),
    EventKind.BROADCAST_FAILED: N_("A broadcast failed"),
    EventKind.BROADCAST_CANCELLED: N_("A broadcast was cancelled"),
    EventKind.RECIPIENT_FAILED: N_("One person did not get it"),
    EventKind.MESSAGE_REPLIED: N_("Somebody answered a broadcast"),
    EventKind.CONTACT_OPTED_OUT: N_("Somebody opted out"),
    EventKind.CONTACT_OPTED_IN: N_("Somebody opted in again"),
}

OF_DELIVERIES: Final[Mapping[DeliveryStatus, Look]] = {
    DeliveryStatus.PENDING: Look(N_("To be delivered"), "unknown", "hourglass"),
    DeliveryStatus.DELIVERED: Look(N_("Delivered"), "delivered", "check"),
    DeliveryStatus.FAILED: Look(N_("Given up"), "failed", "circle-x"),
}

_ENABLED: Final = Look(N_("Enabled"), "delivered", "check")
_FAILING: Final = Look(N_("Failing"), "unknown", "circle-alert")
_DISABLED: Final = Look(N_("Disabled"), "failed", "ban")


def look_of(webhook: Mapping[str, object]) -> Look:
    """Whether it is told of anything now, as `webhook_endpoints.show` has it."""
    if not webhook["enabled"]:
        return _DISABLED
    return _FAILING if webhook["failing_since"] else _ENABLED
