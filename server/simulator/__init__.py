"""A WhatsApp Cloud API on localhost, in a process of its own: for development, demonstrations and tests."""
