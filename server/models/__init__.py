"""The tables, as SQLAlchemy sees them. Migrations make them; nothing here creates anything."""

from server.models.base import Base
from server.models.broadcasts import (
    BroadcastEvent,
    BulkGateRow,
    IdempotencyKey,
    Suppression,
    WhatsAppBroadcast,
    WhatsAppBroadcastRecipient,
)
from server.models.businesses import ApiKey, Business, User
from server.models.channels import Channel, Template

__all__ = [
    "ApiKey",
    "Base",
    "BroadcastEvent",
    "BulkGateRow",
    "Business",
    "Channel",
    "IdempotencyKey",
    "Suppression",
    "Template",
    "User",
    "WhatsAppBroadcast",
    "WhatsAppBroadcastRecipient",
]
