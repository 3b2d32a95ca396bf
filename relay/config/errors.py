"""The one error of the settings."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting is unknown, missing or has a bad value; the text is one sentence with the remedy."""
