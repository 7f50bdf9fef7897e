"""Who acts, and the acts that are written down: one list, for the writer, the page and its filter."""

from enum import StrEnum
from typing import Final, NamedTuple


class Who(NamedTuple):
    """Who asks for something: a person, a key, or neither, which is somebody at the command line.

    name: as it is written down, for people and keys may be gone when it is read. is_admin: of a key, whether its scope
    is `admin`. address: of the network that they come from.
    """

    name: str
    user_id: int | None = None
    key_id: int | None = None
    is_admin: bool = False
    address: str | None = None


# A request that does not say whose it is: it may do what the least may.
NOBODY: Final = Who("nobody", key_id=0)
# Whoever has the machine may do everything.
COMMAND_LINE: Final = Who("clarion")


class AuditAct(StrEnum):
    """What was done."""

    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in_failed"  # the address is a person's, and the password or the code was wrong
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - an act
    SECOND_STEP_ON = "second_step_on"
    SECOND_STEP_OFF = "second_step_off"
    SESSIONS_ENDED = "sessions_ended"
    PERSON_INVITED = "person_invited"
    INVITE_WITHDRAWN = "invite_withdrawn"
    PERSON_JOINED = "person_joined"
    ROLE_CHANGED = "role_changed"
    PERSON_REMOVED = "person_removed"
    KEY_MADE = "key_made"
    KEY_REVOKED = "key_revoked"
    NUMBER_ADDED = "number_added"
    NUMBER_CHANGED = "number_changed"
    NUMBER_REMOVED = "number_removed"
    WEBHOOK_ADDED = "webhook_added"
    WEBHOOK_CHANGED = "webhook_changed"
    WEBHOOK_SECRET_CHANGED = "webhook_secret_changed"  # noqa: S105 - an act
    WEBHOOK_REMOVED = "webhook_removed"
    SETTINGS_CHANGED = "settings_changed"
    CONTACT_DELETED = "contact_deleted"
    APPROVAL_ASKED = "approval_asked"
    APPROVAL_DECLINED = "approval_declined"
    DRAFT_DELETED = "draft_deleted"
    BROADCAST_STARTED = "broadcast_started"
    BROADCAST_CANCELLED = "broadcast_cancelled"
