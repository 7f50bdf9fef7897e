"""How a state looks: its word, its tone and its sign, the same in chip, bar, plot and table.

The words are marked for translation here (`N_`) and translated where they are shown.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from server.domain.audit import AuditAct
from server.domain.evidence import UnknownPolicy
from server.domain.limits import Limit
from server.domain.roles import Role
from server.domain.scopes import KeyScope
from server.domain.states import Act, Actor, BroadcastStatus, Move, PauseReason, RecipientStatus


def N_(message: str) -> str:  # noqa: N802 - the name that translators' tools look for
    """Mark a text for translation."""
    return message


def NP_(context: str, message: str) -> str:  # noqa: N802 - as above
    """Mark a text for translation that `pgettext` shows, in the same context."""
    del context
    return message


class Look(NamedTuple):
    """word: as people read it. tone: the colour's name in the style sheet. icon: a file of `static/vendor/icons`."""

    word: str
    tone: str
    icon: str


_B, _R = BroadcastStatus, RecipientStatus

OF_BROADCASTS: Final[Mapping[BroadcastStatus, Look]] = {
    _B.DRAFT: Look(N_("Draft"), "neutral", "pencil"),
    _B.SCHEDULED: Look(N_("Scheduled"), "neutral", "calendar-clock"),
    _B.QUEUED: Look(N_("Waiting for its turn"), "neutral", "hourglass"),
    _B.RUNNING: Look(N_("Sending"), "live", "send"),
    _B.PAUSED: Look(N_("Paused"), "paused", "pause"),
    _B.SETTLING: Look(N_("Settling"), "unknown", "hourglass"),
    _B.COMPLETED: Look(N_("Completed"), "delivered", "check"),
    _B.PARTIAL: Look(N_("Finished, some failed"), "failed", "circle-alert"),
    _B.FAILED: Look(N_("Failed"), "failed", "circle-x"),
    _B.CANCELLED: Look(N_("Cancelled"), "neutral", "ban"),
}
# A draft that somebody asked for and another person has to let go.
AWAITS_APPROVAL: Final = Look(N_("Waits for approval"), "paused", "hand")

OF_RECIPIENTS: Final[Mapping[RecipientStatus, Look]] = {
    _R.QUEUED: Look(N_("Waiting"), "neutral", "hourglass"),
    _R.SENDING: Look(N_("Being sent"), "live", "send"),
    _R.SENT: Look(N_("Sent"), "sent", "check"),
    _R.DELIVERED: Look(N_("Delivered"), "delivered", "check-check"),
    _R.READ: Look(N_("Read"), "read", "eye"),
    _R.FAILED: Look(N_("Failed"), "failed", "circle-x"),
    _R.UNKNOWN: Look(N_("Unknown"), "unknown", "circle-help"),
    _R.CANCELLED: Look(N_("Cancelled"), "neutral", "ban"),
    _R.SKIPPED: Look(N_("Skipped"), "neutral", "circle-slash"),
}

# What a pause means, and who ends it.
OF_PAUSES: Final[Mapping[str, str]] = {
    PauseReason.USER: N_("A person paused it. It goes on when somebody resumes it."),
    PauseReason.RUNTIME_LIMIT: N_("A run has its longest time; the next one goes on by itself."),
    PauseReason.MESSAGING_LIMIT: N_("The number has reached the people WhatsApp lets it write to in 24 hours."),
    PauseReason.QUIET_HOURS: N_("It is night where these people live. It goes on in the morning by itself."),
    PauseReason.LOCAL_TIME: N_("For the next people the time has not come by their own clock. It goes on by itself."),
    PauseReason.RATE_LIMITED: N_("WhatsApp asks to slow down. It goes on by itself."),
    PauseReason.PROVIDER_OUTAGE: N_("WhatsApp does not answer. It goes on by itself."),
    PauseReason.CREDENTIALS: N_("WhatsApp does not accept the number's access token. Renew it, then resume."),
    PauseReason.TEMPLATE: N_("WhatsApp has paused or rejected the template."),
    PauseReason.QUALITY: N_("WhatsApp has restricted the number or the account."),
    PauseReason.FAILURES: N_("Too many messages failed one after the other. Look at the reasons, then resume."),
    PauseReason.CANARY: N_("The first people were sent to, and the others wait for what becomes of it."),
}

