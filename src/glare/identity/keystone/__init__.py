"""The identity source `keystone`."""
