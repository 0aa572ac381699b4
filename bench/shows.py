"""The shows of `attacks.py`, as a process of its own: in one with the victim's other work they would wait for that too.

    python bench/shows.py DESCRIPTION

DESCRIPTION is JSON: ``port``, ``token``, ``path``, and ``tls``. It shows an artifact every 20 ms, on a connection that
it keeps, until it is killed, and prints how many milliseconds each took, or `inf` and why.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from typing import Any, Final

_LONGEST: Final = 30.0


def connect(port: int, tls: bool) -> http.client.HTTPConnection:
    """A connection to the service on loopback, whatever its certificate says."""
    if not tls:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=_LONGEST, context=context)


def main(described: dict[str, Any]) -> None:
    """Show, again and again."""
    headers = {"OpenStack-API-Version": "artifact latest", "X-Auth-Token": described["token"]}
    connection = connect(described["port"], described["tls"])
    while True:
        began = time.perf_counter()
        try:
            connection.request("GET", described["path"], headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise ValueError(answer.status)
            print((time.perf_counter() - began) * 1000, flush=True)
        except (OSError, http.client.HTTPException, ValueError) as error:
            print("inf", repr(error), flush=True)
            connection.close()
            connection = connect(described["port"], described["tls"])
        time.sleep(0.02)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
