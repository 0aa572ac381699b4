"""Every kind of database that Glare works on, by the word that stands first in a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from glare.db.dialects.base import Dialect, failure_of
from glare.db.dialects.failures import Failure, Sizes
from glare.db.dialects.mysql import Mysql
from glare.db.dialects.postgresql import Postgresql
from glare.db.dialects.sqlite import Sqlite

__all__ = ["DIALECTS", "Dialect", "Failure", "Sizes", "failure_of"]

DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": Sqlite(),
    "postgresql": Postgresql(),
    "mysql": Mysql(),
    "mariadb": Mysql(),
}
"""Every kind of database that may stand first in a URL."""
