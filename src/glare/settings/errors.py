"""What is raised for a wrong option."""

from __future__ import annotations


class SettingsError(Exception):
    """An option is wrong. The message is one sentence that names the option, its value and the remedy."""
