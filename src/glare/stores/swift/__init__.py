"""A store in OpenStack Swift."""
