"""Whom of the contacts a broadcast goes to, and audiences that are saved under a name."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from server.api_models.shared import Instant, Name, Strict, Text
from server.domain.audience import Audience, parse


class ConditionRequest(Strict):
    """One thing that must hold of an attribute (or of `name`, `phone`): exactly one of `is`, `is_not`, `contains`,
    `exists`."""

    attribute: Text
    is_: Annotated[Text | None, Field(alias="is")] = None
    is_not: Annotated[Text | None, Field(description="has the attribute, with another value")] = None
    contains: Text | None = None
    exists: bool | None = None


class AudienceRequest(Strict):
    """Whom of the contacts: all of `tags`, one of `any_tags`, none of `not_tags`, every condition; else everybody."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"tags": ["vip"], "not_tags": ["staff"], "where": [{"attribute": "city", "is": "Haifa"}]}
        },
    )

    tags: list[Text] = Field(default=[])
    any_tags: list[Text] = Field(default=[], description="has one of these at least")
    not_tags: list[Text] = Field(default=[])
    where: list[ConditionRequest] = Field(default=[])
    segment_id: Annotated[int | None, Field(description="a saved segment, and nothing beside it")] = None

    def audience(self) -> Audience:
        """The audience that is meant. Raises `BadInput`."""
        return parse(self.model_dump(by_alias=True, exclude_none=True))


class CountRequest(Strict):
    """An audience to count."""

    audience: AudienceRequest


class AudienceCount(BaseModel):
    """How many an audience is now."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "description": "everybody tagged vip, not tagged staff, whose city is Haifa",
                "contacts_count": 120,
                "opted_out_count": 3,
                "recipients": 117,
            }
        }
    )

    description: str
    contacts_count: int
    opted_out_count: int
    recipients: Annotated[int, Field(description="people who would be sent to")]


class SegmentRequest(Strict):
    """An audience to save."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "VIPs of Haifa", "audience": {"tags": ["vip"]}}}
    )

    name: Name
    audience: AudienceRequest


class SegmentChanges(Strict):
    """What is to be another; what is left out stays."""

    name: Name | None = None
    audience: AudienceRequest | None = None


class SegmentShown(BaseModel):
    """A saved audience."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 3,
                "name": "VIPs of Haifa",
                "audience": {"tags": ["vip"], "not_tags": [], "where": [{"attribute": "city", "is": "Haifa"}]},
                "created_at": "2026-11-25T09:00:00Z",
                "updated_at": "2026-11-25T09:00:00Z",
            }
        }
    )

    id: int
    name: str
    audience: dict[str, Any]
    created_at: Instant
    updated_at: Instant


class SegmentPage(BaseModel):
    """One page of segments, in the order in which they were made."""

    items: list[SegmentShown]
    next_cursor: str | None