# What the speed waits for now.
OF_LIMITS: Final[Mapping[Limit, str]] = {
    Limit.YOUR_RATE: N_("the rate you chose"),
    Limit.THROUGHPUT: N_("the number's throughput"),
    Limit.MESSAGING_LIMIT: N_("the number's daily limit"),
    Limit.PAIR_RATE: N_("how often one person may be written to"),
    Limit.WINDOW: N_("a time that was set"),
    Limit.PROVIDER: N_("WhatsApp's answers"),
    Limit.DATABASE: N_("the database"),
    Limit.NOTHING: N_("nothing"),
}


# Why a template cannot be chosen, by what WhatsApp says of it.
OF_TEMPLATES: Final[Mapping[str, str]] = {
    "PENDING": N_("WhatsApp has not decided yet"),
    "IN_APPEAL": N_("WhatsApp looks at it once more"),
    "REJECTED": N_("WhatsApp has rejected it"),
    "PAUSED": N_("WhatsApp has paused it, because of how people took it"),
    "DISABLED": N_("WhatsApp has switched it off for good"),
}
OTHER_TEMPLATE: Final = N_("Only approved templates can be sent")

# A finding of the pre-flight, by its level.
OF_LEVELS: Final[Mapping[str, Look]] = {
    "error": Look(N_("To be mended"), "failed", "circle-x"),
    "warning": Look(N_("Warning"), "unknown", "circle-alert"),
    "info": Look(N_("Good to know"), "neutral", "info"),
}


class Part(NamedTuple):
    """One part of the bar of a broadcast. The parts add up to `total_recipients`."""

    tone: str
    word: str
    people_count: int
    status: str  # of the recipients that it counts, for the list behind it


def parts_of(shown: Mapping[str, Any]) -> list[Part]:
    """The bar of a broadcast, from its counters; each person is in one part."""
    read, delivered = int(shown["read_count"]), int(shown["delivered_count"])
    waiting = int(shown["total_recipients"]) - int(shown["processed_count"]) - int(shown["unknown_count"])
    return [
        Part("read", NP_("count", "Read"), read, _R.READ),
        Part("delivered", NP_("count", "Delivered"), delivered - read, _R.DELIVERED),
        Part("sent", NP_("count", "Sent"), int(shown["sent_count"]) - delivered, _R.SENT),
        Part("failed", NP_("count", "Failed"), int(shown["failed_count"]), _R.FAILED),
        Part("unknown", NP_("count", "Unknown"), int(shown["unknown_count"]), _R.UNKNOWN),
        Part("skipped", NP_("count", "Skipped"), int(shown["skipped_count"]), _R.SKIPPED),
        Part("cancelled", NP_("count", "Cancelled"), int(shown["cancelled_count"]), _R.CANCELLED),
        Part("waiting", NP_("count", "Waiting"), waiting, _R.QUEUED),
    ]


_M: Final = Move
# As the history tells them, by the name of the move or the act in lower case.
OF_MOVES: Final[Mapping[str, str]] = {
    _M.SCHEDULE.name.lower(): N_("Put on its schedule"),
    _M.UNSCHEDULE.name.lower(): N_("Taken off its schedule"),
    _M.QUEUE.name.lower(): N_("Started"),
    _M.RUN.name.lower(): N_("A run began"),
    _M.YIELD.name.lower(): N_("A run ended, the next one goes on"),
    _M.PAUSE.name.lower(): N_("Paused"),
    _M.HOLD.name.lower(): N_("Held"),
    _M.RESUME.name.lower(): N_("Resumed"),
    _M.SETTLE.name.lower(): N_("Everything is sent, some are unknown"),
    _M.COMPLETE.name.lower(): N_("Completed"),
    _M.FINISH_PARTIAL.name.lower(): N_("Finished, some failed"),
    _M.FAIL.name.lower(): N_("Failed"),
    _M.CANCEL.name.lower(): N_("Cancelled"),
    _M.REOPEN.name.lower(): N_("Somebody may be sent to again"),
    _M.CORRECT_PARTIAL.name.lower(): N_("Found to have failures after all"),
    _M.CORRECT_COMPLETE.name.lower(): N_("Found to be complete after all"),
    Act.SETTLE_BY_HAND.name.lower(): N_("Somebody unknown was settled by hand"),
    Act.RETRY.name.lower(): N_("Tried again by another broadcast"),
    Act.RATE.name.lower(): N_("The rate was changed"),
    Act.SCHEDULE_ANEW.name.lower(): N_("The schedule was changed"),
    Act.GO_BY_LOCAL_TIME.name.lower(): N_("By each person's local time"),
    Act.GO_TO_OTHERS.name.lower(): N_("The audience was changed"),
    Act.LOOK_BEFORE_START.name.lower(): N_("What there was to know before the start"),
    Act.ASK_APPROVAL.name.lower(): N_("A second person was asked"),
    Act.APPROVE.name.lower(): N_("Approved"),
    Act.DECLINE.name.lower(): N_("Declined"),
}

