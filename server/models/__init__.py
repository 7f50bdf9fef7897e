"""The tables, as SQLAlchemy sees them. Migrations make them; nothing here creates anything."""

from server.models.base import Base
from server.models.broadcasts import (
    BroadcastEvent,
    BulkGateRow,
    IdempotencyKey,
    ReceiptKey,
    SendAttempt,
    Suppression,
    WhatsAppBroadcast,
    WhatsAppBroadcastRecipient,
)
from server.models.businesses import ApiKey, Business, User
from server.models.channels import Channel, Template
from server.models.contacts import Contact, Segment
from server.models.test_messages import TestMessage
from server.models.webhooks import (
    AccountUpdate,
    ConsentChange,
    InboundMessage,
    MessageStatus,
    WebhookBody,
    WebhookOddity,
)
from server.models.webhooks_out import WebhookDelivery, WebhookEndpoint

__all__ = [
    "AccountUpdate",
    "ApiKey",
    "Base",
    "BroadcastEvent",
    "BulkGateRow",
    "Business",
    "Channel",
    "ConsentChange",
    "Contact",
    "IdempotencyKey",
    "InboundMessage",
    "MessageStatus",
    "ReceiptKey",
    "Segment",
    "SendAttempt",
    "Suppression",
    "Template",
    "TestMessage",
    "User",
    "WebhookBody",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookOddity",
    "WhatsAppBroadcast",
    "WhatsAppBroadcastRecipient",
]
