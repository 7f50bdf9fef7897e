"""How people's wishes, and what went to and fro, look: the same on every page of contacts."""

from collections.abc import Mapping
from typing import Final

from server.dashboard.looks import N_, OF_RECIPIENTS, Look

OF_WISHES: Final[Mapping[str, Look]] = {
    "stop": Look(N_("Opted out"), "paused", "hand"),
    "start": Look(N_("Opted in"), "delivered", "check"),
    "none": Look(N_("May be written to"), "neutral", "message-circle"),
}

OF_MESSAGES: Final[Mapping[str, Look]] = {
    **{str(status): look for status, look in OF_RECIPIENTS.items()},
    "received": Look(N_("They wrote"), "replied", "reply"),
}

# What the columns of a file were taken for.
OF_COLUMNS: Final[Mapping[str, str]] = {
    "phone": N_("the phone"),
    "name": N_("the name"),
    "tags": N_("tags"),
    "opt_out": N_("opted out, yes or no"),
    "opt_in_at": N_("when they opted in"),
    "opt_in_source": N_("where they opted in"),
    "opt_in_note": N_("a note on the opt-in"),
    "attribute": N_("an attribute"),
}