OF_ACTORS: Final[Mapping[str, str]] = {
    Actor.USER: N_("by a person"),
    Actor.ENGINE: N_("by the engine"),
    Actor.STEWARD: N_("by the steward"),
}

# The story of one person.
OF_ENTRIES: Final[Mapping[str, Look]] = {
    "attempt": Look(N_("Attempt"), "sent", "send"),
    "status": Look(N_("Report"), "delivered", "check-check"),
    "reply": Look(N_("Answer"), "replied", "message-circle"),
    "consent": Look(N_("Wish"), "paused", "hand"),
    "history": Look(N_("Broadcast"), "neutral", "history"),
}

OF_OUTCOMES: Final[Mapping[str, str]] = {
    "accepted": N_("WhatsApp accepted it"),
    "failed": N_("it failed"),
    "put_off": N_("put off until later"),
    "unknown": N_("no answer came"),
    "under_way": N_("under way"),
}

# What each role may do, in a sentence.
OF_ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    Role.OWNER: (N_("Owner"), N_("Everything: numbers, keys, people and settings too.")),
    Role.EDITOR: (N_("Editor"), N_("Writes, sends and steers broadcasts, and keeps the contacts.")),
    Role.APPROVER: (N_("Approver"), N_("What an editor does, and lets large broadcasts of others go.")),
    Role.VIEWER: (N_("Viewer"), N_("Looks at everything and changes nothing.")),
}

OF_SCOPES: Final[Mapping[KeyScope, tuple[str, str]]] = {
    KeyScope.READ: (N_("Only read"), N_("Looks at everything but keys.")),
    KeyScope.SEND: (N_("Send"), N_("Also makes, starts and steers broadcasts, and keeps contacts.")),
    KeyScope.ADMIN: (N_("Admin"), N_("Also numbers and keys, and needs nobody's approval.")),
}

OF_POLICIES: Final[Mapping[UnknownPolicy, tuple[str, str]]] = {
    UnknownPolicy.EVIDENCE: (
        N_("Decide by evidence"),
        N_(
            "Sends again only where WhatsApp cannot have taken the message: it reported on nearly all others of the "
            "same minute, and not on this one. Otherwise it counts as failed in the end."
        ),
    ),
    UnknownPolicy.ASSUME_FAILED: (
        N_("Never send twice"),
        N_("Counts as failed after a while, whatever the evidence. Somebody may get nothing."),
    ),
    UnknownPolicy.RESEND: (
        N_("Always send again"),
        N_("Sends again after a while, whatever the evidence. Somebody may get it twice."),
    ),
}

