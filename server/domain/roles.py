"""What a person of a business may do in the dashboard. API keys have scopes instead (`scopes.py`)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Whom the owner made a person."""

    OWNER = "owner"
    EDITOR = "editor"
    APPROVER = "approver"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What an act needs."""

    LOOK = "look"
    SEND = "send"  # make, start and steer broadcasts, and keep contacts
    APPROVE = "approve"  # let a large broadcast of somebody else start
    MANAGE = "manage"  # numbers, keys, people, settings


_P = Permission
MAY: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.OWNER: frozenset(_P),
    Role.EDITOR: frozenset({_P.LOOK, _P.SEND}),
    Role.APPROVER: frozenset({_P.LOOK, _P.SEND, _P.APPROVE}),
    Role.VIEWER: frozenset({_P.LOOK}),
}


def may(role: Role, needed: Permission) -> bool:
    """Whether somebody of this role may do what needs the permission."""
    return needed in MAY[role]
