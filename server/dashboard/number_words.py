"""What the checks of a number say, in plain words, and where in Meta's pages each thing is set up."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from server.dashboard.looks import N_, Look
from server.domain.number_setup import State, Subject, Why


class Step(NamedTuple):
    """One thing to set up. title: what it is. where: the place in Meta's pages. hint: what to do there."""

    title: str
    where: str
    hint: str


STEPS: Final[Mapping[Subject, Step]] = {
    Subject.TOKEN: Step(
        N_("Access token"),
        N_("Meta Business Settings > Users > System users > Generate token"),
        N_("Choose your app, and both whatsapp_business_messaging and whatsapp_business_management."),
    ),
    Subject.NUMBER: Step(
        N_("Number"),
        N_("Meta for Developers > your app > WhatsApp > API Setup > Phone number ID"),
        N_("It is a long number that stands for the phone number, not the phone number itself."),
    ),
    Subject.ACCOUNT: Step(
        N_("Account and permissions"),
        N_("Meta for Developers > your app > WhatsApp > API Setup > WhatsApp Business Account ID"),
        N_("The account that the number belongs to. The system user needs full control of it."),
    ),
    Subject.WEBHOOK: Step(
        N_("Webhook"),
        N_("Meta for Developers > your app > WhatsApp > Configuration > Webhook"),
        N_("Paste both into Meta's page, press Verify and save, then subscribe to the fields below."),
    ),
    Subject.APP_SECRET: Step(
        N_("App secret"),
        N_("Meta for Developers > your app > App settings > Basic > App secret"),
        N_("It proves that what comes to the webhook comes from Meta."),
    ),
}

# Of the webhook, in Meta's own words: what to subscribe to.
FIELDS: Final = (
    "messages",
    "user_preferences",
    "message_template_status_update",
    "template_category_update",
    "phone_number_quality_update",
    "account_update",
    "account_alerts",
    "business_capability_update",
)

OF_STATES: Final[Mapping[State, Look]] = {
    State.PASSED: Look(N_("Passed"), "delivered", "check"),
    State.WAITING: Look(N_("Waiting"), "neutral", "hourglass"),
    State.WRONG: Look(N_("Wrong"), "failed", "circle-x"),
    State.UNSURE: Look(N_("Not known"), "unknown", "circle-help"),
}

WELL: Final[Mapping[Subject, str]] = {
    Subject.TOKEN: N_("WhatsApp accepts the token."),
    Subject.NUMBER: N_("WhatsApp knows the number, and it is connected."),
    Subject.ACCOUNT: N_("The token may use the account, and the number belongs to it."),
    Subject.WEBHOOK: N_("Events of this number arrive."),
    Subject.APP_SECRET: N_("An event came that this secret proves."),
}

OF_WHYS: Final[Mapping[Why, str]] = {
    Why.AWAY: N_("WhatsApp does not answer now. This is looked at again by itself."),
    Why.OTHER_REFUSAL: N_("WhatsApp answers with an error that says nothing about this."),
    Why.TOKEN_UNREADABLE: N_("The stored token cannot be read with the key of this server. Enter it again."),
    Why.TOKEN_REFUSED: N_("WhatsApp does not accept the token: it has expired, was withdrawn, or is not whole."),
    Why.TOKEN_FIRST: N_("This is looked at once the token is accepted."),
    Why.NUMBER_UNKNOWN: N_("The token sees no number with this ID. Compare the ID, and the account of the token."),
    Why.NUMBER_NOT_CONNECTED: N_("The number cannot send yet. Finish its registration in WhatsApp Manager."),
    Why.NO_PERMISSION: N_("The token lacks a permission. Make a new one with both permissions."),
    Why.ACCOUNT_UNKNOWN: N_("The token sees no account with this ID. Compare the ID."),
    Why.NUMBER_ELSEWHERE: N_("The number does not belong to this account. Compare both IDs."),
    Why.ACCOUNT_BLOCKED: N_("WhatsApp lets nothing out from this account at present."),
    Why.NOT_SUBSCRIBED: N_("The account tells no app of its events. Subscribe to the fields in Meta's page."),
    Why.NOT_VERIFIED: N_("Meta has not asked for this address yet."),
    Why.NO_EVENT: N_(
        "Meta has verified the address, and no signed event has come yet. Send the number a message from a phone; if "
        "nothing changes, the app secret is not the app's, or the messages field is not subscribed to."
    ),
}

# As WhatsApp says it, of the people who get messages.
OF_QUALITY: Final[Mapping[str, Look]] = {
    "GREEN": Look(N_("High quality"), "delivered", "check"),
    "YELLOW": Look(N_("Medium quality"), "unknown", "circle-alert"),
    "RED": Look(N_("Low quality"), "failed", "circle-alert"),
}
NO_QUALITY: Final = Look(N_("Quality not rated"), "neutral", "circle-help")
