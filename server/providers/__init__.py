"""The WhatsApp Cloud API: one call, one outcome."""
