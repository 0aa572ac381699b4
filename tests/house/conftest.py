"""What the house rules are checked on: the files of the checkout, as git sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def project_files(checkout: Path) -> list[Path]:
    """Every file that is tracked, or would be once added; a checkout without git cannot be judged and skips."""
    if not (checkout / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (checkout / name for name in sorted(set(listing.stdout.split("\0")) - {""}))
    # A file that is deleted but not yet committed is still listed.
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="session")
def python_files(project_files: list[Path]) -> list[Path]:
    """The Python files among them."""
    return [path for path in project_files if path.suffix == ".py"]
