"""The tables, as SQLAlchemy sees them. Migrations make them; nothing here creates anything."""

from server.models.base import Base
from server.models.broadcasts import (
    BroadcastEvent,
    BroadcastSample,
    BulkGateRow,
    IdempotencyKey,
    ReceiptKey,
    SendAttempt,
    Suppression,
    WhatsAppBroadcast,
    WhatsAppBroadcastRecipient,
)
from server.models.businesses import ApiKey, AuditEntry, Business, Invite, RecoveryCode, Session, SignInStep, User
from server.models.channels import Channel, Template
from server.models.contacts import Contact, Segment
from server.models.prices import RateCardPrice
from server.models.test_messages import TestMessage
from server.models.webhooks import (
    AccountUpdate,
    ConsentChange,
    InboundMessage,
    MessageStatus,
    WebhookBody,
    WebhookOddity,
    WishReply,
)
from server.models.webhooks_out import WebhookDelivery, WebhookEndpoint

__all__ = [
    "AccountUpdate",
    "ApiKey",
    "AuditEntry",
    "Base",
    "BroadcastEvent",
    "BroadcastSample",
    "BulkGateRow",
    "Business",
    "Channel",
    "ConsentChange",
    "Contact",
    "IdempotencyKey",
    "InboundMessage",
    "Invite",
    "MessageStatus",
    "RateCardPrice",
    "ReceiptKey",
    "RecoveryCode",
    "Segment",
    "SendAttempt",
    "Session",
    "SignInStep",
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
    "WishReply",
]
