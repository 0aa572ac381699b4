from __future__ import annotations

import pytest

# The suite is shipped in the package, where pytest does not look for assertions of its own accord.
pytest.register_assert_rewrite("glare.stores.conformance")
