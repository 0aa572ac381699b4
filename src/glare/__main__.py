"""`python -m glare`: the `glare-server` command, wherever the package is and whatever is on the PATH."""

from __future__ import annotations

import sys

from glare.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
