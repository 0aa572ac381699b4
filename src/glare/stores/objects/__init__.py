"""Stores of bytes in buckets and containers of object stores: docs/explanation/object-stores.md says how, and why."""
