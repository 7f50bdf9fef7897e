"""Options that are many in one: `drop=0.01,latency_ms=300`, or the same as a JSON object."""

from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def struct_from_text(text: str, kind: type[T]) -> T:
    """Read such an option. Raises ValueError with what is wrong, and names that there are where one is not known."""
    try:
        if text.lstrip().startswith("{"):
            return msgspec.json.decode(text, type=kind)
        pairs = (piece.partition("=") for piece in text.split(",") if piece.strip())
        return msgspec.convert({name.strip(): value.strip() for name, _, value in pairs}, kind, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise ValueError(f"{error}; there are {known}" if "unknown field" in str(error) else str(error)) from None
