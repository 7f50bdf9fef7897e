"""Graph API errors: the codes this simulator knows, their words, and the envelope they come in.

Clients must go by `code` alone: HTTP statuses and titles differ between Meta's own pages.
"""

import itertools
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from server.simulator.http import response


class Kind(NamedTuple):
    """One code: the HTTP status it comes with, and its title."""

    http_status: int
    title: str


KINDS: Final[Mapping[int, Kind]] = {
    0: Kind(401, "AuthException"),
    1: Kind(500, "API Unknown"),
    2: Kind(503, "API Service"),
    3: Kind(500, "API Method"),
    4: Kind(429, "API Too Many Calls"),
    10: Kind(403, "Permission Denied"),
    33: Kind(400, "Parameter value is not valid"),
    100: Kind(400, "Invalid parameter"),
    104: Kind(401, "An access token is required to request this resource."),
    190: Kind(401, "Invalid OAuth access token - Cannot parse access token"),
    200: Kind(403, "API Permission"),
    368: Kind(403, "Temporarily blocked for policies violations"),
    2500: Kind(400, "Unknown path components"),
    80007: Kind(429, "Rate limit issues"),
    80008: Kind(400, "There have been too many calls to this WhatsApp Business account"),
    130429: Kind(429, "Rate limit hit"),
    130472: Kind(400, "User's number is part of an experiment"),
    130497: Kind(403, "Business account is restricted from messaging users in this country"),
    131000: Kind(500, "Something went wrong"),
    131005: Kind(403, "Access denied"),
    131008: Kind(400, "Required parameter is missing"),
    131009: Kind(400, "Parameter value is not valid"),
    131016: Kind(500, "Service unavailable"),
    131021: Kind(400, "Recipient cannot be sender"),
    131026: Kind(400, "Message undeliverable"),
    131030: Kind(400, "Recipient phone number not in allowed list"),
    131031: Kind(403, "Business Account locked"),
    131042: Kind(400, "Business eligibility payment issue"),
    131045: Kind(500, "Incorrect certificate"),
    131047: Kind(400, "Re-engagement message"),
    131048: Kind(429, "Spam rate limit hit"),
    131049: Kind(400, "This message was not delivered to maintain healthy ecosystem engagement."),
    131050: Kind(400, "User has stopped receiving marketing messages from this business"),
    131051: Kind(400, "Unsupported message type"),
    131053: Kind(400, "Media upload error"),
    131056: Kind(400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: Kind(500, "Business account is in maintenance mode"),
    131059: Kind(400, "Invalid cursor"),
    132000: Kind(400, "Number of parameters does not match the expected number of params"),
    132001: Kind(404, "Template name does not exist in the translation"),
    132005: Kind(400, "Translated text too long"),
    132007: Kind(400, "Template format character policy violated"),
    132012: Kind(400, "Parameter format does not match format in the created template"),
    132015: Kind(400, "Template is paused"),
    132016: Kind(400, "Template is disabled"),
    132018: Kind(400, "There's an issue with the parameters in your template"),
    133004: Kind(503, "Server temporarily unavailable"),
    133010: Kind(400, "Phone number not registered"),
}

_NOT_LISTED: Final = Kind(400, "An error that the simulator has no words for")

THE_WORDS_ARE_THE_MESSAGE: Final = frozenset({104, 190})
"""Codes whose message Meta does not open with the code."""


class Refusal(Exception):
    """A request is answered with a Graph error.

    `details` goes into `error_data.details` and says what is wrong with this request. `message` replaces the code's
    own title where Meta names the parameter there.
    """

    def __init__(self, code: int, details: str = "", *, message: str = "", subcode: int | None = None) -> None:
        super().__init__(code, details or message)
        self.code = code
        self.details = details
        self.message = message
        self.subcode = subcode


def missing(name: str) -> Refusal:
    """The refusal for a parameter of the request itself that is not there (100)."""
    return Refusal(100, message=f"The parameter {name} is required.")


def no_such_object(object_id: str, *, verb: str) -> Refusal:
    """The refusal for an id nobody here has, or that the token may not see (100, subcode 33)."""
    return Refusal(
        100,
        message=f"Unsupported {verb} request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation.",
        subcode=33,
    )


_traces: Final = itertools.count(1)
_process: Final = os.urandom(6).hex()


def error_response(refusal: Refusal, more_headers: bytes = b"") -> bytes:
    """The whole HTTP response for a refusal, in Meta's envelope."""
    kind = KINDS.get(refusal.code, _NOT_LISTED)
    words = refusal.message or kind.title
    error: dict[str, Any] = {
        "message": words if refusal.code in THE_WORDS_ARE_THE_MESSAGE else f"(#{refusal.code}) {words}",
        "type": "OAuthException",
        "code": refusal.code,
    }
    if refusal.details:
        error["error_data"] = {"messaging_product": "whatsapp", "details": refusal.details}
    if refusal.subcode is not None:
        error["error_subcode"] = refusal.subcode
    error["fbtrace_id"] = f"A{_process}{next(_traces):x}"
    return response(kind.http_status, msgspec.json.encode({"error": error}), more_headers=more_headers)


BAD_GATEWAY: Final = response(
    502,
    b"<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n"
    b"<body><h1>502 Bad Gateway</h1><p>Sorry, something went wrong.</p></body></html>\n",
    "text/html; charset=utf-8",
)
"""What stands in front of the API answers when the API does not."""
