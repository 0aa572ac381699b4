"""What stands in the configuration for keystonemiddleware, which reads it itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from glare.errors import GlareError
from glare.identity.keystone.library import GROUP, installed, make, open_options
from glare.settings.values import Settings

Names = Mapping[str, bool] | None
"""Names of options and whether their values are secret; None where nobody can tell."""


def keystone_names(pipeline: tuple[str, ...], files: tuple[Path, ...], environment: bool) -> Mapping[str, Names]:
    """The options that the library reads, by group; nothing where the source `keystone` is not asked.

    Where the library is missing or its options are wrong, its group stands there alone, with None.
    """
    if "keystone" not in pipeline:
        return {}
    try:
        return open_options(files, environment=environment).spellings() if installed() else {GROUP: None}
    except GlareError:
        return {GROUP: None}


def keystone_problem(settings: Settings) -> str | None:
    """What is wrong with them, in a sentence; None where the source can be made, or is not asked."""
    if "keystone" not in settings.pipeline:
        return None
    try:
        make(open_options(settings.files, environment=settings.environment))
    except GlareError as error:
        return error.message
    return None
