"""The registry with every built-in type."""

from __future__ import annotations

import pytest

from glare.types.registry import DEFAULT_ENABLED, TypeRegistry, load


@pytest.fixture(scope="session")
def built_in() -> TypeRegistry:
    """All built-in types, also the one that is not enabled by default."""
    return load([*DEFAULT_ENABLED, "secrets"], [], entry_points=False, options={})
