"""Programs that tests run and that are not Glare's."""

from __future__ import annotations

import os
import shutil

import pytest


def find_program(name: str, path: str | None = None) -> str:
    """Where it is. Where it is missing, the test is skipped, or fails if everything is required."""
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    if os.environ.get("GLARE_TEST_REQUIRE") == "all":
        pytest.fail(f"{name} is not installed", pytrace=False)
    pytest.skip(f"{name} is not installed")
