"""Clarion: one message, many people, one source of truth."""