# Who did what, after the name of whoever did it.
OF_ACTS: Final[Mapping[AuditAct, Look]] = {
    AuditAct.SIGN_IN: Look(N_("Signed in"), "neutral", "log-in"),
    AuditAct.SIGN_IN_FAILED: Look(N_("Sign-in failed"), "failed", "circle-x"),
    AuditAct.RECOVERY_CODE_USED: Look(N_("Recovery code used"), "unknown", "key-round"),
    AuditAct.PASSWORD_CHANGED: Look(N_("Password changed"), "neutral", "key-round"),
    AuditAct.SECOND_STEP_ON: Look(N_("Second step switched on"), "delivered", "shield-check"),
    AuditAct.SECOND_STEP_OFF: Look(N_("Second step switched off"), "unknown", "shield-off"),
    AuditAct.SESSIONS_ENDED: Look(N_("Signed out elsewhere"), "neutral", "log-out"),
    AuditAct.PERSON_INVITED: Look(N_("Person invited"), "neutral", "user-plus"),
    AuditAct.INVITE_WITHDRAWN: Look(N_("Invite withdrawn"), "neutral", "user-minus"),
    AuditAct.PERSON_JOINED: Look(N_("Joined"), "neutral", "user-plus"),
    AuditAct.ROLE_CHANGED: Look(N_("Role changed"), "neutral", "users"),
    AuditAct.PERSON_REMOVED: Look(N_("Person removed"), "neutral", "user-minus"),
    AuditAct.KEY_MADE: Look(N_("Key made"), "neutral", "key-round"),
    AuditAct.KEY_REVOKED: Look(N_("Key revoked"), "neutral", "key-round"),
    AuditAct.NUMBER_ADDED: Look(N_("Number added"), "neutral", "smartphone"),
    AuditAct.NUMBER_CHANGED: Look(N_("Number changed"), "neutral", "smartphone"),
    AuditAct.NUMBER_REMOVED: Look(N_("Number removed"), "neutral", "smartphone"),
    AuditAct.WEBHOOK_ADDED: Look(N_("Webhook added"), "neutral", "webhook"),
    AuditAct.WEBHOOK_CHANGED: Look(N_("Webhook changed"), "neutral", "webhook"),
    AuditAct.WEBHOOK_SECRET_CHANGED: Look(N_("Webhook got a new secret"), "neutral", "key-round"),
    AuditAct.WEBHOOK_REMOVED: Look(N_("Webhook removed"), "neutral", "webhook"),
    AuditAct.SETTINGS_CHANGED: Look(N_("Settings changed"), "neutral", "settings"),
    AuditAct.CONTACT_DELETED: Look(N_("Contact deleted"), "neutral", "user-minus"),
    AuditAct.APPROVAL_ASKED: Look(N_("Approval requested"), "paused", "hand"),
    AuditAct.APPROVAL_DECLINED: Look(N_("Approval declined"), "neutral", "hand"),
    AuditAct.DRAFT_DELETED: Look(N_("Draft deleted"), "neutral", "trash-2"),
    AuditAct.BROADCAST_STARTED: Look(N_("Broadcast started"), "live", "send"),
    AuditAct.BROADCAST_CANCELLED: Look(N_("Broadcast cancelled"), "neutral", "ban"),
}

# What was changed of a thing, by the name of its field.
_ACTS_ON_FIELDS: Final = frozenset((AuditAct.SETTINGS_CHANGED, AuditAct.WEBHOOK_CHANGED, AuditAct.NUMBER_CHANGED))
OF_FIELDS: Final[Mapping[str, str]] = {
    "name": N_("Name"),
    "unknown_policy": N_("What happens to unknowns"),
    "stop_words": N_("Words to stop"),
    "start_words": N_("Words to start again"),
    "time_zone": N_("Time zone"),
    "quiet_hours": N_("Quiet hours"),
    "frequency_cap": N_("Frequency cap"),
    "opt_out_reply": N_("Reply to who stops"),
    "opt_in_reply": N_("Reply to who starts again"),
    "approval_over": N_("Second person"),
    "url": N_("Address"),
    "description": N_("Description"),
    "events": N_("Events"),
    "enabled": N_("Switched on or off"),
    "token": N_("Access token"),
    "app_secret": N_("App secret"),
    "verify_token": N_("Verify token"),
    "rate_per_second": N_("Messages a second, at most"),
    "ids": N_("IDs"),
}
_WORDS_OF_ROLES: Final = {role.value: word for role, (word, _) in OF_ROLES.items()}
_WORDS_OF_ACTS: Final[Mapping[AuditAct, Mapping[str, str]]] = {
    **dict.fromkeys(_ACTS_ON_FIELDS, OF_FIELDS),
    **dict.fromkeys((AuditAct.PERSON_INVITED, AuditAct.PERSON_JOINED, AuditAct.ROLE_CHANGED), _WORDS_OF_ROLES),
    AuditAct.KEY_MADE: {scope.value: word for scope, (word, _) in OF_SCOPES.items()},
}
_BETWEEN: Final = re.compile("(, | \N{RIGHTWARDS ARROW} )")


def details_of(act: AuditAct, detail: str) -> list[tuple[str, bool]]:
    """What an entry of the audit tells beside whom it is about, in pieces: each with whether it is a word of ours."""
    words = _WORDS_OF_ACTS.get(act, {})
    pieces = _BETWEEN.split(detail) if words else [detail]
    return [(words.get(piece, piece), piece in words) for piece in pieces]
