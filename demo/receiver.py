"""A subscriber's receiver of events: verifies each signature, confirms its subscription, and writes what came.

SECRET=whsec_… python demo/receiver.py PORT FILE
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SECRET = base64.b64decode(os.environ["SECRET"].removeprefix("whsec_"))
TOLERANCE = 300


class Receiver(BaseHTTPRequestHandler):
    """Answers POST. A line of the file is the type of an event, and its location's blob and state."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._signed(body):
            self.send_error(401)
            return
        event = json.loads(body)
        answer = b"{}"
        if event["type"] == "subscription.confirmation":
            answer = json.dumps({"token": event["data"]["token"]}).encode()
        location = event["data"].get("location", {})
        with Path(sys.argv[2]).open("a") as file:
            file.write(f"{event['type']} {location.get('blob', '-')} {location.get('state', '-')}\n")
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """The file says it."""

    def _signed(self, body: bytes) -> bool:
        """Whether the signature is right, and fresh (Standard Webhooks)."""
        message, stamp = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        wanted = hmac.new(SECRET, f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
        given = [sign.removeprefix("v1,") for sign in self.headers["webhook-signature"].split()]
        right = any(hmac.compare_digest(base64.b64decode(sign), wanted) for sign in given)
        return right and abs(time.time() - int(stamp)) < TOLERANCE


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
