"""An ASGI application that tells about its process, and a program that serves it as `glare-server serve` serves Glare.

python -m support.small_asgi STATE_DIR PORT [WORKERS]
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from glare.cli.logs import configure_logging
from glare.cli.server import bind, run_server
from glare.metrics import Metrics
from glare.server.host import Program
from glare.settings import Settings, SettingsError, Sources, load


def make(settings: Settings, with_worker: bool) -> Program:
    """An application that answers every request with its process id and whether it has the background work."""
    body = json.dumps({"pid": os.getpid(), "worker": with_worker, "page": settings.lists.default_api_limit}).encode()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                kind = (await receive())["type"]
                await send({"type": f"{kind}.complete"})
                if kind == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def drain(lead: bool) -> None:
        """Nothing is worth waiting for."""

    return Program(application, drain, Metrics())


def broken(settings: Settings, with_worker: bool) -> Program:
    """An application that cannot be made."""
    raise RuntimeError("this application is broken on purpose")


def main(factory: str, *options: str) -> int:
    """Serve the application of this module that `factory` names; options of [DEFAULT] are written `name=value`."""
    overrides = {("DEFAULT", name): value for name, _, value in (option.partition("=") for option in options)}
    try:
        settings = load(Sources(overrides=overrides, search=False, environment=False)).settings
        listener = bind(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    configure_logging(settings)
    # As `__main__` the factory could not be found by the processes that are to call it.
    from support import small_asgi

    return run_server(settings, listener, getattr(small_asgi, factory), with_worker=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
