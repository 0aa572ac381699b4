"""Stores in OpenStack Swift."""

from __future__ import annotations

from glare.stores.objects.swift.place import make_driver, survey

__all__ = ["make_driver", "survey"]
