"""Media types that this service reads and writes, each by one name."""

from __future__ import annotations

from typing import Final

JSON: Final = "application/json"

JSON_ANSWER: Final = "application/json; charset=UTF-8"
"""What answers say: clients compare it whole."""

JSON_PATCH: Final = "application/json-patch+json"

JSON_SCHEMA: Final = "application/schema+json"

LOCATION: Final = "application/vnd+openstack.glare-custom-location+json"
"""A document that records an external location, where data would be uploaded otherwise."""

VERSIONED: Final = "application/vnd.openstack.artifacts-"
"""Begins a media type that ends in a version of the API."""

OCTETS: Final = "application/octet-stream"
HTML: Final = "text/html"
PLAIN: Final = "text/plain"

ANY: Final = "*/*"
"""Data of whatever type its owner has given it."""
