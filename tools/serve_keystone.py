"""Serve Keystone on the port of loopback that its one argument names, by a small WSGI server.

`keystone_server` runs it, in the environment of Keystone.
"""

from __future__ import annotations

import importlib
import sys

port = int(sys.argv.pop())
# Keystone reads the command line too.
application = importlib.import_module("keystone.wsgi.api").application
importlib.import_module("waitress").serve(application, listen=f"127.0.0.1:{port}", threads=8)
