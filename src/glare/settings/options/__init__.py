"""Every option, by topic: a section is a group of the configuration file, or a part of one."""

from __future__ import annotations
