"""Settings: declared once, read once, typed and frozen. Nothing else reads the environment or a configuration file."""

from __future__ import annotations

from glare.settings.errors import SettingsError
from glare.settings.load import Loaded, load
from glare.settings.reader import Sources
from glare.settings.relations import check_machine
from glare.settings.values import Settings

__all__ = ["Loaded", "Settings", "SettingsError", "Sources", "check_machine", "load"]
