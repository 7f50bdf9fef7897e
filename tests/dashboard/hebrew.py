"""English that is left in a Hebrew text."""

import re

# What nobody translates: names, codes, and what stands in quotation marks, in code or apart as somebody's own word.
_OWN = re.compile(r"PUT /rates|\u2068[^\u2069]*\u2069|\"[^\"]*\"|`[^`]*`|\{[^}]*\}|https?://\S*")
_NAMES = frozenset(
    (
        *("WhatsApp", "Clarion", "Meta", "Manager", "Business", "Support", "Home", "Cloud", "API", "Graph", "WABA"),
        *("HTTP", "UTC", "URL", "CSV", "MB", "JSON", "PIN", "ID", "GIF", "webhook", "webhooks", "flow", "phone"),
        *("whatsapp_business_messaging", "whatsapp_business_management"),
    )
)
_WORD = re.compile(r"[A-Za-z][A-Za-z_'-]{2,}")


def english_in(text: str) -> list[str]:
    """Words of English, without names and values."""
    return [word for word in _WORD.findall(_OWN.sub(" ", text)) if word not in _NAMES]
