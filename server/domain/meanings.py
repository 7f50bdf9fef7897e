"""What each of Meta's error codes means, in words for the person who sends, and what that person has to do.

`what` becomes a recipient's `error_message` and the reason of a pause; `to_do` follows it where somebody can act, and
is empty where nobody has to. Source: Meta's list of Cloud API error codes, put plainly.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from server.domain.outcomes import Refused
from server.domain.sentences import said


class Meaning(NamedTuple):
    """One code in plain words: sentences, each with its full stop."""

    what: str
    to_do: str = ""


_RENEW: Final = "Make a new system-user token and store it with the channel."
_PERMISSIONS: Final = "Give the token whatsapp_business_messaging and whatsapp_business_management for this account."
_LATER: Final = "Nothing to do: it is tried again by itself."
_SYNC: Final = "Sync the templates and compare the broadcast's variables with the template."
_OUR_REQUEST: Final = "Check the template's variables and header; if they are right, report it with this message."
_REGISTRATION: Final = "Look at the number in WhatsApp Manager and finish its registration."
_QUALITY: Final = "Read the notice in Meta Business Support Home before sending on."

MEANINGS: Final[Mapping[int, Meaning]] = {
    0: Meaning("WhatsApp does not accept the channel's token.", _RENEW),
    1: Meaning("WhatsApp could not work with the request and does not say why.", _OUR_REQUEST),
    2: Meaning("WhatsApp is down or overloaded.", _LATER),
    3: Meaning("The app may not use this part of WhatsApp.", _PERMISSIONS),
    4: Meaning("The app has made more calls than Meta allows it for now.", _LATER),
    10: Meaning("The token has no permission for this.", _PERMISSIONS),
    33: Meaning(
        "The sending number no longer exists, or the token cannot see it.", "Check the channel's phone number ID."
    ),
    100: Meaning("WhatsApp says that a value of the message is not valid.", _OUR_REQUEST),
    104: Meaning("The token is missing or its signature is wrong.", _RENEW),
    190: Meaning("The channel's access token has expired or was withdrawn.", _RENEW),
    200: Meaning("The token's permission is missing or was taken away.", _PERMISSIONS),
    368: Meaning("Meta has restricted the account for breaking its policies.", _QUALITY),
    613: Meaning("Calls of this kind come faster than Meta allows.", _LATER),
    803: Meaning(
        "What the request names does not exist at WhatsApp.", "Check the channel's ids and sync the templates."
    ),
    80007: Meaning("The WhatsApp Business Account has reached its rate limit.", _LATER),
    80008: Meaning("The WhatsApp Business Account has made too many management calls.", _LATER),
    130403: Meaning("This person is on the sending number's block list.", "Unblock the person first."),
    130429: Meaning("Messages left faster than WhatsApp allows this number.", _LATER),
    130472: Meaning("Meta holds marketing back from this person as part of an experiment."),
    130497: Meaning("WhatsApp does not let this business message people in that country."),
    130501: Meaning("Groups cannot get a message of this type.", "Choose another kind of message."),
    131000: Meaning("Something went wrong at WhatsApp, and it does not say what."),
    131005: Meaning("WhatsApp denies access.", _PERMISSIONS),
    131008: Meaning("WhatsApp misses a value that the message must have.", _OUR_REQUEST),
    131009: Meaning("WhatsApp says that a value of the message is of the wrong kind.", _OUR_REQUEST),
    131016: Meaning("A service of WhatsApp is away for the moment.", _LATER),
    131021: Meaning("The recipient is the sending number itself."),
    131026: Meaning(
        "The message cannot reach this person: not on WhatsApp, an old app, terms not accepted, or a block."
    ),
    131030: Meaning(
        "The channel is a test number, and this person is not on its list of allowed recipients.",
        "Send from a real number, or add the person to the test number's list.",
    ),
    131031: Meaning("WhatsApp has locked the account.", _QUALITY),
    131037: Meaning(
        "The sending number has no approved display name yet.", "Have the display name approved in WhatsApp Manager."
    ),
    131042: Meaning("WhatsApp cannot charge the account.", "Mend the payment method of the WhatsApp Business Account."),
    131045: Meaning("The sending number's registration is not in order.", _REGISTRATION),
    131047: Meaning(
        "More than 24 hours have passed since this person last wrote, so only a template can be sent.",
        "Use an approved template.",
    ),
    131048: Meaning("WhatsApp has restricted the sending number, because people report or block it.", _QUALITY),
    131049: Meaning("WhatsApp limits how much marketing one person gets, and this person has had enough for now."),
    131050: Meaning("This person has stopped marketing messages from the business."),
    131051: Meaning("WhatsApp does not know this type of message.", "Choose another kind of message."),
    131052: Meaning("WhatsApp could not fetch the media that the person sent."),
    131053: Meaning(
        "WhatsApp could not take the message's media.",
        "Check that the header's link opens without signing in and that its type and size are allowed.",
    ),
    131055: Meaning("This template may not be sent in this way.", "Choose a template of another category."),
    131056: Meaning("Too many messages went to this same person in a short time."),
    131057: Meaning("WhatsApp is working on the sending number, usually to give it a higher throughput.", _LATER),
    131059: Meaning("The place in the list has run out.", "Start the list again."),
    131062: Meaning("This message needs a phone number, and only a user id is known for the person."),
    131063: Meaning(
        "Marketing templates are switched off for this account on the Cloud API.",
        "Switch them on in WhatsApp Manager.",
    ),
    131064: Meaning("The account is limited, because its templates were put in the wrong category.", _QUALITY),
    132000: Meaning("The number of variables is not what the template has.", _SYNC),
    132001: Meaning("The template does not exist in this language, or it is not approved.", _SYNC),
    132005: Meaning("With this person's variables the text is longer than WhatsApp allows.", "Shorten the variables."),
    132007: Meaning("The template breaks a policy of WhatsApp.", "Change the template and have it approved again."),
    132008: Meaning("A variable does not have the form that the template asks for.", _SYNC),
    132012: Meaning("A variable does not have the form that the template asks for.", _SYNC),
    132015: Meaning(
        "WhatsApp has paused the template, because of how people took it.",
        "Wait until it is active again, or change it in WhatsApp Manager.",
    ),
    132016: Meaning("WhatsApp has switched the template off for good.", "Start a new broadcast with another template."),
    132018: Meaning("WhatsApp found a fault in the template's values.", _SYNC),
    132068: Meaning("The flow in the template is blocked.", "Mend the flow in WhatsApp Manager."),
    132069: Meaning("The flow in the template is throttled to ten messages an hour.", "Mend the flow's endpoint."),
    133000: Meaning("An earlier registration of the number was not undone.", _REGISTRATION),
    133004: Meaning("WhatsApp's server is away for the moment.", _LATER),
    133005: Meaning("The number's two-step PIN is wrong.", _REGISTRATION),
    133006: Meaning("The sending number has to be verified again.", _REGISTRATION),
    133008: Meaning("The number's two-step PIN was wrong too many times.", _REGISTRATION),
    133009: Meaning("The number's two-step PIN was tried too fast.", _REGISTRATION),
    133010: Meaning("The sending number is not registered with WhatsApp.", _REGISTRATION),
    133015: Meaning("The number was deleted a moment ago and cannot be registered yet.", _REGISTRATION),
    133016: Meaning("The number was registered too many times; it is blocked for 72 hours.", _REGISTRATION),
    134011: Meaning("WhatsApp's terms for payments are not accepted.", "Accept them in WhatsApp Manager."),
    134100: Meaning("Only marketing templates can be sent in this way.", "Choose a marketing template."),
    134101: Meaning("WhatsApp is still preparing the template; it takes about ten minutes.", _LATER),
    134102: Meaning("WhatsApp cannot send this template in this way at present.", _LATER),
    135000: Meaning("WhatsApp could not work with a value of the message and does not say which.", _OUR_REQUEST),
    137000: Meaning("The person's identity has changed since it was last confirmed.", "Confirm the person again."),
    139100: Meaning("Some people could not be put on the block list."),
    139101: Meaning("Nobody could be put on the block list."),
    139102: Meaning("The block list is being changed by somebody else."),
    139103: Meaning("The block list failed inside WhatsApp.", _LATER),
}


def meaning_of(refusal: Refused) -> Meaning:
    """A refusal in plain words. Unknown codes, and answers without one, are told in Meta's own."""
    code = refusal.code
    if code is None:
        return Meaning(
            said(
                "Something answered in WhatsApp's place with HTTP %(status)s and no error code.",
                status=refusal.http_status,
            ),
            said("Check the address of the Graph API and what stands between here and there."),
        )
    if code == 100 and refusal.subcode == 33:
        code = 33
    elif 200 <= code <= 299:
        code = 200
    known = MEANINGS.get(code)
    if known is not None:
        return known
    why = refusal.message or said("no reason given")
    return Meaning(
        said("WhatsApp refused the message with code %(code)s: %(why)s", code=code, why=why),
        said("Look the code up in Meta's list."),
    )


def explain(refusal: Refused) -> str:
    """One recipient's `error_message`: what it means, and which value it was where Meta says so."""
    what = meaning_of(refusal).what
    return f"{what} ({refusal.details})" if refusal.details else what


def explain_stop(refusal: Refused) -> str:
    """The reason of a pause: what it means, what somebody has to do, and what Meta's support asks for."""
    told = f"{explain(refusal)} {meaning_of(refusal).to_do}".rstrip()
    return f"{told} {_trace(refusal.trace_id)}" if refusal.trace_id else told


def _trace(trace_id: str) -> str:
    return said("(Meta's trace id: %(id)s)", id=trace_id)
